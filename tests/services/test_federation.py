"""Two compiled tenants as servers of one federation, through their edges; and a server of neither.

The single-tenant one sends by itself, the other by its federation senders; both publish .well-known at the edge.
"""

import asyncio
import io
import os

import nio
import pytest
import requests
from harness import publish
from signedjson.key import encode_signing_key_base64, generate_signing_key
from signedjson.sign import sign_json

from fleetnode import certificates
from fleetnode.certificates import Authority

OTHERS = "others"
# A server of which others need its key alone. It says what it is asked.
SERVER = """\
import http.server, json, os, ssl, sys, time
from signedjson.key import decode_signing_key_base64, encode_verify_key_base64, get_verify_key
from signedjson.sign import sign_json

name, key = os.environ["NAME"], decode_signing_key_base64("ed25519", "own", os.environ["KEY"])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content = {"errcode": "M_NOT_FOUND", "error": "nothing here"}
        if self.path == "/.well-known/matrix/server":
            content = {"m.server": f"{name}:443"}
        if self.path.startswith("/_matrix/key/v2/server"):
            keys = {f"{key.alg}:{key.version}": {"key": encode_verify_key_base64(get_verify_key(key))}}
            until = int(time.time() + 86400) * 1000
            content = {"server_name": name, "verify_keys": keys, "old_verify_keys": {}, "valid_until_ts": until}
            content = sign_json(content, name, key)
        self.send_response(404 if "errcode" in content else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

server = http.server.ThreadingHTTPServer(("0.0.0.0", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
# The handshake in the request's own thread: a client that gives it up must not end the server.
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"""


class Other:
    """Another server of the federation, with a certificate of some authority."""

    def __init__(self, node, name, authority):
        self.node, self.name = node, f"{name}.example.net"
        self.key = generate_signing_key("own")
        where = {"namespace": OTHERS, "name": name}
        certificate = {
            "kind": "Certificate",
            "metadata": where,
            "spec": {
                "secretName": f"{name}-tls",
                "dnsNames": [self.name],
                "usages": ["server auth"],
                "issuerRef": {"kind": "ClusterIssuer", "name": "its own"},
            },
        }
        certificates.issue([certificate], node.objects, authority)
        environment = {"NAME": self.name, "KEY": encode_signing_key_base64(self.key)}
        container = {
            "name": "server",
            "image": "fleetnode/shell",
            "command": ["python", "-u", "-c", SERVER],
            "env": [{"name": key, "value": value} for key, value in environment.items()],
            "ports": [{"name": "https", "containerPort": 8443}],
            "readinessProbe": {"tcpSocket": {"port": "https"}, "periodSeconds": 1},
            "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
        }
        volumes = [{"name": "tls", "secret": {"secretName": f"{name}-tls"}}]
        spec = {"terminationGracePeriodSeconds": 0, "containers": [container], "volumes": volumes}
        labels = {"app": name}
        pod = {"kind": "Pod", "metadata": {**where, "labels": labels}, "spec": spec}
        ports = [{"port": 443, "targetPort": "https"}]
        balancer = {"type": "LoadBalancer", "selector": labels, "ports": ports}
        service = {"kind": "Service", "metadata": where, "spec": balancer}
        node.wait_ready(30, node.apply([service, pod]))
        publish(node, {self.name: node.network.external_address(service)})
        self.run = node.runs[f"{OTHERS}/{name}"]

    @property
    def asked(self):
        """The paths that it was asked for."""
        return self.run.container("server").log.read_text()

    def asks(self, server, path):
        """A request to a server's federation API, signed as this one."""
        signed = {"method": "GET", "uri": path, "origin": self.name, "destination": server.server_name}
        signature = sign_json(signed, self.name, self.key)["signatures"][self.name]["ed25519:own"]
        authorization = f'X-Matrix origin="{self.name}",destination="{server.server_name}"'
        headers = {"Authorization": f'{authorization},key="ed25519:own",sig="{signature}"'}
        return server.http().get(server.url + path, headers=headers, timeout=90)

    def remove(self):
        for kind in ("Pod", "Service"):
            self.node.remove(kind, OTHERS, self.name.partition(".")[0])


@pytest.fixture(scope="module")
def known(node, world):
    """A server whose certificate everybody trusts."""
    made = Other(node, "known", world)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def stranger(node, known):
    """The same with a certificate of an authority that nobody knows."""
    made = Other(node, "stranger", Authority("nobody knows it"))
    yield made
    made.remove()


async def until(true, seconds=30):
    """Ask again until it is so."""
    end = asyncio.get_running_loop().time() + seconds
    while not (found := await true()):
        assert asyncio.get_running_loop().time() < end, f"not within {seconds} s: {true.__doc__}"
        await asyncio.sleep(0.2)
    return found


async def said(client, room):
    answer = await client.room_messages(room, limit=50)
    return {event.body for event in getattr(answer, "chunk", ()) if isinstance(event, nio.RoomMessageText)}


@pytest.mark.parametrize(("near", "far"), [("single", "ha"), ("ha", "single")])
def test_two_people_of_two_servers_talk(request, near, far):
    near, far = request.getfixturevalue(near), request.getfixturevalue(far)
    assert near.server_name != far.server_name

    async def scenario():
        alice, bob = await near.client("alice"), await far.client("bob")
        try:
            room = await alice.room_create(name="Abroad", invite=[bob.user_id])
            assert isinstance(room, nio.RoomCreateResponse), room

            async def invited():
                """an invitation"""
                synced = await bob.sync(timeout=1000)
                return isinstance(synced, nio.SyncResponse) and room.room_id in synced.rooms.invite

            await until(invited)
            joined = await bob.join(room.room_id)
            assert isinstance(joined, nio.JoinResponse), joined
            for client, text in ((alice, "Can you hear me?"), (bob, "As if you were here")):
                sent = await client.room_send(room.room_id, "m.room.message", {"msgtype": "m.text", "body": text})
                assert isinstance(sent, nio.RoomSendResponse), sent

                async def heard(text=text):
                    """the message at both"""
                    return text in await said(alice, room.room_id) and text in await said(bob, room.room_id)

                await until(heard)
            left = await bob.room_leave(room.room_id)
            assert isinstance(left, nio.RoomLeaveResponse), left
        finally:
            await alice.close()
            await bob.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("near", "far"), [("single", "ha"), ("ha", "single")])
def test_media_of_the_other_server(request, near, far):
    near, far = request.getfixturevalue(near), request.getfixturevalue(far)
    content = os.urandom(300_000)

    async def scenario():
        alice, bob = await near.client("alice"), await far.client("bob")
        try:
            up, _ = await alice.upload(io.BytesIO(content), "application/octet-stream", "a.bin", filesize=len(content))
            assert isinstance(up, nio.UploadResponse), up
            return up.content_uri, bob.access_token
        finally:
            await alice.close()
            await bob.close()

    uri, token = asyncio.run(scenario())
    url = uri.replace("mxc://", f"{far.url}/_matrix/client/v1/media/download/")
    assert f"/{near.server_name}/" in url
    answer = far.http().get(url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    assert (answer.status_code, answer.content) == (200, content)


def profile(server, other):
    """Ask a server for the profile of somebody at another."""

    async def scenario():
        client = await server.client("alice")
        await client.close()
        return client.access_token

    url = f"{server.url}/_matrix/client/v3/profile/@somebody:{other.name}"
    headers = {"Authorization": f"Bearer {asyncio.run(scenario())}"}
    try:
        return server.http().get(url, headers=headers, timeout=90).status_code
    except requests.ReadTimeout:
        return None


def test_a_server_of_a_stranger_is_not_asked(single, known, stranger):
    """The client gets an error either way: what counts is whether anything was said to the server."""
    query = "/_matrix/federation/v1/query/profile"
    profile(single, known)
    assert query in known.asked
    assert profile(single, stranger) != 200
    assert "GET" not in stranger.asked


def test_a_server_of_a_stranger_is_not_heard(single, known, stranger):
    """Its signature is right, and its key is where nobody fetches it."""
    single.user("alice")
    path = f"/_matrix/federation/v1/query/profile?user_id=@alice:{single.server_name}"
    answer = known.asks(single, path)
    assert answer.status_code == 200 and answer.json()["displayname"] == "alice", answer.text
    assert "/_matrix/key/v2/server" in known.asked
    refused = stranger.asks(single, path)
    assert (refused.status_code, refused.json()["errcode"]) == (401, "M_UNAUTHORIZED"), refused.text
    assert "GET" not in stranger.asked


def test_a_wrong_signature_is_refused(single, known):
    path = f"/_matrix/federation/v1/query/profile?user_id=@alice:{single.server_name}"
    own, known.key = known.key, generate_signing_key("own")
    try:
        assert known.asks(single, path).status_code == 401
    finally:
        known.key = own
    assert single.http().get(single.url + path, timeout=10).status_code == 401
