"""2, of what is in force: quotas count, limit ranges fill in, disruption budgets hold an eviction back."""

from __future__ import annotations

import pytest
from api import Api, Object, Refused, until

from conftest import Fleet

SMALL = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "unsaid", "namespace": "chess-club"},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "unsaid",
                "image": "example.com/unsaid:1",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    },
}


def test_what_says_nothing_of_resources_gets_the_limit_ranges(fleet: Fleet) -> None:
    pod = fleet.api("eu1").create(SMALL, dry=True)
    assert pod["spec"]["containers"][0]["resources"] == {
        "limits": {"memory": "128Mi"},
        "requests": {"cpu": "50m", "memory": "128Mi"},
    }


def test_quotas_count_what_runs(fleet: Fleet) -> None:
    for cluster in fleet.planes:
        api = fleet.api(cluster)
        for quota in api.list("v1", "ResourceQuota"):
            assert quota["status"]["hard"] == quota["spec"]["hard"]
            # Its controller counts again every ten seconds (plane.py).
            until(f"{cluster} {quota['metadata']['namespace']}: Pods are counted", lambda: counted(api, quota), 40)  # noqa: B023


def counted(api: Api, quota: Object) -> bool:
    """Whether a quota knows every Pod that runs, and no other."""
    pods = api.list("v1", "Pod", quota["metadata"]["namespace"])
    running = [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]
    now = api.get("v1", "ResourceQuota", quota["metadata"]["namespace"], quota["metadata"]["name"])
    return bool(now and now["status"]["used"]["pods"] == str(len(running)))


def test_a_disruption_budget_keeps_the_last_one(fleet: Fleet) -> None:
    api, labels = fleet.api("eu1"), "app.kubernetes.io/instance=matrix-ha,app.kubernetes.io/component=router"
    budget = until("the budget counts", lambda: (found := api.get(
        "policy/v1", "PodDisruptionBudget", "matrix-ha", "matrix-ha-router")) and found["status"].get("expectedPods") and found)  # fmt: skip
    pods = api.list("v1", "Pod", "matrix-ha", labels)
    assert 0 < budget["status"]["disruptionsAllowed"] < len(pods)
    said = []
    for pod in pods:
        metadata = {key: pod["metadata"][key] for key in ("name", "namespace")}
        try:
            api.request(
                "POST",
                api.path_of(pod) + "/eviction",
                {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata},
            )
            said.append("")
        except Refused as refused:
            assert refused.code == 429
            said.append(refused.message)
    # All at once: one may go, and before its replacement is ready no other.
    assert said[0] == "" and any("disruption budget" in each for each in said), said
    fleet.hub.settle("eu1-matrix-ha")


def test_a_quota_is_not_outgrown(fleet: Fleet) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "more", "namespace": "chess-club"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "matrix-media",
            "resources": {"requests": {"storage": "1Ti"}},
        },
    }
    with pytest.raises(Refused, match="exceeded quota"):
        fleet.api("eu1").create(claim, dry=True)
