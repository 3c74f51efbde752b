"""The tenant's own relay: a client with the credentials that Synapse hands out, by each way that it names."""

import asyncio
import base64
import hashlib
import hmac
import re
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from aioice import stun, turn
from harness import publish

from podrunner.network import NODE
from podrunner.volumes import content_of

WORLD = "world"
PEER_PORT = 40000


@pytest.fixture(scope="module")
def caller(node, single):
    """Somebody's machine, of no tenant; the relay's name leads to the node that it runs on."""
    publish(node, dict.fromkeys({uri.host for uri in uris(single)}, str(NODE)))
    pod = shell("caller")
    node.wait_ready(20, node.apply([pod]))
    yield node.runs[f"{WORLD}/caller"]
    node.remove("Pod", WORLD, "caller")


@pytest.fixture(scope="module")
def peer(node):
    """Whom they call, at a public address: it sends back what comes, and to whom it said so."""
    service = {
        "kind": "Service",
        "metadata": {"namespace": WORLD, "name": "peer"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "peer"}, "ports": [{"port": PEER_PORT}]},
    }
    node.wait_ready(20, node.apply([service, shell("peer", app="peer")]))
    node.sync()
    made = Peer(node, node.runs[f"{WORLD}/peer"], node.network.external_address(service))
    yield made
    made.socket.close()
    node.remove("Pod", WORLD, "peer")
    node.remove("Service", WORLD, "peer")


def shell(name, **labels):
    container = {"name": "shell", "image": "fleetnode/shell", "command": ["sleep", "86400"]}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"kind": "Pod", "metadata": {"namespace": WORLD, "name": name, "labels": labels}, "spec": spec}


class Peer:
    """Echoes UDP."""

    def __init__(self, node, run, address):
        self.address, self.heard = (address, PEER_PORT), []

        def opened():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind(self.address)
            return made

        self.socket = node.inside(run, opened)
        threading.Thread(target=self.echo, daemon=True).start()

    def echo(self):
        try:
            while True:
                content, sender = self.socket.recvfrom(2048)
                self.heard.append(sender)
                self.socket.sendto(content, sender)
        except OSError:
            return


class Uri:
    def __init__(self, text):
        self.scheme, self.host, self.port, self.transport = re.fullmatch(
            r"(turns?):([^:?]+):(\d+)\?transport=(udp|tcp)", text
        ).groups()
        self.text = text


def uris(server):
    configuration = server.file("synapse", "homeserver.yaml")
    return [Uri(line.removeprefix("- ")) for line in re.findall(r"- turns?:.*", configuration)]


def handed_out(server, name="alice"):
    async def scenario():
        client = await server.client(name)
        await client.close()
        return client.access_token

    headers = {"Authorization": f"Bearer {asyncio.run(scenario())}"}
    answer = server.http().get(f"{server.url}/_matrix/client/v3/voip/turnServer", headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def credentials(single):
    """What Synapse says to somebody who is logged in."""
    return handed_out(single)


class Heard(asyncio.DatagramProtocol):
    def __init__(self):
        self.first = asyncio.get_running_loop().create_future()

    def datagram_received(self, content, sender):
        self.first.set_result((content, sender))

    def error_received(self, error):
        self.first.set_exception(error)


def relayed(node, caller, uri, username, password, to):
    """Allocate, send one packet to an address through the relay; what came back, and the relayed address. Raises
    TransactionFailed with the relay's answer."""
    context = ssl.create_default_context(cafile=str(Path(node.directory, "world.pem")))

    async def scenario():
        transport, heard = await turn.create_turn_endpoint(
            Heard,
            server_addr=(uri.host, int(uri.port)),
            username=username,
            password=password,
            ssl=context if uri.scheme == "turns" else False,
            transport=uri.transport,
        )
        try:
            transport.sendto(b"ring ring", to)
            content, sender = await asyncio.wait_for(heard.first, 10)
            return content, sender, transport.get_extra_info("sockname")
        finally:
            transport.close()
            await asyncio.sleep(0.1)

    return node.inside(caller, lambda: asyncio.run(scenario()))


def refused(*arguments):
    """The code by which the relay refuses."""
    with pytest.raises(stun.TransactionFailed) as failure:
        relayed(*arguments)
    return failure.value.response.error_code


def test_clients_are_told_each_way(single, credentials):
    told = [(uri.scheme, uri.port, uri.transport) for uri in map(Uri, credentials["uris"])]
    assert told == [("turn", "3478", "udp"), ("turn", "3478", "tcp"), ("turns", "5349", "tcp")]
    assert 3500 < int(credentials["username"].partition(":")[0]) - time.time() <= 3600
    assert credentials["ttl"] == 3600


@pytest.mark.parametrize("way", [0, 1, 2], ids=["udp", "tcp", "tls"])
def test_a_call_goes_through(node, single, caller, peer, credentials, way):
    uri = Uri(credentials["uris"][way])
    content, sender, at = relayed(node, caller, uri, credentials["username"], credentials["password"], peer.address)
    assert (content, sender) == (b"ring ring", peer.address)
    assert at in peer.heard, "the peer saw the relay, not the caller"
    assert 49152 <= at[1] <= 65535


def test_wrong_credentials_are_refused(node, single, caller, peer, credentials):
    uri = Uri(credentials["uris"][0])
    wrong = base64.b64encode(hmac.digest(b"a guess", credentials["username"].encode(), "sha1")).decode()
    assert refused(node, caller, uri, credentials["username"], wrong, peer.address) == 401
    longer = f"{int(time.time()) + 10**6}:@alice:{single.server_name}"
    assert refused(node, caller, uri, longer, credentials["password"], peer.address) == 401


def test_expired_credentials_are_refused(node, single, caller, peer, credentials):
    """Signed with the very secret, as Synapse does: what was good an hour ago."""
    secret = node.objects.need("Secret", "matrix-prod-turn", "matrix-prod-turn-1")
    shared = content_of(secret)["shared_secret"]

    def signed(end):
        username = f"{int(end)}:@alice:{single.server_name}"
        return username, base64.b64encode(hmac.new(shared, username.encode(), hashlib.sha1).digest()).decode()

    uri = Uri(credentials["uris"][0])
    assert relayed(node, caller, uri, *signed(time.time() + 60), peer.address)[0] == b"ring ring"
    assert refused(node, caller, uri, *signed(time.time() - 60), peer.address) == 401


def test_nobody_and_guests_get_none(single):
    url = f"{single.url}/_matrix/client/v3/voip/turnServer"
    assert single.http().get(url, timeout=10).status_code == 401
    guest = single.http().post(f"{single.url}/_matrix/client/v3/register?kind=guest", json={}, timeout=10)
    assert guest.status_code == 403
    # Nobody can become a guest here. One who was, before that was closed:
    password = single.user("visitor")
    output = Path(single.node.directory, "guest.txt")
    command = ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", "synapse", "-c"]
    command.append(f"UPDATE users SET is_guest = 1 WHERE name = '@visitor:{single.server_name}'")
    assert single.pod("postgresql").container("postgresql").execute(command, 20, output) == 0, output.read_text()
    assert "UPDATE 1" in output.read_text()
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "visitor"}, "password": password}
    token = single.http().post(f"{single.url}/_matrix/client/v3/login", json=body, timeout=10).json()["access_token"]
    answer = single.http().get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert (answer.status_code, answer.json()["errcode"]) == (403, "M_GUEST_ACCESS_FORBIDDEN"), answer.text


@pytest.mark.parametrize("where", ["a Pod", "the node", "loopback", "metadata"])
def test_private_addresses_are_not_relayed_to(node, single, caller, credentials, where):
    addresses = {
        "a Pod": single.pod("postgresql").address,
        "the node": str(NODE),
        "loopback": "127.0.0.1",
        "metadata": "169.254.169.254",
    }
    uri = Uri(credentials["uris"][0])
    names = credentials["username"], credentials["password"]
    assert refused(node, caller, uri, *names, (addresses[where], 5432)) == 403


def test_the_relay_knows_every_option(single):
    """Coturn goes on after one that it does not know, and only says so."""
    log = single.pod("turn").container("coturn").log.read_text()
    assert "Default realm: turn.example.com" in log
    assert "Bad configuration format" not in log
