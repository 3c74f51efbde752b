from rules.breaking import Break, drop, edit, put

FENCE = "ap1/tenant-b/fence"
STRICT = "ap1/matrix-tenants/fence/peerauthentication-matrix-tenants-mesh.yaml"
NOBODY = "ap1/matrix-tenants/fence/authorizationpolicy-matrix-tenants-mesh.yaml"
AUTHORIZATION = f"{FENCE}/authorizationpolicy-tenant-b-synapse.yaml"
PLAIN = f"{FENCE}/peerauthentication-tenant-b-synapse.yaml"
POLICY = f"{FENCE}/networkpolicy-tenant-b-synapse.yaml"
SYNAPSE = "ap1/tenant-b/workload/synapse/deployment-tenant-b-synapse.yaml"
SERVICE = "ap1/tenant-b/workload/synapse/service-tenant-b-synapse.yaml"
RULE = f"{FENCE}/destinationrule-tenant-b-postgresql.yaml"
POD = ("spec", "template")


def annotation(key, says):
    return edit(SYNAPSE, lambda doc: doc["spec"]["template"]["metadata"]["annotations"].pop(key)), says


BREAKS = [
    Break(
        "a Pod that nobody meant to be outside",
        edit(SYNAPSE, lambda doc: doc["spec"]["template"]["metadata"]["labels"].pop("sidecar.istio.io/inject")),
        "Deployment matrix-tenants/tenant-b-synapse: expected label sidecar.istio.io/inject",
    ),
    Break("mutual TLS is no rule", put(STRICT, "spec", "mtls", "mode", to="PERMISSIVE"), "got ['PERMISSIVE']"),
    Break("nothing asks for mutual TLS", drop(STRICT), "expected one PeerAuthentication STRICT for all of"),
    Break("everybody may", drop(NOBODY), "expected an AuthorizationPolicy in matrix-tenants that allows nothing"),
    Break(
        "a workload without its policy",
        drop(AUTHORIZATION),
        "TCP 8008: NetworkPolicies admit matrix-tenants/tenant-b-router; expected an AuthorizationPolicy that does too",
    ),
    Break(
        "another tenant's identity",
        put(
            AUTHORIZATION,
            "spec",
            "rules",
            0,
            "from",
            0,
            "source",
            "principals",
            to=["cluster.local/ns/matrix-tenants/sa/tenant-a-router"],
        ),
        "an AuthorizationPolicy admits matrix-tenants/tenant-a-router; expected a NetworkPolicy that does too",
    ),
    Break(
        "whoever comes, where a neighbour was meant",
        edit(AUTHORIZATION, lambda doc: doc["spec"]["rules"][0].pop("from")),
        "TCP 8008: an AuthorizationPolicy admits anybody; expected a NetworkPolicy that does too",
    ),
    Break(
        "Prometheus is asked for an identity",
        drop(PLAIN),
        "TCP 9092 admits whoever comes and takes mutual TLS alone; expected the two to agree",
    ),
    Break(
        "plain connections that nobody needs",
        put(PLAIN, "spec", "portLevelMtls", "8008", to={"mode": "PERMISSIVE"}),
        "TCP 8008 admits identities alone and takes plain connections; expected the two to agree",
    ),
    Break(
        "an exception without a reason",
        put(PLAIN, "metadata", "annotations", "matrix-fleet/exceptions", to="TCP 9092:\n"),
        "expected a line TCP 9092: REASON",
    ),
    Break(
        "a port whose sidecar refuses mutual TLS",
        put(PLAIN, "spec", "portLevelMtls", "9092", "mode", to="DISABLE"),
        "portLevelMtls 9092: expected PERMISSIVE, got DISABLE",
    ),
    Break(
        "a workload whose every port is plain",
        put(PLAIN, "spec", "mtls", "mode", to="PERMISSIVE"),
        "mtls.mode: expected STRICT, with exceptions by port",
    ),
    Break("a sidecar that keeps a Job", *annotation("sidecar.istio.io/nativeSidecar", 'expected "true": else a Job')),
    Break("a sidecar without a limit", *annotation("sidecar.istio.io/proxyMemoryLimit", "expected one: quota counts")),
    Break(
        "a sidecar that reaches no istiod",
        edit(POLICY, lambda doc: doc["spec"]["egress"].pop()),
        "expected its NetworkPolicy to let it reach istiod on TCP 15012",
    ),
    Break(
        "a sidecar on a node's network",
        put(SYNAPSE, *POD, "spec", "hostNetwork", to=True),
        "hostNetwork: expected none of a Pod in the mesh",
    ),
    Break(
        "a sidecar that reads requests",
        put(SERVICE, "spec", "ports", 0, "appProtocol", to="redis"),
        "port http: expected appProtocol tcp, or http for an edge, got redis",
    ),
    Break(
        "TLS in TLS",
        put(RULE, "spec", "trafficPolicy", "tls", to={"mode": "SIMPLE"}),
        "trafficPolicy.tls: expected none",
    ),
]
