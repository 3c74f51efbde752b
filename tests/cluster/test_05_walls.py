"""5. Walls: a tenant's folder that was tampered with reaches nobody else; Argo CD's project or admission refuses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
import yaml
from api import Object, until
from repository import TOP
from tampering import TRACKING

from conftest import Fleet

WORKLOAD = "compiled/eu1/chess-club/workload"
OTHERS = ("eu1-matrix-prod", "eu1-matrix-prod-fence", "eu1-matrix-ha", "eu1-platform-fence", "us1-newsroom")


class Smuggled(NamedTuple):
    """An object in a tenant's folder, where it would be, and who refuses it with which words."""

    what: str
    thing: Object
    says: str
    folder: str = WORKLOAD
    application: str = "eu1-chess-club"


def thing(api: str, kind: str, name: str, namespace: str | None = "chess-club", **body: object) -> Object:
    """An object."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}


def application(project: str, path: str) -> Object:
    """An Application of this repository."""
    source = {
        "repoURL": "https://git.example.com/platform/matrix-fleet.git",
        "targetRevision": "refs/heads/main",
        "path": path,
    }
    destination = {"server": "https://kubernetes.default.svc", "namespace": "matrix-prod"}
    spec = {"project": project, "source": source, "destination": destination, "syncPolicy": {"automated": {}}}
    return thing("argoproj.io/v1alpha1", "Application", "eu1-smuggled", "argocd", spec=spec)


WIDE = {"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}], "namespaceResourceWhitelist": [{"group": "*", "kind": "*"}]}  # fmt: skip
ORDER = yaml.safe_load(
    (TOP / "compiled/us1/research/workload/secrets/externalsecret-research-database-1.yaml").read_text()
)
ORDER["spec"]["data"][0]["remoteRef"]["key"] = "matrix-fleet/us1/newsroom/database-1"
ORDER["spec"]["target"]["name"] = "research-smuggled"
BACKEND = {"service": {"name": "chess-club-router", "port": {"name": "http"}}}
RULE = {"host": "matrix.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": BACKEND}]}}
SMUGGLED = [
    Smuggled("an object in another namespace", thing("v1", "ConfigMap", "smuggled", "matrix-prod", data={"a": "b"}),
             "namespace matrix-prod is not permitted in project 'eu1-chess-club'"),
    Smuggled("a ClusterRole", thing("rbac.authorization.k8s.io/v1", "ClusterRole", "smuggled", None, rules=[]),
             "rbac.authorization.k8s.io:ClusterRole is not permitted in project eu1-chess-club"),
    Smuggled("a Role in its own namespace", thing("rbac.authorization.k8s.io/v1", "Role", "smuggled", rules=[]),
             "rbac.authorization.k8s.io:Role is not permitted in project eu1-chess-club"),
    Smuggled("another tenant's host", thing("networking.k8s.io/v1", "Ingress", "smuggled",
             spec={"ingressClassName": "traefik", "rules": [RULE]}), "a host of it is not this namespace's"),
    Smuggled("a NetworkPolicy that opens it", thing("networking.k8s.io/v1", "NetworkPolicy", "smuggled",
             spec={"podSelector": {}, "ingress": [{}]}), "networking.k8s.io:NetworkPolicy is not permitted in project eu1-chess-club"),
    Smuggled("a Namespace", thing("v1", "Namespace", "smuggled", None), ":Namespace is not permitted in project eu1-chess-club"),
    Smuggled("another Namespace in the fence", thing("v1", "Namespace", "smuggled", None),
             ":Namespace is not permitted in project eu1-chess-club-fence", "compiled/eu1/chess-club/fence", "eu1-chess-club-fence"),
    Smuggled("an Application beside its objects", application("eu1-matrix-prod", WORKLOAD),
             "argoproj.io:Application is not permitted in project eu1-chess-club"),
    Smuggled("an Application in a folder that is called as Argo CD's", application("eu1-matrix-prod", WORKLOAD),
             "argoproj.io:Application is not permitted in project eu1-chess-club", f"{WORKLOAD}/argocd"),
    Smuggled("a project in such a folder, deeper", thing("argoproj.io/v1alpha1", "AppProject", "smuggled", "argocd", spec=WIDE),
             "argoproj.io:AppProject is not permitted in project eu1-chess-club", f"{WORKLOAD}/x/argocd"),
    *(Smuggled(f"a {kind}", thing(api, kind, "smuggled", spec={}), f"{api.partition('/')[0]}:{kind} is not permitted in project eu1-chess-club")
      for api, kind in (("monitoring.coreos.com/v1", "ServiceMonitor"),
                        ("monitoring.coreos.com/v1", "PrometheusRule"), ("traefik.io/v1alpha1", "IngressRoute"))),
    *(Smuggled(f"a {kind}", thing(api, kind, "smuggled", "research", spec={}), f"external-secrets.io:{kind} is not permitted in project us1-research",
               "compiled/us1/research/workload", "us1-research")
      for api, kind in (("external-secrets.io/v1alpha1", "PushSecret"), ("external-secrets.io/v1", "SecretStore"))),
    Smuggled("an ExternalSecret of another's path", {**ORDER, "metadata": {**ORDER["metadata"], "name": "research-smuggled"}},
             "a key of it is not this tenant's in the store", "compiled/us1/research/workload", "us1-research"),
    Smuggled("a ConfigMap that Grafana would read", thing("v1", "ConfigMap", "smuggled") | {"metadata": {"name": "smuggled",
             "namespace": "chess-club", "labels": {"grafana_dashboard": "1"}}}, "a label of it is not one that is compiled"),
    Smuggled("an object that says the platform applied it", thing("v1", "ConfigMap", "smuggled") | {"metadata": {"name": "smuggled",
             "namespace": "chess-club", "labels": {"grafana_dashboard": "1"}, "annotations": {TRACKING:
             "eu1-platform:/ConfigMap:chess-club/smuggled"}}}, "a label of it is not one that is compiled"),
    Smuggled("a Role in the fence that lists Secrets", thing("rbac.authorization.k8s.io/v1", "Role", "chess-club-bootstrap-turn", rules=[
             {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]), "more than create Secrets and get those",
             "compiled/eu1/chess-club/fence", "eu1-chess-club-fence"),
    Smuggled("an Application that names another's project, where the root finds it", application("eu1-matrix-prod", WORKLOAD),
             "its project is not its own", "compiled/eu1/argocd", "eu1-root"),
    Smuggled("a project of nobody's, where the root finds it", thing("argoproj.io/v1alpha1", "AppProject", "eu1-smuggled", "argocd",
             spec=WIDE), "it admits another repository than its own", "compiled/eu1/argocd", "eu1-root"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def as_it_was(fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing smuggled is left for the next."""
    yield
    fleet.repository.put(TOP)
    smuggled = getattr(request.node, "callspec", None) and request.node.callspec.params.get("smuggled")
    if smuggled and smuggled is not SMUGGLED[0]:
        # The first waits for its next try, which takes the commit that mends it; the others save that time.
        fleet.hub.terminate(smuggled.application)
    fleet.hub.push("as it was", "eu1-root", "eu1-chess-club", "eu1-chess-club-fence", "us1-research")


@pytest.mark.parametrize("smuggled", SMUGGLED, ids=lambda each: each.what)
def test_what_is_smuggled_in_is_refused(fleet: Fleet, smuggled: Smuggled) -> None:
    hub = fleet.hub
    path = fleet.repository.path(smuggled.folder, f"{smuggled.thing['kind'].lower()}-smuggled.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(smuggled.thing))
    revision = fleet.repository.commit(f"smuggled: {smuggled.what}")
    hub.refresh(smuggled.application, *OTHERS)

    def refused() -> str:
        status = hub.application(smuggled.application)["status"]  # type: ignore[index]
        if status.get("sync", {}).get("revision") != revision and not status.get("conditions"):
            return ""
        operation = status.get("operationState", {})
        said = [operation.get("message", ""), *(each["message"] for each in status.get("conditions", []))]
        said += [each.get("message", "") for each in operation.get("syncResult", {}).get("resources", [])]
        return " ".join(said) if any(smuggled.says in each for each in said) else ""

    until(f"{smuggled.application} says {smuggled.says!r}", refused, 90)
    for cluster in ("eu1", "us1"):
        assert fleet.api(cluster).there(smuggled.thing) is None
    hub.settle(*OTHERS, revision=revision)
    for other in fleet.api("eu1").list("apps/v1", "Deployment", "matrix-prod"):
        assert other["status"]["availableReplicas"] == other["spec"]["replicas"]


def test_a_manifest_says_not_who_applied_it(fleet: Fleet) -> None:
    """Policies go by Argo CD's tracking: what a manifest says of it is written over."""
    said = {TRACKING: "eu1-platform:/ConfigMap:chess-club/smuggled"}
    told = thing("v1", "ConfigMap", "smuggled") | {"data": {"a": "b"}}
    told["metadata"]["annotations"] = said
    (fleet.repository.path(WORKLOAD) / "configmap-smuggled.yaml").write_text(yaml.safe_dump(told))
    fleet.hub.push("who applied it?", "eu1-chess-club")
    live = fleet.api("eu1").there(told)
    assert live and live["metadata"]["annotations"][TRACKING] == "eu1-chess-club:/ConfigMap:chess-club/smuggled"


@pytest.mark.parametrize(
    "folder", ["compiled/eu1/chess-club/argocd", "compiled/eu1/argocd/x", "compiled/eu1/x/argocd", "compiled/eu1"]
)
def test_what_lies_where_the_root_does_not_look_is_nothing(fleet: Fleet, folder: str) -> None:
    """Not in a target's folder that is called as it was once read, nor below or above the one that is."""
    path = fleet.repository.path(folder, "application-smuggled.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    told = application("eu1-matrix-prod", "compiled/eu1/matrix-prod/workload")
    path.write_text(yaml.safe_dump(told))
    fleet.hub.push(f"smuggled into {folder}", "eu1-root", "eu1-chess-club")
    assert fleet.api("eu1").there(told) is None
