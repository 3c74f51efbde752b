"""The stored schemas, and what is said of objects that break them."""

import json
from pathlib import Path
from typing import Any

import pytest

from matrixfleet.checks import Tree, schemas
from matrixfleet.checks.rules.schemas import check, minors_of
from matrixfleet.model import Fleet

CRDS = Path(schemas.__file__).parent / "crds"
STORED = sorted(CRDS.glob("*/*.json"))
TABLE = (CRDS / "README.md").read_text()


def walk(node: Any) -> Any:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_stored_schema(path: Path) -> None:
    stored = json.loads(path.read_text())
    source = stored["source"]
    assert f"`{source['module']}` | {source['version']} |" in TABLE and source["file"]
    assert (path.parent / "LICENSE").exists()
    # A field may well be named description; then it is a schema.
    assert not [node for node in walk(stored) if isinstance(node.get("description"), str)]
    kind, _, version = path.stem.rpartition("_")
    obj = {"apiVersion": f"{path.parent.name}/{version}", "kind": kind, "metadata": {"nam": "web"}}
    messages = schemas.validate(obj, schemas.KUBERNETES_MINORS[-1])
    assert "metadata.nam: unknown field, did you mean name?" in messages


def deployment(replicas: Any = 1, **container: Any) -> dict[str, Any]:
    container = {"name": "web", "resources": {"limits": {"cpu": "500m", "memory": 1024}}} | container
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    return {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}


def policy(port: Any, **peer: Any) -> dict[str, Any]:
    return {"podSelector": {}, "ingress": [{"from": [peer], "ports": [{"port": port}, {"port": 80}]}]}


WEB = {"project": "web", "destination": {}, "source": {"repoURL": "https://example.com/web.git"}}
BAD_DEPLOYMENT = deployment("three", imagee="web:1", resources={"limits": {"cpu": "5mm"}})
IN_DEPLOYMENT = """\
spec.replicas: expected integer, got "three"
spec.template.spec.containers[0].imagee: unknown field, did you mean image?
spec.template.spec.containers[0].resources.limits.cpu: expected a quantity such as 500m or 2Gi, got "5mm\""""
IN_POLICY = """\
spec.ingress[0].from[0].podSelektor: unknown field, did you mean podSelector?
spec.ingress[0].ports[0].port: expected integer or string, got 1.5"""
IN_CERTIFICATE = """\
spec.secretName: required field is missing
spec.secretNam: unknown field, did you mean secretName?"""
CASES: list[tuple[str, Any, str]] = [
    ("apps/v1/Deployment", deployment(), ""),
    ("apps/v1/Deployment", BAD_DEPLOYMENT, IN_DEPLOYMENT),
    ("networking.k8s.io/v1/NetworkPolicy", policy("http", podSelector={}), ""),
    ("networking.k8s.io/v1/NetworkPolicy", policy(1.5, podSelektor={}), IN_POLICY),
    ("cert-manager.io/v1/Certificate", {"secretName": "tls", "issuerRef": {"name": "ca"}}, ""),
    ("cert-manager.io/v1/Certificate", {"secretNam": "tls", "issuerRef": {"name": "ca"}}, IN_CERTIFICATE),
    ("cloud.google.com/v1/BackendConfig", {"timeoutSec": 300}, ""),
    ("cloud.google.com/v1/BackendConfig", {"timeoutSec": "300"}, 'spec.timeoutSec: expected integer, got "300"'),
    (
        "networking.gke.io/v1beta1/FrontendConfig",
        {"redirectToHttps": {}},
        "spec.redirectToHttps.enabled: required field is missing",
    ),
    ("argoproj.io/v1alpha1/Application", WEB, ""),
    ("argoproj.io/v1alpha1/Application", WEB | {"project": 5}, "spec.project: expected string, got 5"),
    ("apps/v1/Deploymnt", {}, "no schema for apps/v1/Deploymnt; did you mean apps/v1/Deployment?"),
    ("v1/Secret", None, "data.a: expected base64, got a string"),
]


@pytest.mark.parametrize("minor", schemas.KUBERNETES_MINORS)
@pytest.mark.parametrize(("kind", "spec", "messages"), CASES)
def test_messages(kind: str, spec: Any, messages: str, minor: str) -> None:
    api_version, _, kind = kind.rpartition("/")
    body = {"data": {"a": "hunter2!"}} if kind == "Secret" else {"spec": spec}
    obj = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "web"}} | body
    assert list(schemas.validate(obj, minor)) == messages.splitlines()


def test_objects_are_held_against_every_kubernetes_that_a_release_is_for(fleet: Fleet, tree: Tree) -> None:
    entry = tree.objects[0]
    release = fleet.target(entry.target).release
    assert minors_of(tree, entry) == release.kubernetes.minors == ("1.34", "1.35", "1.36")
    assert set(release.kubernetes.minors) <= schemas.ALL_MINORS


def test_a_kubernetes_without_schemas_is_told_once(fleet: Fleet, tree: Tree) -> None:
    newer = fleet.changed("eu1.platform", ("releases", "stable", "kubernetes"), {"first": "1.36", "last": "1.38"})
    newer = newer.changed("eu1.platform", ("releases", "stable", "charts", "cloudnative_pg", "kubernetes"), None)
    some = Tree.of({path: tree.texts[path] for path in tree.texts if path.startswith("eu1/platform/")}, newer)
    (found,) = [str(one) for one in check(some)]
    assert "no schemas for Kubernetes 1.38; expected 1.37 or older in releases.*.kubernetes" in found
