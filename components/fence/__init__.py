"""The tenant's walls: namespaces, what may be asked for in them, and who may do what."""

from collections.abc import Iterator, Sequence

from matrixfleet.drawing import In, component
from matrixfleet.kubernetes.edges import NAMESPACE_LABELS
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import CONFIRM, HOST_PATHS, HOSTS, PREFIX, SEVERAL, make
from matrixfleet.kubernetes.pods import LOGS
from matrixfleet.plan import Plan, TenantPlan
from matrixfleet.plan.logs import NODE_FILES
from matrixfleet.plan.secrets import TAKEN, Secret

WHY_HOST_NETWORK = (
    "Coturn relays on the nodes' own addresses (hostNetwork), which Pod Security restricted and baseline"
    " forbid; NetworkPolicies do not reach such Pods: the nodes' firewall does"
)

WHY_FILES = (
    "the agent reads its node's log files, which are root's, and keeps its place in them beside (hostPath), which"
    " Pod Security restricted and baseline forbid; a policy of admission allows these paths alone"
)


@component("fence")
def main(plan: Plan) -> Iterator[Object | In]:
    """Namespaces, quota, limits, ServiceAccounts, Roles; nothing for a platform that runs nothing."""
    if not plan.namespaces:
        return
    if plan.namespace in plan.owned_namespaces:
        yield namespace(plan, plan.namespace, "restricted", of_many(plan))
        yield quota(plan)
        yield limits(plan)
    if plan.turn and plan.turn.on_nodes:
        yield namespace(plan, plan.turn_namespace, "privileged", {PREFIX + "reason": WHY_HOST_NETWORK})
    if plan.logs_namespace in plan.namespaces:
        reasons = {PREFIX + "reason": WHY_FILES, HOST_PATHS: ",".join(NODE_FILES)}
        yield namespace(plan, plan.logs_namespace, "privileged", reasons)
    for name in plan.workloads:
        yield service_account(plan, name)
    places = {place for secret in plan.secrets for place in secret.namespaces} & {*plan.namespaces}
    for place in sorted(places) if "bootstrap" in plan.workloads else ():
        yield role(plan, place)
        yield role_binding(plan, place)
    borrows = plan.borrows if isinstance(plan, TenantPlan) else ()
    for place in sorted({secret.namespaces[0] for secret in borrows}):
        # A part of its own, and so a project of its own: the fence's would admit all of its kinds there.
        yield In(f"shared/{place}", borrower_role(plan, place, borrows))
        yield In(f"shared/{place}", role_binding(plan, place))


def of_many(plan: Plan) -> dict[str, str]:
    """What tells a namespace of several tenants from a tenant's own."""
    return {SEVERAL: "true"} if plan.target.namespace else {}


def said_hosts(plan: Plan) -> dict[str, str]:
    """What admission reads: the target's hosts, and in a namespace of several tenants those of each by its name."""
    members = {f"{HOSTS}.{each.short}": TenantPlan(each).names for each in plan.target.members}
    return {key: ",".join(names) for key, names in {HOSTS: plan.names, **members}.items() if names}


def namespace(plan: Plan, name: str, level: str, annotations: dict[str, str] | None = None) -> Object:
    """A namespace with its Pod Security level."""
    thing = make(
        plan,
        "Namespace",
        "fence",
        name=name,
        namespace=None,
        wave=0,
        annotations={**CONFIRM, **said_hosts(plan), **(annotations or {})},
    )
    if plan.target.namespace:
        # For the agent that reads logs: Vector is told labels of namespaces, not their annotations.
        thing["metadata"]["labels"][SEVERAL] = "true"
    if plan.public_hosts:
        thing["metadata"]["labels"] |= NAMESPACE_LABELS.get(plan.cluster.edge.controller, {})
    thing["metadata"]["labels"] |= {
        f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "audit", "warn")
    }
    return thing


def quota(plan: Plan) -> Object:
    """Room for all that is drawn, every rollout and guest included, and no more."""
    room = plan.quota
    hard = {
        "requests.cpu": f"{room.cpu}m",
        "requests.memory": f"{room.memory}Mi",
        "limits.memory": f"{room.memory}Mi",
        "pods": str(room.pods),
        "persistentvolumeclaims": str(room.claims),
        "requests.storage": str(room.storage),
        "services.loadbalancers": str(room.balancers),
        "services.nodeports": str(room.node_ports),
    }
    return make(plan, "ResourceQuota", "fence", wave=1, spec={"hard": hard})


def limits(plan: Plan) -> Object:
    """For containers that say nothing of their resources: without these the quota would refuse them."""
    entry = {
        "type": "Container",
        "default": {"memory": "128Mi"},
        "defaultRequest": {"cpu": "50m", "memory": "128Mi", "ephemeral-storage": f"{LOGS}Mi"},
    }
    return make(plan, "LimitRange", "fence", wave=1, spec={"limits": [entry]})


def service_account(plan: Plan, name: str) -> Object:
    """One a workload, so that a token, where there is one, opens only what that workload needs."""
    return make(
        plan,
        "ServiceAccount",
        name,
        wave=1,
        namespace=plan.place(name),
        automountServiceAccountToken=False,
    )


def role(plan: Plan, place: str) -> Object:
    """The bootstrap Job's: create Secrets, and read just those of its list, by name. RBAC cannot bind
    `create` to names; nothing that exists can be read or changed with it."""
    here = [secret for secret in plan.secrets if place in secret.namespaces]
    taken = {kind.removeprefix(TAKEN) for secret in here for _, kind in secret.keys if kind.startswith(TAKEN)}
    mine = sorted({secret.name for secret in here} | taken)
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": mine, "verbs": ["get"]},
    ]
    return bootstrap_role(plan, place, rules)


def bootstrap_role(plan: Plan, place: str, rules: list[Object]) -> Object:
    """A Role of the bootstrap Job's in one namespace."""
    return make(
        plan,
        "Role",
        "bootstrap",
        api="rbac.authorization.k8s.io/v1",
        wave=1,
        name=role_name(plan, place),
        namespace=place,
        rules=rules,
    )


def role_name(plan: Plan, place: str) -> str:
    """The bootstrap Job's Role in one namespace."""
    if place == plan.turn_namespace:
        return f"{plan.called('bootstrap')}-turn"
    if place.startswith(plan.namespace):
        return f"{plan.called('bootstrap')}{place.removeprefix(plan.namespace)}"
    return plan.called("bootstrap")


def borrower_role(plan: Plan, place: str, borrows: Sequence[Secret]) -> Object:
    """The bootstrap Job's in a namespace of the platform's: read just the Secrets that it copies."""
    names = sorted(secret.name for secret in borrows if secret.namespaces[0] == place)
    rules = [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get"]}]
    return bootstrap_role(plan, place, rules)


def role_binding(plan: Plan, place: str) -> Object:
    """Only the Job's ServiceAccount has it."""
    name = role_name(plan, place)
    return make(
        plan,
        "RoleBinding",
        "bootstrap",
        api="rbac.authorization.k8s.io/v1",
        wave=1,
        name=name,
        namespace=place,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        subjects=[{"kind": "ServiceAccount", "name": plan.called("bootstrap"), "namespace": plan.namespace}],
    )
