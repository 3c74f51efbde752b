"""Coturn: on the nodes' own network, one a node that is selected, or one Pod behind a balancer."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import config_map, make, selector
from matrixfleet.kubernetes.pods import (
    Mount,
    configuration,
    container,
    deployment,
    pod_template,
    probe,
    scratch,
    secret_files,
    tls_files,
)
from matrixfleet.plan import Plan, waves
from matrixfleet.plan.networks import denied_ranges
from matrixfleet.plan.turn import TurnPort, TurnServer
from matrixfleet.templates import read, render

FOLDER = "/etc/coturn"
RUN = "/run/turn"


@component("workload/turn")
def main(plan: Plan) -> Iterator[Object]:
    """Certificate, configuration, DaemonSet or Deployment with its Service; nothing where the target runs
    no Coturn."""
    turn = plan.turn
    if turn is None:
        return
    if turn.spec.tls:
        yield certificate(plan, turn)
    files = {
        "turnserver.conf": turnserver(plan, turn),
        "configure.sh": read(__file__, "configure.sh"),
        "run.sh": read(__file__, "run.sh"),
        # Empty without NAT.
        "addresses": "".join(f"{bound} {public}\n" for bound, public in turn.external.items()),
    }
    yield config_map(plan, "turn", files, namespace=turn.namespace)
    if turn.on_nodes:
        yield daemon_set(plan, turn, files)
    else:
        yield balancer(plan, turn)
        # Two at a time behind one Service would each get media for the other's relays.
        yield deployment(plan, "turn", template(plan, turn, files), strategy={"type": "Recreate"})


def certificate(plan: Plan, turn: TurnServer) -> Object:
    """By DNS-01: the name resolves to nodes or a balancer of its own, where no edge could answer HTTP-01."""
    issuer = plan.cluster.issuers.dns
    assert issuer is not None
    return make(
        plan,
        "Certificate",
        "turn",
        api="cert-manager.io/v1",
        wave=waves.EDGE,
        namespace=turn.namespace,
        spec={
            "secretName": plan.called("turn-tls"),
            "dnsNames": [turn.host],
            "usages": ["server auth"],
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "issuerRef": {"name": issuer.name, "kind": "ClusterIssuer", "group": "cert-manager.io"},
        },
    )


def turnserver(plan: Plan, turn: TurnServer) -> str:
    """turnserver.conf without its secret and its addresses, which are joined at start."""
    return render(
        __file__,
        "turnserver.conf.j2",
        ports=plan.workloads["turn"].ports,
        relay=turn.relay_ports,
        realm=turn.host,
        run=RUN,
        denied=denied_ranges(plan.cluster.network),
    )


def balancer(plan: Plan, turn: TurnServer) -> Object:
    """Every port, relays included: media comes to the port that a relay was given. Local keeps clients'
    addresses, which Coturn logs and limits by, and media off other nodes."""
    ports = [
        {"name": port.name, "protocol": port.protocol, "port": port.offered, "targetPort": port.name}
        for port in (*turn.ports, *turn.relays)
    ]
    return make(
        plan,
        "Service",
        "turn",
        wave=plan.workloads["turn"].wave,
        annotations=turn.annotations,
        spec={
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Local",
            "selector": selector(plan, "turn"),
            "ports": ports,
        },
    )


def container_port(turn: TurnServer, port: TurnPort) -> Object:
    """A port of the Pod, and of its node where it is on that one's network."""
    said: Object = {"name": port.name, "containerPort": port.number, "protocol": port.protocol}
    return said | {"hostPort": port.number} if turn.on_nodes else said


def template(plan: Plan, turn: TurnServer, files: dict[str, str]) -> Object:
    """The Pod. The kubelet's own check is a STUN binding over UDP, answered by the relay itself."""
    workload = plan.workloads["turn"]
    config = configuration(plan, "turn", FOLDER)
    run = scratch("run", RUN, "1Mi", memory=True)
    held = [secret for secret in plan.secrets if "turn" in secret.readers]
    secrets = [secret_files(secret) for secret in held]
    tls = [tls_files("turn", plan.called("turn-tls"), ("tls.crt", "tls.key"))] if turn.spec.tls else []
    mounts: list[Mount] = [config, run, *secrets, *tls]
    field = {"apiVersion": "v1", "fieldPath": "status.hostIP" if turn.on_nodes else "status.podIP"}
    address = {"name": "ADDRESS", "valueFrom": {"fieldRef": field}}
    asked = f'turnutils_stunclient -p {workload.ports["turn"]} "$ADDRESS" | grep -q reflexive'
    stun = {"exec": {"command": ["sh", "-c", asked]}}
    ports = [container_port(turn, port) for port in (*turn.ports, *turn.relays)]
    if "metrics" in workload.ports:
        ports.append({"name": "metrics", "containerPort": workload.ports["metrics"], "protocol": "TCP"})
    configure = container(
        plan,
        "turn",
        "configuration",
        ["sh", f"{FOLDER}/configure.sh", *(secret.path("shared_secret") for secret in held)],
        [config, run, *secrets],
        env=[address],
    )
    coturn = container(
        plan,
        "turn",
        "coturn",
        ["sh", f"{FOLDER}/run.sh", *(f"{one.path}/tls.crt" for one in tls)],
        [config, run, *tls],
        env=[address],
        startupProbe=probe(5, 24, 5, **stun),
        readinessProbe=probe(10, 3, 5, **stun),
        livenessProbe=probe(20, 3, 5, **stun),
    )
    coturn["ports"] = ports
    network = {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"} if turn.on_nodes else {}
    nodes = {"nodeSelector": dict(turn.spec.node_selector)} if turn.spec.node_selector else {}
    return pod_template(
        plan,
        "turn",
        [coturn],
        mounts,
        init=[configure],
        reads=files,
        **network,
        **nodes,
        # Calls that are under way move to another candidate; a long wait would only hold the node.
        terminationGracePeriodSeconds=30,
    )


def daemon_set(plan: Plan, turn: TurnServer, files: dict[str, str]) -> Object:
    """One on each node that is selected."""
    return make(
        plan,
        "DaemonSet",
        "turn",
        api="apps/v1",
        wave=plan.workloads["turn"].wave,
        namespace=turn.namespace,
        spec={
            "revisionHistoryLimit": 3,
            # Two on one node would fight for its ports.
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
            },
            "selector": {"matchLabels": selector(plan, "turn")},
            "template": template(plan, turn, files),
        },
    )
