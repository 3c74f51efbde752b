"""What tenants need is allowed whatever CNI the cluster has: flows over compiled policies, in each one's semantics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from cni import CILIUM_BY_DEFAULT, CNIS, Cni, End, Way, allows
from fleets import TOP, Repository
from matrixfleet.checks import Tree
from matrixfleet.drawing import draw_target
from matrixfleet.errors import FleetError
from matrixfleet.model import Fleet, choices
from matrixfleet.model.peers import Peer

PUBLIC, PRIVATE = "93.184.215.14", "10.77.0.9"
ASKING = {"synapse", "generic", "event-persister", "federation-sender", "media-repository", "writer-accounts"}
"""Processes that ask other servers."""


def edge_of(peer: Peer, port: int) -> End:
    """Where connections to the edge end."""
    if peer.namespace:
        return End("10.244.3.4", port, peer.namespace, {**peer.pods, "pod-template-hash": "x"})
    return End(str(peer.cidrs[0]).replace("0/24", "7"), port)


def compiled(top: Path, cluster: str, edge: str = "", network: str = "", leave: Sequence[str] = ()) -> Tree:
    """A cluster's targets with more said of its edge and its network."""
    repository = Repository(top)
    path = f"inventory/classes/cluster/{cluster}.yml"
    if network:
        # What each kind demands.
        repository.edit(path, "        port: 6443\n", "        port: 6443\n        service: 10.96.0.1\n")
        repository.edit(path, "      private: [10.0.0.0/8", "      private: ['fd00:10::/32', 10.0.0.0/8")
    for key, more in (("edge", edge), ("network", network)):
        repository.edit(path, f"\n    {key}:\n", f"\n    {key}:\n{more}")
    fleet = Fleet.read(top / "inventory")
    for target in fleet.names:
        if target.startswith(f"{cluster}.") and target not in leave:
            for name, text in draw_target(fleet, target, top).items():
                (top / "compiled" / target.replace(".", "/") / name).parent.mkdir(parents=True, exist_ok=True)
                (top / "compiled" / target.replace(".", "/") / name).write_text(text)
    return Tree.read(top / "compiled", fleet)


def asking(tree: Tree, cluster: str) -> list[tuple[str, dict[str, str]]]:
    """Namespace and labels of the processes that ask other servers, of tenants that federate."""
    found = []
    for pod in tree.pods:
        if pod.entry.cluster == cluster and pod.labels.get("app.kubernetes.io/component") in ASKING:
            found.append((pod.entry.namespace, dict(pod.labels)))
    assert found
    return found


@pytest.mark.parametrize("cni", CNIS, ids=lambda one: one.name)
@pytest.mark.parametrize("cluster", ["eu1", "us1", "ap1"])
def test_tenants_reach_names_of_their_own_cluster(tree: Tree, fleet: Fleet, cluster: str, cni: Cni) -> None:
    (peer,) = fleet.platform(f"{cluster}.platform").cluster.edge.peers
    pods = bool(peer.namespace)
    # A balancer that is no Pod is asked at its own address.
    way = Way(End(PUBLIC, 443), edge_of(peer, 8443) if pods else End(PUBLIC, 443))
    for namespace, labels in asking(tree, cluster):
        assert allows(tree, cluster, namespace, labels, way, cni), f"{namespace}: {labels}"


@pytest.mark.parametrize("cni", CNIS, ids=lambda one: one.name)
def test_a_balancer_with_a_private_address(tmp_path: Path, cni: Cni) -> None:
    """The way is open, and Synapse does not refuse the address by itself."""
    tree = compiled(tmp_path, "eu1", f"      addresses: [{PRIVATE}/32]\n")
    way = Way(End(PRIVATE, 443), End("10.244.3.4", 8443, "traefik", {"app.kubernetes.io/name": "traefik"}))
    others = [End("10.77.0.8", 443), End(PRIVATE, 22), End("10.244.3.4", 9100, "traefik", way.ends.labels)]
    for namespace, labels in asking(tree, "eu1"):
        assert allows(tree, "eu1", namespace, labels, way, cni), f"{namespace}: {labels}"
        for other in others:
            assert not allows(tree, "eu1", namespace, labels, Way(other, other), cni), f"{namespace}: {other}"
    for entry in tree.of_kind("ConfigMap"):
        for name, text in entry.doc["data"].items():
            if name == "homeserver.yaml":
                options = yaml.safe_load(text)
                assert options["ip_range_whitelist"] == [f"{PRIVATE}/32"]
                previews = options["url_preview_enabled"]
                assert options.get("url_preview_ip_range_whitelist") == ([f"{PRIVATE}/32"] if previews else None)


def test_every_flow_to_the_internet_goes_to_the_edge_too(tree: Tree, fleet: Fleet) -> None:
    """Federation, log-in, push, previews, mail, buckets, log stores: any of them may be a name that is served here. UDP
    of relays is not by name."""
    found = 0
    for policy in tree.of_kind("NetworkPolicy"):
        edge = fleet.platform(f"{policy.cluster}.platform").cluster.edge
        wanted = {peer.namespace or peer.cidrs[0] for peer in edge.peers}
        rules = policy.spec.get("egress") or []
        internet = any(
            block["cidr"] == "0.0.0.0/0" and rule["ports"][0]["protocol"] == "TCP"
            for rule in rules
            for block in (peer.get("ipBlock") for peer in rule["to"])
            if block
        )
        if internet:
            named = [peer for rule in rules for peer in rule["to"]]
            reached = {(one.get("ipBlock") or {}).get("cidr") for one in named}
            for one in named:
                labels = one.get("namespaceSelector", {}).get("matchLabels", {})
                reached.add(labels.get("kubernetes.io/metadata.name"))
            assert wanted <= reached, f"{policy}"
            found += 1
    assert found > 10


@pytest.mark.parametrize("cni", CNIS, ids=lambda one: one.name)
def test_the_api_server_is_reached(tmp_path: Path, cni: Cni) -> None:
    """By its Service's address and by its endpoints', which are nodes."""
    tree = compiled(tmp_path, "eu1", network="      cni: aws-vpc-cni\n")
    way = Way(End("10.96.0.1", 443), End("10.20.0.10", 6443, node=True))
    asking = [pod for pod in tree.pods if pod.labels.get("app.kubernetes.io/component") in ("bootstrap", "logs")]
    assert len(asking) > 3
    for pod in asking:
        place = (pod.entry.cluster, pod.entry.namespace, dict(pod.labels))
        assert allows(tree, *place, way, cni), f"{pod.entry}"
        # What docs/network-policies.md says of Cilium's default is true.
        assert not allows(tree, *place, way, CILIUM_BY_DEFAULT)


LISTENING = {
    "ipv4": ["bind :8080", "listen 8080;", "bind 0.0.0.0", "0.0.0.0:", "ip4"],
    "ipv6": ["bind [::]:8080 v6only", "listen [::]:8080;", "bind ::", "[::]:", "ip6"],
    "dual": ["bind [::]:8080 v4v6", "listen [::]:8080;", "bind 0.0.0.0 ::", "[::]:", "ip4"],
}


@pytest.mark.parametrize("family", ["ipv6", "dual"])
def test_programs_listen_by_the_clusters_family(tmp_path: Path, family: str) -> None:
    """No compiled file of a cluster with IPv6 binds IPv4 alone."""
    workers = ["eu1.matrix-ha"] if family == "ipv6" else []
    tree = compiled(tmp_path, "eu1", network=f"      ip_family: {family}\n", leave=workers)
    texts = {
        (entry.name, name): text for entry in tree.of_kind("ConfigMap") for name, text in entry.doc["data"].items()
    }
    for (entry, name), text in texts.items():
        if name in ("homeserver.yaml", "worker.yaml"):
            options = yaml.safe_load(text)
            for listener in (*options.get("listeners", ()), *options.get("worker_listeners", ())):
                assert listener["bind_addresses"] == ["::"], f"{entry}/{name}"
        if name == "haproxy.cfg":
            assert LISTENING[family][0] in text and "bind :" not in text.replace("bind [::]:", "")
        if name == "nginx.conf":
            assert LISTENING[family][1] in text and ("listen 8080;" in text) == (family == "dual")
        if name == "redis.conf":
            assert LISTENING[family][2] + "\n" in text
        if name == "vector.yaml":
            assert "0.0.0.0" not in text and "[::]:" in text
        if name == "blackbox.yml":
            first = {one[one["prober"]]["preferred_ip_protocol"] for one in yaml.safe_load(text)["modules"].values()}
            assert first == {LISTENING[family][4]}
    for entry in tree.of_kind("Service"):
        if family == "dual" and entry.name.endswith("-redis"):
            assert entry.spec["ipFamilies"] == ["IPv4"]


NAMED = [choices.Cni.CALICO, choices.Cni.CILIUM, choices.Cni.GKE_DATAPLANE_V2, choices.Cni.ANTREA, choices.Cni.OTHER]


@pytest.mark.parametrize("cni", NAMED)
def test_a_cni_with_a_setting_of_its_own_compiles_as_any_other(cni: choices.Cni, fleet: Fleet) -> None:
    said = fleet.changed("us1.platform", ("cluster", "network", "cni"), str(cni))
    assert draw_target(said, "us1.platform", TOP) == draw_target(fleet, "us1.platform", TOP)


@pytest.mark.parametrize("service", [None, "10.96.0.1"])
def test_amazons_cni_needs_the_service_of_the_api_server(service: str | None, fleet: Fleet) -> None:
    said = fleet.changed("us1.platform", ("cluster", "network", "cni"), str(choices.Cni.AWS_VPC_CNI))
    if service:
        said = said.changed("us1.platform", ("cluster", "network", "api_server", "service"), service)
        assert draw_target(said, "us1.platform", TOP)
        return
    with pytest.raises(FleetError, match=r"api_server\.service"):
        draw_target(said, "us1.platform", TOP)


@pytest.mark.parametrize("family", [choices.IpFamily.IPV4, choices.IpFamily.IPV6, choices.IpFamily.DUAL])
def test_every_family_compiles_without_workers(family: choices.IpFamily, fleet: Fleet) -> None:
    said = fleet.changed("us1.platform", ("cluster", "network", "ip_family"), str(family))
    if family is choices.IpFamily.IPV4:
        assert draw_target(said, "us1.research", TOP) == draw_target(fleet, "us1.research", TOP)
        return
    private = [*fleet.platform("us1.platform").cluster.network.private, "fd00:10::/32"]
    said = said.changed("us1.platform", ("cluster", "network", "private"), private)
    assert draw_target(said, "us1.research", TOP) != draw_target(fleet, "us1.research", TOP)


def test_workers_without_ipv4_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"Redis, which Synapse finds by IPv4 alone.*ip_family: ipv6"):
        compiled(tmp_path, "eu1", network="      ip_family: ipv6\n")
