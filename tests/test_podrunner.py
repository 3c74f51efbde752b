"""The Pod runner's pure parts; the rest needs root and runs in tests/services."""

import pytest

from fleetnode import edge, overlays
from podrunner import policy
from podrunner.images import Image, image_of, repository
from podrunner.loopback import LocalPod
from podrunner.objects import Objects, Pod, Unsupported, matches, pods_of
from podrunner.process import expand
from podrunner.volumes import Volumes


def workload(kind, **spec):
    labels = {"app": "web"}
    container = {"name": "web", "image": "web", "ports": [{"name": "http", "containerPort": 8080}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {"kind": kind, "metadata": {"name": "web", "namespace": "a"}, "spec": {"template": template, **spec}}


def test_a_stateful_set_names_its_pods_and_gives_them_claims():
    claims = [{"metadata": {"name": "data"}}]
    pods = pods_of(workload("StatefulSet", replicas=2, serviceName="web", volumeClaimTemplates=claims))
    assert [pod.name for pod in pods] == ["web-0", "web-1"]
    assert pods[1].spec["hostname"] == "web-1" and pods[1].spec["subdomain"] == "web"
    assert pods[1].spec["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-1"}}]


@pytest.mark.parametrize(
    ("kind", "spec", "count"),
    [
        ("Deployment", {"replicas": 3}, 3),
        ("Deployment", {}, 1),
        ("DaemonSet", {}, 1),
        ("Job", {}, 1),
        ("Service", {}, 0),
    ],
)
def test_how_many_pods_a_workload_wants(kind, spec, count):
    assert len(pods_of(workload(kind, **spec))) == count


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_label_selectors(selector, selected):
    assert matches(selector, {"app": "web"}) is selected


def test_references_in_commands():
    assert expand("$(A) $$(A) $(B) $A", {"A": "1"}) == "1 $(A) $(B) $A"


def test_an_image_that_nothing_stands_for():
    assert repository("ghcr.io:443/x/web:v1@sha256:00") == "ghcr.io:443/x/web"
    with pytest.raises(Unsupported, match="no program stands for the image web:2; the table has db"):
        image_of({"db": Image("a database")}, "web:2")


def network_policy(**spec):
    where = {"name": "walls", "namespace": "a"}
    return {"kind": "NetworkPolicy", "metadata": where, "spec": {"podSelector": {}, **spec}}


def test_a_policy_denies_the_directions_that_it_names_and_no_other():
    (pod,) = pods_of(workload("Deployment"))
    rules, _ = policy.ruleset(pod, Objects([network_policy(policyTypes=["Ingress"])]))
    ingress, _, egress = rules.partition("chain egress")
    assert "drop" in ingress and "drop" not in egress
    assert policy.ruleset(pod, Objects()) == ("", [])


def test_a_policy_of_another_namespace_says_nothing():
    (pod,) = pods_of(workload("Deployment"))
    other = network_policy(policyTypes=["Ingress"])
    other["metadata"]["namespace"] = "b"
    assert policy.ruleset(pod, Objects([other])) == ("", [])


def test_rules_of_a_policy_as_nftables():
    (pod,) = pods_of(workload("Deployment"))
    world = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}
    one = network_policy(
        policyTypes=["Ingress", "Egress"],
        ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": "http"}]}],
        egress=[{"to": [world], "ports": [{"protocol": "UDP", "port": 1, "endPort": 9}]}],
    )
    rules, listed = policy.ruleset(pod, Objects([one]))
    assert 'ip saddr @peers0 tcp dport 8080 counter accept comment "a/walls ingress 0"' in rules
    assert 'ip daddr != { 10.0.0.0/8 } udp dport 1-9 counter accept comment "a/walls egress 0"' in rules
    members = policy.addresses(listed, [(pod, "10.244.1.1")], Objects())
    assert "add element ip policies peers0 { 10.244.1.1 }" in members


def test_peers_of_another_namespace_need_its_selector():
    (pod,) = pods_of(workload("Deployment"))
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "a"}}, "podSelector": {}}
    for own, peers, chosen in (
        ("b", selector, True),
        ("b", {"podSelector": {}}, False),
        ("a", {"podSelector": {}}, True),
    ):
        rule = policy.Rule(f"{own}/walls", policy.INGRESS, 0, "", peers)
        assert ("10.244.1.1" in policy.addresses([rule], [(pod, "10.244.1.1")], Objects())) is chosen


def test_what_is_rewritten_without_namespaces(tmp_path):
    (pod,) = pods_of(workload("Deployment"))
    local = LocalPod(pod, "127.77.0.2")
    paths = {"/etc/web": tmp_path / "web", "/etc/web/tls": tmp_path / "tls", "/tmp": tmp_path / "tmp"}
    said = local.rewrite("/etc/web/a /etc/web/tls/b /etc/web2 /x/etc/web 0.0.0.0:80 0.0.0.0/8 10.0.0.0 /tmp", paths)
    assert (
        said
        == f"{tmp_path}/web/a {tmp_path}/tls/b /etc/web2 /x/etc/web 127.77.0.2:80 0.0.0.0/8 10.0.0.0 {tmp_path}/tmp"
    )


def test_an_overlay_that_no_longer_fits_says_so():
    labels = {"app.kubernetes.io/component": "web"}
    one = {"kind": "ConfigMap", "metadata": {"name": "web", "labels": labels}, "data": {"a.conf": "on"}}
    assert overlays.laid([one], [overlays.replaced("web", "a.conf", "on", "off", "")])[0]["data"]["a.conf"] == "off"
    assert one["data"]["a.conf"] == "on"
    with pytest.raises(LookupError, match=r"ConfigMap web: a\.conf has no 'yes': the overlay is out of date"):
        overlays.laid([one], [overlays.replaced("web", "a.conf", "yes", "off", "")])


def test_an_edge_annotation_that_is_not_told_on():
    annotations = {"traefik.ingress.kubernetes.io/router.priority": "1"}
    ingress = {"kind": "Ingress", "metadata": {"name": "web", "namespace": "a", "annotations": annotations}}
    ingress["spec"] = {"ingressClassName": "traefik", "rules": []}
    with pytest.raises(Unsupported, match=r"Ingress web: annotation traefik\.ingress\.kubernetes\.io/router\.priority"):
        edge.edge([ingress], Objects())


def test_a_projected_token_is_what_an_api_server_gives(tmp_path):
    """Beside the other sources of the volume; without an API server it is said that there is none."""
    source = {"serviceAccountToken": {"path": "token"}}
    name = {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}
    volume = {"name": "access", "projected": {"sources": [source, name]}}
    pod = Pod("there", "one", ("Pod", "one"), {}, {}, {"containers": [], "volumes": [volume]}, "a-uid")
    volumes = Volumes(tmp_path, Objects(), {}, owned=False)
    with pytest.raises(Unsupported, match="no API server is here"):
        volumes.publish(pod)
    volumes.token = lambda pod, spec: f"for {pod.uid} at {spec['path']}".encode()
    folder = volumes.publish(pod)["access"]
    assert (folder / "token").read_text() == "for a-uid at token"
    assert (folder / "namespace").read_text() == "there"


def test_an_object_that_is_taken_away():
    objects = Objects([service("one"), service("two")])
    objects.remove("Service", "there", "one")
    objects.remove("Service", "there", "never was")
    assert [one["metadata"]["name"] for one in objects] == ["two"]


def service(name):
    return {"kind": "Service", "metadata": {"namespace": "there", "name": name}, "spec": {}}
