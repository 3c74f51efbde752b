"""2. Admission: the API server takes every compiled object, and refuses each of a set of broken ones for its own reason.

Under the real custom resources, with strict validation of fields, Pod Security as the namespaces enforce it, quotas in
force, and the platform's admission policies. With $KUBECONFIG (and $CLUSTER, eu1 unless said) the first half runs
against that cluster: it gets the custom resources, and for the time of the test the fleet's namespaces and policies.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import build
import pytest
import yaml
from api import Api, Object, Refused, documents, from_kubeconfig, named, until
from repository import TOP
from tampering import Broken, another, application_of, put, tracked

POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
HUB = "argoproj.io"


class Under(NamedTuple):
    """A cluster of the fleet, and the API server that stands for it."""

    cluster: str
    api: Api
    hub: Api


@pytest.fixture(scope="module")
def under(request: pytest.FixtureRequest) -> Iterator[list[Under]]:
    """Where the compiled objects go."""
    if given := os.environ.get("KUBECONFIG"):
        yield from borrowed(from_kubeconfig(given), os.environ.get("CLUSTER", "eu1"))
        return
    fleet = request.getfixturevalue("fleet")
    yield [Under(name, fleet.api(name), fleet.api("ap1" if name == "ap1" else "eu1")) for name in fleet.planes]


def borrowed(api: Api, cluster: str) -> Iterator[list[Under]]:
    """Somebody's cluster: what the objects need is made, and taken away again."""
    import json

    crds = build.CACHE / "crds.json"
    if not crds.exists():
        crds.parent.mkdir(parents=True, exist_ok=True)
        build.definitions(crds)
    for crd in json.loads(crds.read_text()):
        api.apply(crd)
    found = documents(TOP / "compiled" / cluster).values()
    places = {thing["metadata"]["namespace"] for thing in found if "namespace" in thing["metadata"]}
    mine = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(places)]
    fences = (TOP / "compiled" / cluster).glob("*/fence")
    mine += [thing for folder in fences for thing in documents(folder).values()]
    mine += [thing for thing in found if thing["kind"] == "PriorityClass"]
    mine.sort(key=lambda thing: thing["kind"] != "Namespace")
    made = {named(thing): thing for thing in mine if not api.there(thing)}
    try:
        for thing in mine:
            until(named(thing), lambda: api.apply(thing), 30)  # noqa: B023
        yield [Under(cluster, api, api)]
    finally:
        for thing in reversed(made.values()):
            api.delete(thing)


def objects(under: list[Under]) -> Iterator[tuple[Path, Object, Api]]:
    """Every compiled object, with where it goes."""
    for where in under:
        for path, thing in documents(TOP / "compiled" / where.cluster).items():
            yield path, thing, where.hub if thing["apiVersion"].startswith(HUB) else where.api


def test_every_compiled_object_is_taken(under: list[Under]) -> None:
    refused, count = [], 0
    for path, thing, api in objects(under):
        count += 1
        try:
            api.apply(tracked(thing, application_of(path)), dry=True, manager="argocd-controller")
        except Refused as said:
            refused.append(f"{path.relative_to(TOP)}: {said}")
    assert not refused, "\n".join(refused)
    assert count > 100


def pods(under: list[Under]) -> Iterator[tuple[Path, Object, Api]]:
    """A Pod of every compiled template."""
    for path, thing, api in objects(under):
        template = thing.get("spec", {}).get("template") if thing["kind"] != "Pooler" else None
        if template and "spec" in template:
            metadata = {"namespace": thing["metadata"]["namespace"], "name": "tried", **template["metadata"]}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": copy.deepcopy(template["spec"])}
            for claim in thing["spec"].get("volumeClaimTemplates", []):
                volume = {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": "tried"}}
                pod["spec"].setdefault("volumes", []).append(volume)
            if pod["spec"].get("restartPolicy") is None:
                pod["spec"]["restartPolicy"] = "Always"
            yield path, pod, api


def test_a_pod_of_every_template_is_taken(under: list[Under]) -> None:
    """Pod Security judges Pods; of a Deployment it would only warn."""
    refused, count = [], 0
    for path, pod, api in pods(under):
        count += 1
        try:
            api.create(pod, dry=True)
        except Refused as said:
            # A Job's or a Pod's identity is no part of this: the quota may be used up to the last Pod.
            if "exceeded quota" not in said.message:
                refused.append(f"{path.relative_to(TOP)}: {said}")
    assert not refused, "\n".join(refused)
    assert count > 20


PROD, HA = "eu1/matrix-prod", "eu1/matrix-ha"
INGRESS = f"{PROD}/workload/edge/ingress-matrix-prod-matrix.yaml"
CERTIFICATE = f"{PROD}/workload/edge/certificate-matrix-prod-matrix.yaml"
SERVICE = f"{PROD}/workload/router/service-matrix-prod-router.yaml"
CLAIM = f"{PROD}/workload/synapse/persistentvolumeclaim-matrix-prod-media.yaml"
ROUTER = f"{PROD}/workload/router/deployment-matrix-prod-router.yaml"
TURN = f"{PROD}/workload/turn/daemonset-matrix-prod-turn.yaml"
AGENT = "eu1/platform/workload/logs/daemonset-platform-logs.yaml"
CLUSTER = f"{HA}/workload/cnpg/cluster-matrix-ha-postgresql.yaml"


OBJECTS = [
    Broken("a key that no kind has", ROUTER, put("spec", "replica", to=2), ".spec.replica: field not declared in schema"),
    Broken("a key that a custom resource lacks", CERTIFICATE, put("spec", "dnsName", to="x"),
           ".spec.dnsName: field not declared in schema"),
    Broken("a value of another type", CLUSTER, put("spec", "instances", to="three"), "spec.instances"),
    Broken("another tenant's host", INGRESS, put("spec", "rules", 0, "host", to="chat.chess.example.org"),
           "a host of it is not this namespace's"),
    Broken("every host", INGRESS, put("spec", "rules", to=[{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend":
           {"service": {"name": "matrix-prod-router", "port": {"name": "http"}}}}]}}]), "a host of it is not this namespace's"),
    Broken("another tenant's host in TLS", INGRESS, put("spec", "tls", 0, "hosts", to=["chat.chess.example.org"]),
           "a TLS host of it is not this namespace's"),
    Broken("whatever nobody else has", INGRESS, put("spec", "defaultBackend", to={"service": {"name": "matrix-prod-router",
           "port": {"name": "http"}}}), "it takes every host that nobody else has"),
    Broken("another edge's class", INGRESS, put("spec", "ingressClassName", to="internal"), "its class is not traefik"),
    Broken("another tenant's certificate", CERTIFICATE, put("spec", "dnsNames", to=["matrix.chess.example.org"]),
           "a public name of it is not this namespace's"),
    Broken("addresses of others", SERVICE, put("spec", "externalIPs", to=["203.0.113.9"]), "(externalIPs)"),
    Broken("a name of others", SERVICE, put("spec", to={"type": "ExternalName",
           "externalName": "chess-club-router.chess-club.svc"}), "(ExternalName)"),
    Broken("a storage class that was not said", CLAIM, another("spec", "storageClassName", to="fast"),
           "its storage class is none of"),
]  # fmt: skip
PODS = [
    Broken("root", ROUTER, put("spec", "securityContext", "runAsNonRoot", to=False), 'violates PodSecurity "restricted'),
    Broken("the node's network", ROUTER, put("spec", "hostNetwork", to=True), "hostNetwork=true"),
    Broken("the node's files", ROUTER, put("spec", "volumes", 0, to={"name": "configuration", "hostPath": {"path": "/"}}),
           "hostPath"),
    Broken("a privileged container", ROUTER, put("spec", "containers", 0, "securityContext", "privileged", to=True),
           "privileged"),
    Broken("the system's importance", ROUTER, put("spec", "priorityClassName", to="system-cluster-critical"),
           "its priority class is none of matrix-high"),
    Broken("the node's files beside its network", TURN,
           put("spec", "volumes", 0, to={"name": "configuration", "hostPath": {"path": "/"}}), "mount the node's files"),
    Broken("the node's processes", TURN, put("spec", "hostPID", to=True), "it would see the node's processes"),
    Broken("privileges beside its network", TURN,
           put("spec", "containers", 0, "securityContext", "capabilities", "add", to=["SYS_ADMIN"]),
           "a container of it may more than bind ports"),
    Broken("root beside its network", TURN, put("spec", "securityContext", "runAsNonRoot", to=False), "it may run as root"),
    *(Broken(f"the image {image} beside its network", TURN, put("spec", "containers", 0, "image", to=image),
             "an image of it is not one that a release has on nodes")
      for image in ("docker.io/library/busybox:1.37", "coturn/coturn", "coturn/coturn:latest", "example.com/coturn/coturn:4.6.3")),
    Broken("another image that begins beside its network", TURN, put("spec", "initContainers", 0, "image",
           to="docker.io/library/busybox:1.37"),
           "an image of it is not one that a release has on nodes"),
    Broken("another image beside the node's files", AGENT, put("spec", "containers", 0, "image", to="docker.io/library/busybox:1.37"),
           "an image of it is not one that a release has on nodes"),
    *(Broken(f"another network by {key}", ROUTER, put("metadata", "annotations", key, to="x"), "it asks for another network")
      for key in ("k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network", "cni.projectcalico.org/ipAddrs")),
    Broken("more than the quota", ROUTER, put("spec", "containers", 0, "resources",
           to={"requests": {"cpu": "500", "memory": "1Ti"}, "limits": {"memory": "1Ti"}}), "exceeded quota"),
]  # fmt: skip


@pytest.mark.parametrize("broken", OBJECTS, ids=lambda broken: broken.what)
def test_a_broken_object_is_refused(under: list[Under], broken: Broken) -> None:
    path = TOP / "compiled" / broken.file
    found = {each: (thing, api) for each, thing, api in objects(under)}
    if path not in found:
        pytest.skip("of another cluster")
    thing, api = found[path]
    api.apply(thing, dry=True)
    broken.change(thing)
    with pytest.raises(Refused) as refused:
        api.apply(thing, dry=True)
    assert broken.says in refused.value.message


@pytest.mark.parametrize("broken", PODS, ids=lambda broken: broken.what)
def test_a_broken_pod_is_refused(under: list[Under], broken: Broken) -> None:
    found = {each: (pod, api) for each, pod, api in pods(under)}
    if TOP / "compiled" / broken.file not in found:
        pytest.skip("of another cluster")
    pod, api = found[TOP / "compiled" / broken.file]
    api.create(pod, dry=True)
    broken.change(pod)
    with pytest.raises(Refused) as refused:
        api.create(pod, dry=True)
    assert broken.says in refused.value.message


def test_a_gateway_and_a_route_of_others_are_refused(under: list[Under]) -> None:
    """On the cluster whose edge is Gateway API."""
    mine = {where.cluster: where.api for where in under}
    if "ap1" not in mine:
        pytest.skip("not the cluster with Gateways")
    (where,) = [each for each in under if each.cluster == "ap1"]
    place = "fleet"
    host = (where.api.get("v1", "Namespace", None, place) or {})["metadata"]["annotations"]["matrix-fleet/hosts"].split(
        ","
    )[0]
    routes = documents(TOP / "compiled/ap1/platform/workload/edge").values()
    listener = {"name": "https", "hostname": host, "port": 80, "protocol": "HTTP"}
    klass = yaml.safe_load((TOP / "inventory/classes/cluster/ap1.yml").read_text())["parameters"]["cluster"]["edge"][
        "class_name"
    ]
    things = {
        "HTTPRoute": next(thing for thing in routes if "redirect" not in thing["metadata"]["name"]),
        "Gateway": {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "tried", "namespace": place},
            "spec": {"gatewayClassName": klass, "listeners": [listener]},
        },
    }
    for thing in things.values():
        where.api.apply(thing, dry=True)
    changes = {
        "Gateway": [
            (put("spec", "listeners", 0, "hostname", to="a.matrix.example.com"), "a listener's host"),
            (put("spec", "gatewayClassName", to="internal"), f"its class is not {klass}"),
        ],
        "HTTPRoute": [
            (put("spec", "hostnames", to=["a.matrix.example.com"]), "a host of it"),
            (put("spec", "hostnames", to=[]), "a host of it"),
        ],
    }
    for kind, broken in changes.items():
        for change, says in broken:
            thing = copy.deepcopy(things[kind])
            change(thing)
            with pytest.raises(Refused, match=says):
                mine["ap1"].apply(thing, dry=True)


def test_policies_are_typed(under: list[Under]) -> None:
    """The API server found no fault in their expressions against the kinds that they judge."""
    api = under[0].api
    for path, thing, _ in objects(under[:1]):
        if thing["kind"] == POLICIES[0]:
            live = until(f"{path.name} is looked at", lambda: checked(api, thing), 60)  # noqa: B023
            assert not live["status"].get("typeChecking", {}).get("expressionWarnings"), named(thing)


def checked(api: Api, thing: Object) -> Object | None:
    """The live policy, once its types were checked."""
    live = api.there(thing)
    done = live and live.get("status", {}).get("observedGeneration") == live["metadata"]["generation"]
    return live if done else None


def test_other_namespaces_of_the_cluster_are_let_alone(under: list[Under]) -> None:
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "other", "namespace": "default"},
        "spec": {"ingressClassName": "other", "rules": [{"host": "matrix.example.com"}]},
    }
    under[0].api.create(ingress, dry=True)
