"""4. What GitOps promises: drift is healed, what left git is pruned, data is kept, a change reaches what it names alone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from api import Object, Refused, named, until
from argo import APPLICATION
from change import PullRequests
from plane import Recorder
from repository import TOP

from conftest import FOLDER, Fleet, say

KINDS = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("v1", "Secret"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "ServiceAccount"),
    ("v1", "ResourceQuota"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("cert-manager.io/v1", "Certificate"),
)
CHESS = "inventory/targets/eu1/chess-club.yml"
PROD = "inventory/targets/eu1/matrix-prod.yml"


@pytest.fixture(scope="module")
def pull(fleet: Fleet) -> PullRequests:
    """Pull requests against the fleet."""
    return PullRequests(FOLDER / "pull", fleet.repository)


@pytest.fixture(scope="module", autouse=True)
def as_it_was(fleet: Fleet) -> Iterator[None]:
    """The fleet as it is compiled, for whoever comes next."""
    yield
    fleet.repository.put(TOP)
    fleet.hub.push("as it was")


def state(fleet: Fleet, namespaces: tuple[str, ...] = ()) -> dict[str, tuple[str, object]]:
    """What a change would change of every object in namespaces of the fleet: its identity, and its content."""
    found: dict[str, tuple[str, object]] = {}
    for api, kind in KINDS:
        for thing in fleet.api("eu1").list(api, kind):
            metadata = thing["metadata"]
            if not metadata["namespace"].startswith(("kube-", "argocd", "default")) and (
                not namespaces or metadata["namespace"] in namespaces
            ):
                content = metadata.get("generation") or thing.get("data") or thing.get("spec")
                found[named(thing)] = (metadata["uid"], content)
    return found


def pods(fleet: Fleet, namespace: str = "") -> dict[str, str]:
    """uids of the Pods that live, Jobs' apart, by name."""
    return {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": pod["metadata"]["uid"]
        for pod in fleet.api("eu1").list("v1", "Pod", namespace or None)
        if "deletionTimestamp" not in pod["metadata"] and pod["metadata"]["ownerReferences"][0]["kind"] != "Job"
    }


def test_a_second_sync_changes_nothing(fleet: Fleet) -> None:
    """Neither by itself within 15 seconds, nor when it is asked for."""
    before = state(fleet)
    kinds = [kind for kind in KINDS if kind[1] != "Secret"]
    quiet = Recorder(fleet.api("eu1"), *kinds)
    quiet.start()
    time.sleep(3)
    quiet.events.clear()
    time.sleep(15)
    loud = {named(thing) for _, _, thing in quiet.events}
    assert not loud, f"changed by itself: {sorted(loud)}"
    names = tuple(fleet.hub.applications())
    for name in names:
        thing = {
            "apiVersion": APPLICATION[0],
            "kind": APPLICATION[1],
            "metadata": {"name": name, "namespace": "argocd"},
        }
        operation = {"sync": {"syncStrategy": {"hook": {}}, "syncOptions": ["ServerSideApply=true"]}}
        fleet.hub.api.patch(thing, {"operation": operation})
    until("asked syncs end", lambda: all("operation" not in each for each in fleet.hub.applications().values()), 180)
    fleet.hub.settle()
    quiet.stop()
    assert state(fleet) == before


def of_a_newer_operator(schema: Object) -> int:
    """One more property in every object of a schema, which the API server fills in; how many there are."""
    made = 0
    properties = schema.get("properties")
    if isinstance(properties, dict) and "x-kubernetes-embedded-resource" not in schema:
        made += sum(of_a_newer_operator(each) for each in properties.values())
        properties["filledIn"] = {"type": "string", "default": "by a newer version"}
        made += 1
    if isinstance(schema.get("items"), dict):
        made += of_a_newer_operator(schema["items"])
    return made


CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
# Whose objects stand in tenants' folders and in the platform's; Argo CD's own are read by its own programs alone.
NOT_OURS = ("argoproj.io", "kwok.x-k8s.io")


def test_defaults_of_another_operators_schemas_are_no_difference(fleet: Fleet) -> None:
    """Custom resources are compiled for a range of operators' versions: whatever default one of them has, in a list too,
    Argo CD goes on to find them in sync."""
    for cluster in ("eu1", "ap1"):
        api = fleet.api(cluster)
        for crd in api.list(*CRD):
            if crd["spec"]["group"].endswith(NOT_OURS):
                continue
            made = sum(
                of_a_newer_operator(each["schema"]["openAPIV3Schema"]["properties"].get("spec", {}))
                for each in crd["spec"]["versions"]
            )
            if made:
                api.patch(crd, {"spec": {"versions": crd["spec"]["versions"]}})
    # They stay: Argo CD cannot read what it has in mind of an object by a schema that has less.
    certificates = fleet.api("eu1").list("cert-manager.io/v1", "Certificate")
    assert all("filledIn" in thing["spec"] for thing in certificates), "the API server fills nothing in"
    for argo in (fleet.hub, fleet.own):
        # What Argo CD has in mind of an object it reads anew after ten minutes, or at once when it starts (docs/upgrade.md).
        argo.stop()
        argo.start()
        names = tuple(argo.applications())
        argo.refresh(*names)
    time.sleep(20)
    for argo in (fleet.hub, fleet.own):
        argo.settle()
        assert not argo.unsettled(), argo.unsettled()


def test_drift_is_healed(fleet: Fleet) -> None:
    api = fleet.api("eu1")
    (config,) = [
        each for each in api.list("v1", "ConfigMap", "chess-club") if each["metadata"]["name"] == "chess-club-router"
    ]
    wanted = config["data"]
    start = time.monotonic()
    api.patch(config, {"data": {"haproxy.cfg": "# edited by hand"}})
    until("the ConfigMap is healed", lambda: api.there(config)["data"] == wanted, 60)  # type: ignore[index]
    say(f"an edited ConfigMap was healed in {time.monotonic() - start:.1f} s")
    deployment = api.get("apps/v1", "Deployment", "chess-club", "chess-club-element")
    assert deployment
    start = time.monotonic()
    api.delete({**deployment, "apiVersion": "apps/v1", "kind": "Deployment"})
    until("the Deployment is back", lambda: (again := api.get("apps/v1", "Deployment", "chess-club", "chess-club-element"))
          and again["metadata"]["uid"] != deployment["metadata"]["uid"], 60)  # fmt: skip
    say(f"a deleted Deployment was back in {time.monotonic() - start:.1f} s")
    fleet.hub.settle("eu1-chess-club")


def test_what_left_git_is_pruned(fleet: Fleet) -> None:
    path = fleet.repository.path("compiled/eu1/chess-club/workload/metrics/podmonitor-chess-club-router.yaml")
    text = path.read_text()
    where = ("monitoring.coreos.com/v1", "PodMonitor", "chess-club", "chess-club-router")
    assert fleet.api("eu1").get(*where)
    path.unlink()
    fleet.hub.push("less is watched", "eu1-chess-club")
    assert not fleet.api("eu1").get(*where)
    path.write_text(text)
    fleet.hub.push("it is watched again", "eu1-chess-club")
    assert fleet.api("eu1").get(*where)


def test_what_holds_data_outlives_its_file(fleet: Fleet) -> None:
    """A claim and a Namespace leave git by mistake: Argo CD says so and deletes neither."""
    folder, api = fleet.repository.path("compiled/eu1/chess-club"), fleet.api("eu1")
    gone = {
        "eu1-chess-club": folder / "workload/synapse/persistentvolumeclaim-chess-club-media.yaml",
        "eu1-chess-club-fence": folder / "fence/namespace-chess-club.yaml",
    }
    texts = {path: path.read_text() for path in gone.values()}
    claim = api.get("v1", "PersistentVolumeClaim", "chess-club", "chess-club-media")
    for path in gone.values():
        path.unlink()
    revision = fleet.repository.commit("two files too many")
    fleet.hub.refresh(*gone)
    until("Argo CD has seen it", lambda: all(
        fleet.hub.application(name)["status"]["sync"].get("revision") == revision for name in gone), 60)  # type: ignore[index]  # fmt: skip
    time.sleep(10)
    after = api.get("v1", "PersistentVolumeClaim", "chess-club", "chess-club-media")
    assert claim and after and after["metadata"]["uid"] == claim["metadata"]["uid"]
    assert "deletionTimestamp" not in after["metadata"]
    namespace = api.get("v1", "Namespace", None, "chess-club")
    assert namespace and "deletionTimestamp" not in namespace["metadata"]
    fence = fleet.hub.application("eu1-chess-club-fence")
    assert (
        fence
        and "waiting for pruning confirmation of /Namespace/chess-club" in fence["status"]["operationState"]["message"]
    )
    for path, text in texts.items():
        path.write_text(text)
    # A sync that waits for a confirmation waits for ever, also once its reason is gone: a person ends it.
    fleet.hub.terminate("eu1-chess-club-fence")
    fleet.hub.push("they are back", *gone)


def test_a_new_tenant_brings_its_own_objects_alone(fleet: Fleet, pull: PullRequests) -> None:
    before, living = state(fleet), pods(fleet)
    text = (TOP / CHESS).read_text().replace("chess.example.org", "go.example.org").replace("Chess Club", "Go Club")
    pull.source.write("inventory/targets/eu1/go-club.yml", text)
    pull.compile()
    took = fleet.hub.push("a tenant comes")
    say(f"a new tenant was Synced and Healthy {took:.0f} s after the push")
    after = state(fleet)
    assert {key: after.get(key) for key in before} == before
    assert {key.split()[1].split("/")[0] for key in after.keys() - before.keys()} == {"go-club"}
    assert {key: uid for key, uid in pods(fleet).items() if not key.startswith("go-club/")} == living
    pull.merge()


def test_another_size_restarts_that_tenant_alone(fleet: Fleet, pull: PullRequests) -> None:
    living = pods(fleet)
    pull.source.edit(PROD, "size: medium", "size: large")
    pull.compile()
    assert pull.check() == ""
    took = fleet.hub.push("more room for the company")
    say(f"another size was Synced and Healthy {took:.0f} s after the push")
    after = pods(fleet)
    others = {key: uid for key, uid in living.items() if not key.startswith("matrix-prod/")}
    assert {key: uid for key, uid in after.items() if not key.startswith("matrix-prod/")} == others
    rolled = {key for key in after.keys() & living.keys() if after[key] != living[key]} | (after.keys() - living.keys())
    assert any("synapse" in key for key in rolled) and any("postgresql" in key for key in rolled)
    pull.merge()


def test_a_smaller_size_goes_by_way_of_a_stop(fleet: Fleet, pull: PullRequests) -> None:
    """In one step the quota would fall before Synapse does, and leave the database no room to come back."""
    pull.source.edit(PROD, "size: large", "size: medium")
    pull.run("compile")
    assert "set matrix.state: stopped in a pull request of its own first [room-to-shrink]" in pull.check()
    pull.source.edit(PROD, "size: medium", "size: large\n    state: stopped")
    steps = [("", ""), ("size: large", "size: medium"), ("\n    state: stopped", "")]
    for old, new in steps:
        if old:
            pull.source.edit(PROD, old, new)
        pull.compile()
        assert pull.check() == ""
        fleet.hub.push("smaller, step by step")
        pull.merge()


def test_stopped_stays_stopped(fleet: Fleet, pull: PullRequests) -> None:
    """The first of the two pull requests that remove a tenant."""
    api = fleet.api("eu1")
    pull.source.edit("inventory/targets/eu1/go-club.yml", "    size: small\n", "    size: small\n    state: stopped\n")
    pull.compile()
    assert pull.check() == ""
    fleet.hub.push("the club rests")
    where = ("apps/v1", "Deployment", "go-club", "go-club-synapse")
    until("Synapse is gone", lambda: not [key for key in pods(fleet, "go-club") if "synapse" in key], 60)
    deployment = api.get(*where)
    assert deployment and deployment["spec"]["replicas"] == 0
    deployment |= {"apiVersion": where[0], "kind": where[1]}
    api.patch(deployment, {"spec": {"replicas": 1}}, "scale")
    until("it is healed back", lambda: api.get(*where)["spec"]["replicas"] == 0, 60)  # type: ignore[index]
    assert [key for key in pods(fleet, "go-club") if "postgresql" in key]
    fleet.hub.settle("eu1-go-club")
    pull.merge()


def test_a_running_tenant_is_not_removed_in_one_step(pull: PullRequests) -> None:
    path = pull.source.top / CHESS
    text = path.read_text()
    path.unlink()
    pull.run("compile")
    assert "removed while eu1.chess-club runs; set matrix.state: stopped" in pull.check()
    path.write_text(text)
    pull.run("compile")


def test_a_stopped_tenant_is_removed_and_leaves_its_data(fleet: Fleet, pull: PullRequests) -> None:
    api, before = fleet.api("eu1"), state(fleet, ("chess-club", "matrix-prod", "matrix-ha"))
    kept = ("v1", "PersistentVolumeClaim"), ("v1", "Secret"), ("v1", "Namespace")
    data = {named(each) for api_, kind in kept[:2] for each in api.list(api_, kind, "go-club") if not issued(each)}
    assert data
    (pull.source.top / "inventory/targets/eu1/go-club.yml").unlink()
    pull.compile()
    assert pull.check() == ""
    fleet.repository.commit("the club is no more")
    fleet.hub.refresh("eu1-root")
    until(
        "what ran is gone", lambda: not pods(fleet, "go-club") and not api.list("apps/v1", "Deployment", "go-club"), 120
    )
    until("the workload's Application is gone", lambda: fleet.hub.application("eu1-go-club") is None, 120)
    time.sleep(5)
    left = {named(each) for api_, kind in kept[:2] for each in api.list(api_, kind, "go-club") if not issued(each)}
    assert left == data
    namespace = api.get("v1", "Namespace", None, "go-club")
    assert namespace and "deletionTimestamp" not in namespace["metadata"]
    assert state(fleet, ("chess-club", "matrix-prod", "matrix-ha")) == before
    # Nothing waits for a person: the root has synced, and would sync the next tenant.
    fleet.hub.settle("eu1-root", seconds=30)
    assert fleet.hub.application("eu1-go-club-fence") is None
    assert api.get("networking.k8s.io/v1", "NetworkPolicy", "go-club", "go-club-default-deny")
    confirm(fleet)
    pull.merge()


def issued(thing: Object) -> bool:
    """Whether cert-manager's stand-in made a Secret: it is made again for whoever wants it."""
    return "cert-manager.io/certificate-name" in thing["metadata"].get("annotations", {})


def confirm(fleet: Fleet) -> None:
    """As docs/remove-a-tenant.md: a person deletes the namespace, and with it all that was kept."""
    api = fleet.api("eu1")
    try:
        api.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "go-club"}})
    except Refused as refused:
        if refused.code != 404:
            raise
    until("the namespace is gone", lambda: api.get("v1", "Namespace", None, "go-club") is None, 120)
    released = [
        each for each in api.list("v1", "PersistentVolume") if each["spec"]["claimRef"]["namespace"] == "go-club"
    ]
    assert released and all(each["status"]["phase"] == "Released" for each in released)
