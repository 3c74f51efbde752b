"""Coturn on the nodes' own network, one a node that the tenant selects."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import config_map, make, selector
from matrixfleet.kubernetes.pods import (
    Mount,
    configuration,
    container,
    pod_template,
    probe,
    scratch,
    secret_files,
    tls_files,
)
from matrixfleet.plan import TenantPlan, waves
from matrixfleet.plan.networks import address_range, denied
from matrixfleet.templates import read, render

FOLDER = "/etc/coturn"
RUN = "/run/turn"


@component("workload/turn")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Certificate, configuration, DaemonSet; nothing where the tenant runs no Coturn."""
    if not plan.has_turn:
        return
    if plan.tenant.turn.tls:
        yield certificate(plan)
    files = {
        "turnserver.conf": turnserver(plan),
        "configure.sh": read(__file__, "configure.sh"),
        "run.sh": read(__file__, "run.sh"),
    }
    yield config_map(plan, "turn", files, namespace=plan.turn_namespace)
    yield daemon_set(plan, files)


def certificate(plan: TenantPlan) -> Object:
    """By DNS-01: the name resolves to nodes, where no edge could answer HTTP-01."""
    issuer = plan.cluster.issuers.dns
    assert issuer is not None
    return make(
        plan,
        "Certificate",
        "turn",
        api="cert-manager.io/v1",
        wave=waves.EDGE,
        namespace=plan.turn_namespace,
        spec={
            "secretName": plan.called("turn-tls"),
            "dnsNames": [plan.tenant.hosts.turn],
            "usages": ["server auth"],
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "issuerRef": {"name": issuer.name, "kind": "ClusterIssuer", "group": "cert-manager.io"},
        },
    )


def turnserver(plan: TenantPlan) -> str:
    """turnserver.conf without its secret and the node's address, which are joined at start."""
    return render(
        __file__,
        "turnserver.conf.j2",
        turn=plan.tenant.turn,
        realm=plan.tenant.hosts.turn,
        run=RUN,
        denied=[address_range(network) for network in denied(plan.cluster.network.private)],
    )


def daemon_set(plan: TenantPlan, files: dict[str, str]) -> Object:
    """The DaemonSet. The kubelet's own check is a STUN binding over UDP, answered by the relay itself."""
    spec = plan.tenant.turn
    config = configuration(plan, "turn", FOLDER)
    run = scratch("run", RUN, "1Mi", memory=True)
    held = [secret for secret in plan.secrets if "turn" in secret.readers]
    secrets = [secret_files(secret) for secret in held]
    tls = [tls_files("turn", plan.called("turn-tls"), ("tls.crt", "tls.key"))] if spec.tls else []
    mounts: list[Mount] = [config, run, *secrets, *tls]
    node = {"name": "HOST_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.hostIP"}}}
    stun = {"exec": {"command": ["sh", "-c", f'turnutils_stunclient -p {spec.port} "$HOST_IP" | grep -q reflexive']}}
    ports = [
        {"name": f"{name}-{protocol.lower()}", "containerPort": port, "hostPort": port, "protocol": protocol}
        for name, port in plan.workloads["turn"].ports.items()
        for protocol in ("UDP", "TCP")
    ]
    configure = container(
        plan,
        "turn",
        "configuration",
        ["sh", f"{FOLDER}/configure.sh", *(secret.path("shared_secret") for secret in held)],
        [config, run, *secrets],
        env=[node],
    )
    coturn = container(
        plan,
        "turn",
        "coturn",
        ["sh", f"{FOLDER}/run.sh", *(f"{one.path}/tls.crt" for one in tls)],
        [config, run, *tls],
        env=[node],
        startupProbe=probe(5, 24, 5, **stun),
        readinessProbe=probe(10, 3, 5, **stun),
        livenessProbe=probe(20, 3, 5, **stun),
    )
    coturn["ports"] = ports
    template = pod_template(
        plan,
        "turn",
        [coturn],
        mounts,
        init=[configure],
        reads=files,
        hostNetwork=True,
        dnsPolicy="ClusterFirstWithHostNet",
        **({"nodeSelector": dict(spec.node_selector)} if spec.node_selector else {}),
        # Calls that are under way move to another candidate; a long wait would only hold the node.
        terminationGracePeriodSeconds=30,
    )
    return make(
        plan,
        "DaemonSet",
        "turn",
        api="apps/v1",
        wave=plan.workloads["turn"].wave,
        namespace=plan.turn_namespace,
        spec={
            "revisionHistoryLimit": 3,
            # Two on one node would fight for its ports.
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
            },
            "selector": {"matchLabels": selector(plan, "turn")},
            "template": template,
        },
    )
