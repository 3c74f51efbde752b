from rules.breaking import PROD, Break, drop, edit

CONFIG = f"{PROD}/workload/router/configmap-matrix-prod-router.yaml"
SYNAPSE = "matrix-prod-synapse.matrix-prod.svc.cluster.local:8008"
POD = "matrix-prod-postgresql-{}.matrix-prod-postgresql.matrix-prod.svc.cluster.local:5432"


def with_text(old, new):
    """haproxy.cfg with one text for another."""

    def change(doc):
        assert old in doc["data"]["haproxy.cfg"], old
        doc["data"]["haproxy.cfg"] = doc["data"]["haproxy.cfg"].replace(old, new)

    return edit(CONFIG, change)


def server(what, address, says):
    return Break(what, with_text(SYNAPSE, address), f"haproxy.cfg: server {address}: {says}")


BREAKS = [
    server(
        "a server by its short name", "matrix-prod-synapse:8008", "expected <service>.<namespace>.svc.<domain>:<port>"
    ),
    server("another domain", SYNAPSE.replace("cluster.local", "cluster.lan"), "expected domain cluster.local"),
    Break(
        "a Service that is not there",
        drop(f"{PROD}/workload/synapse/service-matrix-prod-synapse.yaml"),
        f"server {SYNAPSE}: no Service matrix-prod/matrix-prod-synapse is compiled",
    ),
    server(
        "a port that it has not", SYNAPSE.replace("8008", "8009"), "Service matrix-prod/matrix-prod-synapse has no port"
    ),
    server("a Pod beyond the last", POD.format(1), "no StatefulSet of Service matrix-prod-postgresql has a Pod"),
    server("a Pod of nobody", POD.format("x"), "no StatefulSet of Service matrix-prod-postgresql has a Pod"),
    Break(
        "a file that is not there",
        edit(CONFIG, lambda doc: doc["data"].pop("too-large.json")),
        "names /usr/local/etc/haproxy/too-large.json, which is no key of this ConfigMap",
    ),
    Break(
        "another limit than Synapse's",
        with_text("content-length) -m int gt 52428800", "content-length) -m int gt 1048576"),
        "content-length of path_upload: expected at most 52428800, got 1048576",
    ),
    Break(
        "the limit of uploads on everything",
        with_text("content-length) -m int gt 13107200", "content-length) -m int gt 52428800"),
        "content-length of !path_upload: expected at most 13107200, got 52428800",
    ),
    Break(
        "no limit",
        with_text("hdr(content-length)", "hdr(age)"),
        "content-length of path_upload: expected at most 52428800, got no limit",
    ),
    Break(
        "addresses that clients make up",
        with_text("set-header X-Forwarded-For", "add-header X-Forwarded-For"),
        "expected http-request set-header X-Forwarded-For, since Synapse believes it",
    ),
    Break(
        "an address that was not read",
        with_text("set-src var(txn.address)", "set-src req.hdr(x-forwarded-for,-1)"),
        "http-request set-src req.hdr(x-forwarded-for,-1) if forwarded: expected var(txn.address)",
    ),
    Break(
        "the edge's address where there is no other",
        with_text("if forwarded !{ var(txn.address) -m found }", "if { always_false }"),
        "expected http-request return status 400 if forwarded !{ var(txn.address) -m found }",
    ),
    Break(
        "quotes that hide an entry",
        with_text("-m reg '[^]", "-m str '[^]"),
        "expected http-request return status 400 if { req.fhdr(x-forwarded-for) -m reg",
    ),
]
