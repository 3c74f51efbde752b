from rules.breaking import PROD, Break, put

NAMESPACE = f"{PROD}/fence/namespace-matrix-prod.yaml"
INGRESS = f"{PROD}/workload/edge/ingress-matrix-prod-matrix.yaml"
TURN = f"{PROD}/workload/turn/certificate-matrix-prod-turn.yaml"
ELEMENT = "ap1/platform/workload/edge/httproute-platform-element.yaml"
ROUTE = "ap1/tenant-a/workload/edge/httproute-tenant-a-matrix.yaml"
GATEWAY = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "platform-edge", "namespace": "fleet"},
    "spec": {"listeners": [{"name": "https", "hostname": "a.matrix.example.com", "port": 443, "protocol": "HTTPS"}]},
}

BREAKS = [
    Break(
        "a host that its namespace does not say",
        put(INGRESS, "spec", "rules", 0, "host", to="chat.chess.example.org"),
        "Ingress matrix-prod/matrix-prod-matrix: names chat.chess.example.org; expected one of annotation",
    ),
    Break(
        "every host",
        put(INGRESS, "spec", "rules", 0, to={"http": {"paths": []}}),
        "Ingress matrix-prod/matrix-prod-matrix: names *; expected one of annotation",
    ),
    Break(
        "a namespace that says none",
        put(NAMESPACE, "metadata", "annotations", to={}),
        "Certificate matrix-prod/matrix-prod-matrix: names example.com; expected one of annotation",
    ),
    Break(
        "a public certificate of another's name",
        put(TURN, "spec", "dnsNames", to=["example.org"]),
        "names example.org; expected one of annotation matrix-fleet/hosts of Namespace matrix-prod-turn, got",
    ),
    Break(
        "a route of another's name",
        put(ELEMENT, "spec", "hostnames", to=["a.matrix.example.com"]),
        "HTTPRoute fleet/platform-element: names a.matrix.example.com; expected one of",
    ),
    Break(
        "a neighbour's host in a namespace of several tenants",
        put(ROUTE, "spec", "hostnames", to=["b.matrix.example.com"]),
        "names b.matrix.example.com; expected one of annotation matrix-fleet/hosts.tenant-a of Namespace matrix-tenants",
    ),
    Break(
        "a listener of another's name",
        lambda tree: tree.having("ap1/platform/workload/edge/gateway.yaml", GATEWAY),
        "Gateway fleet/platform-edge: names a.matrix.example.com; expected one of",
    ),
]
