"""The compiled NetworkPolicies, enforced: what they allow is used, and nothing else comes through."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import eventually, reaches

from podrunner.node import NAMESERVER

METADATA = ("169.254.169.254", 80)

# Who may open a connection to whom, as docs/architecture.md and the tenant's page say it; not read from the policies.
ALLOWED = {
    ("traefik", "router"): {8080},
    ("traefik", "element"): {8080},
    ("router", "synapse"): {8008, 8081},
    ("synapse", "postgresql"): {5432},
    ("prometheus", "router"): {8405},
    ("prometheus", "synapse"): {9092},
    ("prometheus", "postgresql"): {9187},
}
# Rules of `single` that nothing here uses: the Job of Secrets does not run as a Pod, no certificate is being ordered.
UNUSED = {"bootstrap", "acme-solver"}


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


def kind_of(run):
    return run.pod.labels.get("app.kubernetes.io/component") or run.pod.labels.get("app.kubernetes.io/name")


def ports_of(run):
    """Every TCP port that the Pod's containers name, and listen on."""
    return {port["containerPort"] for one in run.pod.containers for port in one.get("ports", [])}


@pytest.mark.parametrize("name", ["single", "ha"])
def test_nothing_that_is_needed_is_denied(request, node, name):
    """The first here: a tenant came up and was used, and no Pod of it met a wall."""
    server = request.getfixturevalue(name)
    assert server.http().get(f"{server.url}/_matrix/client/versions", timeout=10).ok
    denied = {}
    for key, counts in node.counters().items():
        for comment, packets in counts.items():
            if key.startswith(f"{server.namespace}/") and comment.startswith("denied") and packets:
                denied[f"{key} {comment}"] = packets
    assert not denied


def test_only_what_is_allowed_comes_through(node, single, strangers):
    """From every kind of Pod to every port of every Pod of the tenant, to the metadata address, to the node."""
    running = [run for run in node.pods(namespace=single.namespace) if run.ready]
    sources = [*running, *strangers, *node.pods(namespace="traefik")]
    tries = {}
    with ThreadPoolExecutor(32) as pool:
        for target in running:
            for port in ports_of(target):
                assert reaches(node, target, target.address, port), f"{target.key} itself does not listen on {port}"
                for source in sources:
                    if source is not target:
                        tries[(source, target, port)] = pool.submit(reaches, node, source, target.address, port)
        for source in running:
            tries[(source, None, METADATA)] = pool.submit(reaches, node, source, *METADATA)
    wrong = []
    for (source, target, port), tried in tries.items():
        kinds = (kind_of(source), kind_of(target) if target else "")
        if tried.result() != (port in ALLOWED.get(kinds, set())):
            wrong.append(f"{source.key} to {target.key if target else 'metadata'} {port}: {tried.result()}")
    assert not wrong, "\n".join(wrong)


def test_denied_tries_are_counted_on_the_side_that_denies(node, single, strangers):
    before = node.counters()
    router, element = single.pod("router"), single.pod("element")
    database = single.pod("postgresql")
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


def test_every_rule_is_used(node, single, strangers):
    """Each rule that lets something in or out has let something: a rule that nothing needs is a hole."""
    server = single
    http = server.http()
    assert http.get(f"{server.url}/_matrix/client/versions", timeout=10).ok
    element = next(host for host in server.hosts if host.startswith("chat."))
    assert http.get(f"https://{element}/", timeout=10).ok
    with ThreadPoolExecutor(16) as pool:
        for run in node.pods(namespace=server.namespace):
            for port in ports_of(run) if run.ready else ():
                pool.submit(reaches, node, strangers[0], run.address, port, 1)
            # Federation, a bucket: some address of the Internet. Nobody answers there, and the rule has let it go.
            for port in (8448, 443):
                pool.submit(reaches, node, run, "11.0.0.250", port, 0.5)
            pool.submit(reaches, node, run, NAMESERVER, 53)

    def unused():
        found = {}
        for counts in node.counters().values():
            for comment, packets in counts.items():
                if comment.startswith(f"{server.namespace}/"):
                    found[comment] = found.get(comment, 0) + packets
        return sorted(
            comment
            for comment, packets in found.items()
            if packets == 0 and not any(f"/{server.tenant.folder.name}-{other} " in comment for other in UNUSED)
        )

    eventually(lambda: not unused() or pytest.fail(f"never used: {unused()}"), 5)


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
