from rules.breaking import MEDIA, POSTGRESQL, PROD, SYNAPSE, Break, drop, edit, put

QUOTA = f"{PROD}/fence/resourcequota-matrix-prod-fence.yaml"
LIMITS = f"{PROD}/fence/limitrange-matrix-prod-fence.yaml"
ROUTER = f"{PROD}/workload/router/deployment-matrix-prod-router.yaml"
CONTAINER = ("spec", "template", "spec", "containers", 0)


def scaler(tree):
    doc = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "matrix-prod-router", "namespace": "matrix-prod"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "matrix-prod-router"},
            "maxReplicas": 50,
        },
    }
    return tree.having(f"{PROD}/workload/router/horizontalpodautoscaler-matrix-prod-router.yaml", doc)


def balancer(tree):
    doc = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "matrix-prod-balancer", "namespace": "matrix-prod"},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]},
    }
    return tree.having(f"{PROD}/workload/router/service-matrix-prod-balancer.yaml", doc)


def sidecar(doc):
    first = doc["spec"]["template"]["spec"]["initContainers"][0]
    first["restartPolicy"] = "Always"
    first["resources"] = {"requests": {"cpu": "10m", "memory": "3Gi"}, "limits": {"memory": "3Gi"}}


BREAKS = [
    Break("a quota without room for a balancer", balancer, "services.loadbalancers: expected 1 or more"),
    Break("a quota without room for its ports", balancer, "services.nodeports: expected 2 or more"),
    Break(
        "no request of CPU",
        edit(SYNAPSE, lambda doc: doc["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"].pop("cpu")),
        "container synapse: expected a request of cpu, got none",
    ),
    Break(
        "more memory than it asks for",
        put(SYNAPSE, *CONTAINER, "resources", "limits", "memory", to="4Gi"),
        "container synapse: expected a limit of memory equal to its request 3Gi, got 4Gi",
    ),
    Break(
        "no limit of memory",
        put(SYNAPSE, *CONTAINER, "resources", "limits", to={}),
        "container synapse: expected a limit of memory equal to its request 3Gi, got None",
    ),
    Break("no quota", drop(QUOTA), "expected a ResourceQuota in its namespace matrix-prod, got none"),
    Break("no limits", drop(LIMITS), "expected a LimitRange in its namespace matrix-prod, got none"),
    Break(
        "a quota that does not count Pods",
        edit(QUOTA, lambda doc: doc["spec"]["hard"].pop("pods")),
        "ResourceQuota matrix-prod/matrix-prod-fence: pods: expected",
    ),
    Break(
        "a quota that has no room for memory",
        put(QUOTA, "spec", "hard", "limits.memory", to="6Gi"),
        "limits.memory: expected",
    ),
    Break(
        "a quota without room for the surge of a rollout",
        put(ROUTER, "spec", "strategy", "rollingUpdate", "maxSurge", to="1000%"),
        "pods: expected 17 or more",
    ),
    Break("a quota without room for all that a scaler makes", scaler, "pods: expected"),
    Break("a quota without room for a sidecar", edit(SYNAPSE, sidecar), "requests.memory: expected"),
    Break(
        "a quota without room for an init container",
        put(
            SYNAPSE,
            *CONTAINER[:-2],
            "initContainers",
            0,
            "resources",
            to={"requests": {"cpu": "10m", "memory": "8Gi"}, "limits": {"memory": "8Gi"}},
        ),
        "requests.memory: expected",
    ),
    Break(
        "a quota without room for a claim",
        put(MEDIA, "spec", "resources", "requests", "storage", to="1Ti"),
        "requests.storage: expected 1122060206080 or more",
    ),
    Break(
        "a quota without room for the claims of replicas",
        put(POSTGRESQL, "spec", "replicas", to=3),
        "persistentvolumeclaims: expected 5 or more, which all Pods ask for, got 3",
    ),
    Break(
        "a quota without room for one instance more",
        put("eu1/matrix-ha/workload/cnpg/cluster-matrix-ha-postgresql.yaml", "spec", "instances", to=6),
        "ResourceQuota matrix-ha/matrix-ha-fence: persistentvolumeclaims: expected",
    ),
    Break(
        "a shared namespace without room for all of its tenants",
        put("ap1/matrix-tenants/fence/resourcequota-matrix-tenants-fence.yaml", "spec", "hard", "pods", to="9"),
        "ResourceQuota matrix-tenants/matrix-tenants-fence: pods: expected",
    ),
]
