from rules.breaking import PROD, SYNAPSE, Break, drop, edit, put

DENY = f"{PROD}/fence/networkpolicy-matrix-prod-default-deny.yaml"
POLICY = f"{PROD}/fence/networkpolicy-matrix-prod-synapse.yaml"
ROUTER = f"{PROD}/fence/networkpolicy-matrix-prod-router.yaml"
SOLVER = f"{PROD}/fence/networkpolicy-matrix-prod-acme-solver.yaml"
FLOWS = "matrix-fleet/flows"


def rule(what, side, *keys, to, says):
    return Break(what, put(POLICY, "spec", side, *keys, to=to), says)


def internet(change):
    """The rule of Synapse to the Internet, changed."""

    def of(doc):
        peers = [peer for rule in doc["spec"]["egress"] for peer in rule["to"]]
        return next(peer["ipBlock"] for peer in peers if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0")

    return edit(POLICY, lambda doc: change(of(doc)))


def on_host(tree):
    return put(SYNAPSE, "spec", "template", "spec", "hostNetwork", to=True)(tree)


def balanced(tree):
    """A balancer for Synapse, and its Pods open to the world: on the port that it offers, and one more."""
    doc = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "matrix-prod-balancer", "namespace": "matrix-prod"},
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app.kubernetes.io/component": "synapse"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }
    tree = tree.having(f"{PROD}/workload/synapse/service-matrix-prod-balancer.yaml", doc)

    def change(doc):
        for rule in doc["spec"]["ingress"]:
            rule["from"] = [{"ipBlock": {"cidr": "0.0.0.0/0"}}]

    return tree.edited(POLICY, change)


BREAKS = [
    Break(
        "from everywhere on a port that no balancer offers",
        balanced,
        "ingress rule 2: 0.0.0.0/0: expected a network that cluster.edge.peers names, a narrow one, or ports that a",
    ),
    Break(
        "nothing is denied by default",
        drop(DENY),
        "expected a NetworkPolicy in matrix-prod that selects all Pods and allows nothing, got none",
    ),
    Break(
        "the default allows something",
        put(DENY, "spec", "egress", to=[{}]),
        "expected a NetworkPolicy in matrix-prod that selects all Pods and allows nothing, got none",
    ),
    Break(
        "one direction alone",
        put(POLICY, "spec", "policyTypes", to=["Ingress"]),
        "policyTypes: expected Ingress and Egress",
    ),
    Break(
        "a selector that nobody can follow",
        put(POLICY, "spec", "podSelector", "matchExpressions", to=[{"key": "a", "operator": "Exists"}]),
        "matchExpressions: expected matchLabels alone",
    ),
    Break(
        "a policy for nobody",
        put(POLICY, "spec", "podSelector", "matchLabels", to={"app.kubernetes.io/name": "synapsis"}),
        "podSelector selects no compiled Pod; expected one, or a guest's label (acme.cert-manager.io",
    ),
    Break(
        "a policy for a Pod on the node's network",
        on_host,
        "selects Deployment matrix-prod/matrix-prod-synapse, which is on the node's network",
    ),
    Break(
        "a flow without a line",
        put(POLICY, "metadata", "annotations", FLOWS, to="from router on TCP 8008: client and federation API\n"),
        f"annotation {FLOWS}: expected 2 lines that begin with from, one a rule, got 1",
    ),
    Break(
        "a flow without a reason",
        put(SOLVER, "metadata", "annotations", FLOWS, to="from the edge on TCP 8089:\n"),
        f"annotation {FLOWS}: expected a reason after a colon, got 'from the edge on TCP 8089:'",
    ),
    rule("to everywhere", "egress", 0, "to", to=[], says="egress rule 1: to: expected peers; none means everywhere"),
    rule("from everywhere", "ingress", 0, "from", to=[], says="ingress rule 1: from: expected peers"),
    rule("on every port", "egress", 0, "ports", to=[], says="egress rule 1: ports: expected some; none means all"),
    rule("on a named port", "ingress", 0, "ports", 0, "port", to="http", says="port: expected a number, got http"),
    rule(
        "from any namespace",
        "ingress",
        1,
        "from",
        0,
        "namespaceSelector",
        to={},
        says="namespaceSelector: expected kubernetes.io/metadata.name",
    ),
    Break(
        "the Internet with a private network in it",
        internet(lambda block: block["except"].remove("172.16.0.0/12")),
        "0.0.0.0/0: expected 172.16.0.0/12 among except",
    ),
    Break(
        "half of the Internet with private networks in it",
        internet(lambda block: (block.update(cidr="128.0.0.0/1"), block.pop("except"))),
        "128.0.0.0/1: expected 192.168.0.0/16 among except",
    ),
    Break(
        "the new Internet with private networks in it",
        internet(lambda block: (block.update(cidr="::/0"), block.pop("except"))),
        "::/0: expected fc00::/7 among except",
    ),
    rule(
        "from the Internet, where the edge is Pods",
        "ingress",
        0,
        "from",
        to=[{"ipBlock": {"cidr": "0.0.0.0/0"}}],
        says="0.0.0.0/0: expected a network that cluster.edge.peers names, a narrow one, or ports that a Service of type",
    ),
    rule(
        "to nobody",
        "egress",
        0,
        "to",
        0,
        "podSelector",
        "matchLabels",
        to={"app.kubernetes.io/name": "mysql"},
        says="podSelector {'app.kubernetes.io/name': 'mysql'} selects no compiled Pod in matrix-prod",
    ),
    rule(
        "from a port on which nobody listens",
        "ingress",
        0,
        "ports",
        0,
        "port",
        to=8448,
        says="TCP 8448: expected a containerPort of Deployment matrix-prod/matrix-prod-synapse",
    ),
    rule(
        "to a port on which nobody listens",
        "egress",
        0,
        "ports",
        0,
        "port",
        to=3306,
        says="TCP 3306: expected a containerPort of StatefulSet matrix-prod/matrix-prod-postgresql",
    ),
    Break(
        "who is sent to does not let it in",
        put(
            POLICY,
            "spec",
            "ingress",
            0,
            "from",
            0,
            "podSelector",
            "matchLabels",
            "app.kubernetes.io/component",
            to="element",
        ),
        "egress allows Deployment matrix-prod/matrix-prod-router to Deployment matrix-prod/matrix-prod-synapse on TCP"
        " 8008; expected the ingress of it too",
    ),
    Break(
        "who is let in may not send",
        edit(ROUTER, lambda doc: doc["spec"]["egress"].pop(1)),
        "ingress allows Deployment matrix-prod/matrix-prod-router to Deployment matrix-prod/matrix-prod-synapse on TCP"
        " 8008; expected the egress of it too",
    ),
]
