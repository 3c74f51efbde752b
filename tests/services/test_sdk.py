"""What most clients are made of, matrix-js-sdk, and end-to-end encryption by its Rust part."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def client(node):
    """A machine of the world with Node.js."""
    container = {
        "name": "node",
        "image": "fleetnode/node",
        "command": ["sleep", "86400"],
        "env": [{"name": "NODE_EXTRA_CA_CERTS", "value": str(Path(node.directory, "world.pem"))}],
    }
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    pod = {"kind": "Pod", "metadata": {"namespace": "world", "name": "client"}, "spec": spec}
    node.wait_ready(20, node.apply([pod]))
    yield node.runs["world/client"].container("node")
    node.remove("Pod", "world", "client")


@pytest.mark.parametrize(("near", "far"), [("single", "single"), ("ha", "single")])
def test_two_people_talk_and_nobody_listens(request, node, client, near, far):
    near, far = request.getfixturevalue(near), request.getfixturevalue(far)
    people = [
        {"url": server.url, "user": name, "password": server.user(name)}
        for server, name in ((near, "alice"), (far, "bob"))
    ]
    output = Path(node.directory, "talk.txt")
    command = ["env", f"PEOPLE={json.dumps(people)}", "node", "/opt/node/scripts/talk.mjs"]
    code = client.execute(command, 150, output)
    assert code == 0, output.read_text()[-4000:]
    told = json.loads(output.read_text().splitlines()[-1])
    assert [one["body"] for one in told["plain"]] == ["plain tea?", "plain coffee!"]
    assert [one["body"] for one in told["encrypted"]] == ["encrypted tea?", "encrypted coffee!"]
    for one in told["encrypted"]:
        assert (one["wire"], one["type"]) == ("m.room.encrypted", "m.room.message")
        # What the server has, and whoever has the server.
        url = f"{near.url}/_matrix/client/v3/rooms/{one['room']}/event/{one['event']}"
        stored = near.http().get(url, headers={"Authorization": f"Bearer {told['token']}"}, timeout=10)
        assert stored.json()["type"] == "m.room.encrypted" and one["body"] not in stored.text, stored.text
    assert told["file"]
