"""The compiled NetworkPolicies, enforced: what they allow is used, and nothing else comes through."""

import contextlib
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from harness import eventually, reaches

METADATA = ("169.254.169.254", 80)

# Who may open a connection to whom, as docs/architecture.md and the tenant's page say it; not read from the policies.
ALLOWED_SINGLE = {
    ("traefik", "router"): {8080},
    ("traefik", "element"): {8080},
    ("router", "synapse"): {8008, 8081},
    ("synapse", "postgresql"): {5432},
    ("prometheus", "router"): {8405},
    ("prometheus", "synapse"): {9092},
    ("prometheus", "postgresql"): {9187},
    ("prometheus", "element"): {9113},
}
SERVING = {"synapse", "generic", "client-reader", "federation-reader", "media-repository"}
WRITING = {"event-persister", "writer-accounts", "writer-ephemeral"}
ANSWERING = SERVING | WRITING - {"event-persister"}
ASKED = {*WRITING, "synapse", "media-repository"}
SYNAPSES = SERVING | WRITING | {"federation-sender", "pusher", "background"}
ALLOWED_HA = {
    ("traefik", "router"): {8080},
    ("traefik", "element"): {8080},
    ("prometheus", "router"): {8405},
    ("prometheus", "redis"): {9121},
    ("prometheus", "element"): {9113},
    ("pgbouncer", "postgres"): {5432},
    **{("router", one): {8008, 8081} for one in ANSWERING},
    **{("prometheus", one): {9092} for one in SYNAPSES},
    **{(one, "redis"): {6379} for one in SYNAPSES},
    **{(one, "pgbouncer"): {5432} for one in SYNAPSES},
    **{
        (one, writer): {9093}
        for one in SYNAPSES
        for writer in (*WRITING, "synapse", "media-repository")
        if one != writer
    },
    # Clients, of whom there are some everywhere but in the tenant, ask for relays.
    **{(one, "turn"): {3478, 5349} for one in ("traefik", "stranger", "prometheus")},
}
ALLOWED = {"single": ALLOWED_SINGLE, "ha": ALLOWED_HA}
# Ports that a Pod names and nobody listens on.
SILENT = {("turn", 9641): "Debian's Coturn has no exporter"}
# Rules that nothing here uses, by their policy and their own words, each with its reason.
NOT_ORDERED = "no certificate is being ordered"
NO_JOB = "the Job of Secrets does not run as a Pod"
NO_BACKUPS = "make test-drills proves backups"
NO_OPERATOR = "CloudNativePG's operator, its instance managers and its replicas are not here"
NOT_REWRITTEN = "the edge is at its public address here, which nothing rewrites to a Pod's (tests/test_cni.py)"
EVERYWHERE = {
    ("bootstrap", ""): NO_JOB,
    ("acme-solver", ""): NOT_ORDERED,
    **{(job, ""): NO_BACKUPS for job in ("dump", "verify", "drill")},
    ("postgresql", "from dump "): NO_BACKUPS,
}
UNUSED = {
    "single": {**EVERYWHERE, ("synapse", "to the edge "): NOT_REWRITTEN},
    "ha": {
        **EVERYWHERE,
        **{(one, "to the edge "): NOT_REWRITTEN for one in sorted(SYNAPSES - {"writer-ephemeral"})},
        ("postgresql", "from CloudNativePG "): NO_OPERATOR,
        ("postgresql", "from monitoring "): NO_OPERATOR,
        ("postgresql", "from postgresql "): NO_OPERATOR,
        ("postgresql", "to "): NO_OPERATOR,
        ("pgbouncer", "to the Kubernetes API "): NO_OPERATOR,
        ("pgbouncer", "from monitoring "): NO_OPERATOR,
        ("media-repository", "from synapse, "): "who writes down what is quarantined has a port like all writers, and "
        "Synapse 1.163 reads that from the database",
        (
            "writer-ephemeral",
            "to synapse, ",
        ): "it asks no other writer in Synapse 1.163; any process may, says upstream",
    },
}


@pytest.fixture(scope="module")
def strangers(node, single):
    """A Prometheus' Pod where policies look for it, and one that no policy knows, of another namespace."""
    pods = []
    for namespace, name in (("monitoring", "prometheus"), ("other", "stranger")):
        container = {"name": "shell", "image": "fleetnode/shell", "command": ["sleep", "86400"]}
        metadata = {"labels": {"app.kubernetes.io/name": name}}
        spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
        pods.append({"kind": "Pod", "metadata": {"name": name, "namespace": namespace, **metadata}, "spec": spec})
    node.wait_ready(20, node.apply(pods))
    yield [node.runs["monitoring/prometheus"], node.runs["other/stranger"]]
    for pod in pods:
        node.remove("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])


@pytest.fixture(params=["single", "ha"])
def named(request):
    """Each tenant in turn, with what it is called here."""
    return request.param, request.getfixturevalue(request.param)


def kind_of(run):
    """Its component; what CloudNativePG makes has none, and is called by its program."""
    labels = run.pod.labels
    return labels.get("app.kubernetes.io/component") or labels.get("app.kubernetes.io/name") or run.main[0].name


def ports_of(run):
    """Every TCP port that the Pod's containers name."""
    ports = [port for one in run.pod.containers for port in one.get("ports", [])]
    return {port["containerPort"] for port in ports if port.get("protocol", "TCP") == "TCP"}


def test_nothing_that_is_needed_is_denied(node, named):
    """The first here: a tenant came up and was used, and no Pod of it met a wall."""
    _, server = named
    assert server.http().get(f"{server.url}/_matrix/client/versions", timeout=10).ok
    denied = {}
    for key, counts in node.counters().items():
        for comment, packets in counts.items():
            if key.startswith(f"{server.namespace}/") and comment.startswith("denied") and packets:
                denied[f"{key} {comment}"] = packets
    assert not denied


def test_every_rule_is_used(node, named, strangers):
    """Each rule that lets something in or out has let something: a rule that nothing needs is a hole. Before walls are
    tried here: those tries would count."""
    name, server = named
    element = next(host for host in server.hosts if host.startswith("chat."))
    assert server.http().get(f"https://{element}/", timeout=10).ok
    with ThreadPoolExecutor(16) as pool:
        for run in node.pods(namespace=server.namespace):
            # Prometheus' part.
            for port in ports_of(run) if run.ready else ():
                pool.submit(reaches, node, strangers[0], run.address, port, 1)
            # Federation: some address of the Internet. Nobody answers there, and the rule has let it go.
            pool.submit(reaches, node, run, "11.0.0.250", 8448, 0.5)
    if name == "ha":
        relay(node, server.pod("turn"), strangers[1])
        miss_what_redis_tells(node, server)
    excepted = {one for one in rules(server) if excused(name, *one[1:])}
    with contextlib.suppress(AssertionError):
        eventually(lambda: not unused(node, server) - excepted, 60)
    left = unused(node, server)
    assert left == excepted, f"never used: {left - excepted}; used after all: {excepted - left}"


def test_only_what_is_allowed_comes_through(node, named, strangers):
    """From every kind of Pod to every port of every kind, and to the metadata address."""
    name, server = named
    running = [run for run in node.pods(namespace=server.namespace) if run.ready]
    sources = {kind_of(run): run for run in reversed([*running, *strangers, *node.pods(namespace="traefik")])}
    targets = {kind_of(run): run for run in running}
    tries, wrong = {}, []
    with ThreadPoolExecutor(64) as pool:
        for kind, target in targets.items():
            for port in ports_of(target):
                if (kind, port) in SILENT:
                    continue
                assert reaches(node, target, target.address, port), f"{target.key} itself does not listen on {port}"
                for near, source in sources.items():
                    if source is not target:
                        seconds = 5 if port in ALLOWED[name].get((near, kind), ()) else 1
                        tries[near, kind, port] = pool.submit(reaches, node, source, target.address, port, seconds)
        for near, source in sources.items():
            if source in running:
                tries[near, "metadata", METADATA[1]] = pool.submit(reaches, node, source, *METADATA, 1)
    for (near, kind, port), tried in tries.items():
        if tried.result() != (port in ALLOWED[name].get((near, kind), ())):
            wrong.append(f"{near} to {kind} {port}: {tried.result()}")
    assert not wrong, "\n".join(wrong)


def test_denied_tries_are_counted_on_the_side_that_denies(node, named, strangers):
    _, server = named
    router, element = server.pod("router"), server.pod("element")
    database = server.pod_of("postgres", "postgresql")
    before = node.counters()
    assert not reaches(node, router, database.address, 5432)
    assert not reaches(node, element, *METADATA)
    assert not reaches(node, strangers[1], database.address, 5432)
    after = node.counters()

    def more(run, name):
        return after[run.key][name] - before[run.key][name]

    assert more(router, "denied egress") >= 1
    assert more(element, "denied egress") >= 1
    assert more(database, "denied ingress") >= 1


def test_a_tenant_does_not_reach_another(node, single, ha):
    """From every kind of Pod of one to what the other listens on, both ways."""
    tries = {}
    with ThreadPoolExecutor(32) as pool:
        for near, far in ((single, ha), (ha, single)):
            targets = [run for run in node.pods(namespace=far.namespace) if run.ready]
            for source in node.pods(namespace=near.namespace):
                for target in targets if source.ready else ():
                    for port in ports_of(target):
                        said = f"{source.key} to {target.key} {port}"
                        tries[said] = pool.submit(reaches, node, source, target.address, port, 1)
    assert tries and not [said for said, tried in tries.items() if tried.result()]


def rules(server):
    """Every rule of the tenant's policies: what its counter is called, its policy, and its own words."""
    found = []
    for policy in server.tenant.objects:
        if policy["kind"] != "NetworkPolicy" or policy["metadata"]["namespace"] != server.namespace:
            continue
        name = policy["metadata"]["name"]
        told = policy["metadata"].get("annotations", {}).get("matrix-fleet/flows", "").splitlines()
        for direction, word in (("ingress", "from "), ("egress", "to ")):
            words = [line for line in told if line.startswith(word)]
            spelled = policy["spec"].get(direction) or []
            assert len(words) == len(spelled), f"{name}: {direction}"
            found += [
                (f"{server.namespace}/{name} {direction} {number}", name, said) for number, said in enumerate(words)
            ]
    return found


def unused(node, server):
    """The rules whose counters stand at nothing."""
    packets = Counter()
    for counts in node.counters().values():
        packets.update(counts)
    return {one for one in rules(server) if not packets[one[0]]}


def excused(tenant, policy, said):
    return any(policy.endswith(f"-{component}") and said.startswith(words) for component, words in UNUSED[tenant])


def relay(node, turn, caller):
    """What comes to a relay and goes out of it, packet by packet; test_turn.py has whole calls."""

    def sent(*targets):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            for target in targets:
                made.sendto(b"x", target)

    node.inside(caller, lambda: sent((turn.address, 3478), (turn.address, 50000)))
    node.inside(turn, lambda: sent(("11.0.0.250", 40000)))


def miss_what_redis_tells(node, server):
    """Somebody types while Redis is away: each process asks the writer for what it missed, when Redis is back."""
    alice = server.person("alice")
    path = f"rooms/{quote(alice.room())}/typing/{quote(alice.id)}"
    redis = server.pod("redis")
    redis.kill("redis")
    begun = time.monotonic()
    while time.monotonic() - begun < 3:
        alice.ask("PUT", path, {"typing": True, "timeout": 20_000})
        alice.ask("PUT", path, {"typing": False})
    node.wait_ready(30, [redis])


@pytest.mark.parametrize(
    ("policy", "client", "server", "port"),
    [
        ("synapse", "router", "synapse", 8008),
        ("postgresql", "synapse", "postgresql", 5432),
        ("router", "traefik", "router", 8080),
    ],
)
def test_without_its_policy_a_flow_is_cut(node, single, policy, client, server, port):
    """Three policies removed on purpose: what each lets in comes no longer, and comes again with it."""
    name = f"{single.tenant.folder.name}-{policy}"
    kept = node.objects.need("NetworkPolicy", single.namespace, name)
    source = node.pods(namespace="traefik")[0] if client == "traefik" else single.pod(client)
    target = single.pod(server)
    assert reaches(node, source, target.address, port)
    node.remove("NetworkPolicy", single.namespace, name)
    node.sync()
    try:
        assert not reaches(node, source, target.address, port)
    finally:
        node.apply([kept])
        node.sync()
    assert reaches(node, source, target.address, port)
