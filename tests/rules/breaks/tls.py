from rules.breaking import PROD, Break, drop, edit, put

INGRESS = f"{PROD}/workload/edge/ingress-matrix-prod-matrix.yaml"
REDIRECT = f"{PROD}/workload/edge/ingress-matrix-prod-matrix-redirect.yaml"
CERTIFICATE = f"{PROD}/workload/edge/certificate-matrix-prod-matrix.yaml"
DATABASE = f"{PROD}/workload/postgresql/certificate-matrix-prod-postgresql-tls.yaml"
MIDDLEWARE = f"{PROD}/workload/edge/middleware-matrix-prod-https.yaml"

BREAKS = [
    Break(
        "a host in plain alone",
        drop(INGRESS),
        "Ingress matrix-prod/matrix-prod-matrix-redirect: host matrix.example.com: expected tls with a secretName",
    ),
    Break(
        "a host that tls leaves out",
        put(INGRESS, "spec", "tls", 0, "hosts", to=["matrix.example.com"]),
        "Ingress matrix-prod/matrix-prod-matrix: host example.com: expected tls with a secretName in some Ingress",
    ),
    Break(
        "a certificate that nobody makes",
        drop(CERTIFICATE),
        "host matrix.example.com: no Certificate makes its Secret matrix-prod/matrix-prod-matrix-tls",
    ),
    Break(
        "a certificate of other names",
        put(CERTIFICATE, "spec", "dnsNames", to=["*.example.com"]),
        "Certificate matrix-prod/matrix-prod-matrix: dnsNames: expected example.com, which Ingress",
    ),
    Break(
        "a certificate that no browser knows",
        put(CERTIFICATE, "spec", "issuerRef", to={"kind": "Issuer", "name": "matrix-prod-postgresql-ca"}),
        "issuerRef: expected a ClusterIssuer, since matrix.example.com is public",
    ),
    Break(
        "an issuer that nobody made",
        put(CERTIFICATE, "spec", "issuerRef", "name", to="letsencrypts"),
        "issuerRef: expected one that is compiled or that the cluster has, got ClusterIssuer letsencrypts",
    ),
    Break(
        "an issuer that the platform should have made",
        drop("eu1/platform/workload/issuers/clusterissuer-letsencrypt.yaml"),
        "issuerRef: expected one that is compiled or that the cluster has, got ClusterIssuer letsencrypt",
    ),
    Break(
        "an authority of the namespace that nobody made",
        put(DATABASE, "spec", "issuerRef", "name", to="nobody"),
        "issuerRef: expected one that is compiled or that the cluster has, got Issuer nobody",
    ),
    Break(
        "plain HTTP that stays plain",
        edit(
            REDIRECT,
            lambda doc: doc["metadata"]["annotations"].pop("traefik.ingress.kubernetes.io/router.middlewares"),
        ),
        "host matrix.example.com in plain HTTP: expected traefik.ingress.kubernetes.io/router.middlewares to name",
    ),
    Break("a redirect that is not there", drop(MIDDLEWARE), "host matrix.example.com in plain HTTP: expected"),
    Break(
        "a redirect to elsewhere",
        put(MIDDLEWARE, "spec", "redirectScheme", "scheme", to="http"),
        "host matrix.example.com in plain HTTP: expected",
    ),
]
