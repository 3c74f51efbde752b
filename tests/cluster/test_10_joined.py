"""10. Both proofs joined: Argo CD brings a homeserver from an empty cluster to Synced and Healthy on a node that really
runs its Pods, and a client talks to it (joined.py).
"""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest
from api import until
from change import PullRequests
from joined import Homeserver, Joined
from order import in_order
from plane import is_ready

from conftest import FOLDER, say

TENANT, NAMESPACE = "eu1-matrix-prod", "matrix-prod"
PROD = "inventory/targets/eu1/matrix-prod.yml"


class Message(NamedTuple):
    """One that was sent, and who may read it."""

    token: str
    room: str
    event: str


@pytest.fixture(scope="module")
def server(joined: Joined) -> Homeserver:
    """The homeserver, once it answers."""
    made = Homeserver(joined, NAMESPACE, "matrix.example.com")
    until("the homeserver answers", made.answers, 30)
    return made


@pytest.fixture(scope="module")
def message(server: Homeserver) -> Message:
    """A client's message in a room of its own."""
    token = server.log_in("alice")
    room = server.client("POST", "createRoom", {"name": "Tea"}, token)["room_id"]
    return Message(token, room, server.send(token, room, "milk?"))


def readable(server: Homeserver, message: Message) -> bool:
    """Whether it can be read, with the token from before."""
    try:
        path = f"/_matrix/client/v3/rooms/{message.room}/event/{message.event}"
        status, said = server.call("GET", path, token=message.token)
    except OSError:
        return False
    assert status != 200 or said["content"]["body"] == "milk?"
    return status == 200


def test_waves_come_one_after_the_other(joined: Joined) -> None:
    say(in_order(joined.recorder, NAMESPACE))


def test_every_pod_runs_and_is_ready_by_its_own_probes(joined: Joined) -> None:
    pods = [pod for pod in joined.api.list("v1", "Pod") if pod["metadata"]["namespace"].startswith(NAMESPACE)]
    for pod in pods:
        run = joined.node.runs[f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"]
        assert pod["spec"]["nodeName"] == "real"
        if run.pod.restart_policy == "Always":
            assert is_ready(pod) and all(one.process and one.process.poll() is None for one in run.main)
            probed = [one for one in run.main if "readinessProbe" in one.spec]
            assert probed and all(one.told for one in probed)
        else:
            assert pod["status"]["phase"] == "Succeeded"
    assert {"synapse", "postgresql", "router", "element", "bootstrap", "roles", "turn"} <= {
        pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods
    }


def test_the_policies_were_in_the_way(joined: Joined) -> None:
    """The Job's one way out is its policy's; nothing that was needed was denied."""
    counted = joined.node.counters()
    bootstrap = next(counts for key, counts in counted.items() if f"{NAMESPACE}-bootstrap" in key)
    assert bootstrap[f"{NAMESPACE}/{NAMESPACE}-bootstrap egress 0"] > 0
    denied = {key: counts for key, counts in counted.items() if counts.get("denied ingress")}
    assert denied == {}


def test_a_client_logs_in_and_sends_a_message(server: Homeserver, message: Message) -> None:
    assert readable(server, message)


def presence(server: Homeserver, token: str) -> str:
    """What is said of a user who says that they are there."""
    path = f"presence/%40alice%3A{server.host.removeprefix('matrix.')}/status"
    server.client("PUT", path, {"presence": "online"}, token)
    return str(server.client("GET", path, token=token)["presence"])


def test_a_changed_setting_rolls_the_pod_and_the_message_is_still_there(
    joined: Joined, server: Homeserver, message: Message
) -> None:
    pull, before = PullRequests(FOLDER / "pull-joined", joined.repository), server.uids()
    assert presence(server, message.token) == "online"
    pull.source.edit(PROD, "      signing_key: volume\n", "      signing_key: volume\n      presence: false\n")
    pull.compile()
    took = joined.argo.push("no presence")
    after = server.uids()
    assert {(before | after)[uid] for uid in before.keys() ^ after.keys()} == {"synapse"}
    until("the message is read again", lambda: readable(server, message), 60)
    assert presence(server, message.token) == "offline"
    say(f"a changed setting was Synced and Healthy {took:.0f} s after the push")


@pytest.mark.parametrize("component", ["synapse", "postgresql"])
def test_a_deleted_pod_heals(joined: Joined, server: Homeserver, message: Message, component: str) -> None:
    """Argo CD says meanwhile that the tenant is not well."""
    run, start = server.run(component), time.monotonic()
    joined.api.delete(joined.node.bound[run.key])

    def unwell() -> bool:
        thing = joined.argo.application(TENANT)
        return bool(thing and thing["status"]["health"]["status"] != "Healthy")

    until("Argo CD takes it for unwell", unwell, 60, 0.1)
    joined.settle(TENANT)
    assert server.run(component).pod.uid != run.pod.uid
    # A database connection that was cut is noticed by the first request that uses it: that one alone fails.
    until("the message is read again", lambda: readable(server, message), 60)
    say(f"a deleted Pod of {component} was healed in {time.monotonic() - start:.0f} s")
