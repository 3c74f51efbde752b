"""Every Pod with metrics is scraped exactly once, in the way of its cluster, and Prometheus reaches it.

Scraped twice, every rate doubles and alerts fire for nothing; scraped never, none fires at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.network import NAMESPACE, choose_policies, container_ports
from matrixfleet.checks.said import target_of
from matrixfleet.checks.tree import Entry, Finding, Json, Pod, Tree, matches
from matrixfleet.model import Peer
from matrixfleet.model.choices import Metrics

SCRAPE = "prometheus.io/scrape"
