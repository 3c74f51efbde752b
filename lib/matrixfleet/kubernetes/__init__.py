"""How Kubernetes spells things. Builders return plain data; no decision is taken here."""
