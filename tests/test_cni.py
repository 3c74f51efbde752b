"""What tenants need is allowed whatever CNI the cluster has: flows over compiled policies, in each one's semantics."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cni import CNIS, Cni, End, Way, allows
from fleets import Repository
from matrixfleet.checks import Tree
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet
from matrixfleet.model.peers import Peer

PUBLIC, PRIVATE = "93.184.215.14", "10.77.0.9"
ASKING = {"synapse", "generic", "event-persister", "federation-sender", "media-repository", "writer-accounts"}
"""Processes that ask other servers."""


def edge_of(peer: Peer, port: int) -> End:
    """Where connections to the edge end."""
    if peer.namespace:
        return End("10.244.3.4", port, peer.namespace, {**peer.pods, "pod-template-hash": "x"})
    return End(str(peer.cidrs[0]).replace("0/24", "7"), port)


def compiled(top: Path, cluster: str, edge: str = "", network: str = "") -> Tree:
    """A cluster's targets with more said of its edge and its network."""
    repository = Repository(top)
    path = f"inventory/classes/cluster/{cluster}.yml"
    for key, more in (("edge", edge), ("network", network)):
        repository.edit(path, f"\n    {key}:\n", f"\n    {key}:\n{more}")
    fleet = Fleet.read(top / "inventory")
    for target in fleet.names:
        if target.startswith(f"{cluster}."):
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
