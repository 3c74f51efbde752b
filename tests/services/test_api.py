"""What the world sees of a tenant: through a real Traefik with the compiled Ingresses, and the compiled router."""

import asyncio
import io

import nio
import pytest
import requests


@pytest.fixture(params=["single", "ha"])
def server(request):
    """Each tenant in turn."""
    return request.getfixturevalue(request.param)


def test_health_and_versions(server):
    http = server.http()
    assert http.get(f"{server.url}/health", timeout=10).text == "ok"
    assert "v1.1" in http.get(f"{server.url}/_matrix/client/versions", timeout=10).json()["versions"]
    version = http.get(f"{server.url}/_matrix/federation/v1/version", timeout=10).json()
    assert version["server"]["name"] == "Synapse"
    key = http.get(f"{server.url}/_matrix/key/v2/server", timeout=10).json()
    assert key["server_name"] == server.server_name


def test_plain_http_is_sent_to_https(server):
    plain = f"{server.url}/_matrix/client/versions".replace("https:", "http:")
    answer = server.http().get(plain, timeout=10, allow_redirects=False)
    assert answer.status_code in (301, 308)
    assert answer.headers["Location"] == plain.replace("http:", "https:")


def test_well_known_with_cors(server):
    http = server.http()
    for name, key in (("client", "m.homeserver"), ("server", "m.server")):
        answer = http.get(f"https://{server.server_name}/.well-known/matrix/{name}", timeout=10)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert key in answer.json()
    client = http.get(f"https://{server.server_name}/.well-known/matrix/client", timeout=10).json()
    assert client["m.homeserver"]["base_url"] == server.url


def test_errors_of_the_api_have_cors(server):
    answer = server.http().get(f"{server.url}/_matrix/client/v3/account/whoami", timeout=10)
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_registration_is_closed(server):
    answer = server.http().post(f"{server.url}/_matrix/client/v3/register", json={}, timeout=10)
    assert answer.status_code == 403
    guest = server.http().post(f"{server.url}/_matrix/client/v3/register?kind=guest", json={}, timeout=10)
    assert guest.status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/_synapse/admin/v1/server_version",
        "/_synapse/admin/v1/register",
        "/_synapse/client/../admin/v1/server_version",
        "/_matrix/../_synapse/admin/v1/server_version",
        "//_synapse/admin/v1/server_version",
        "/_matrix/%2e%2e/_synapse/admin/v1/server_version",
        "/_synapse/replication/",
        "/metrics",
        "/_synapse/metrics",
    ],
)
def test_what_is_closed_at_the_edge(server, path):
    """Sent as they stand here: requests would tidy them."""
    request = requests.Request("GET", server.url).prepare()
    request.url = server.url + path
    answer = server.http().send(request, timeout=10, allow_redirects=False)
    assert answer.status_code in (301, 308, 400, 404), answer.text
    assert "server_version" not in answer.text and "nonce" not in answer.text


def test_admin_answers_inside(server):
    """The same path is there: it is the edge that closes it."""
    code = (
        server.pod("synapse")
        .container("synapse")
        .execute(
            [
                "python",
                "-c",
                "import urllib.request as u; u.urlopen('http://localhost:8008/_synapse/admin/v1/register')",
            ],
            15,
        )
    )
    assert code == 0


def test_a_login_with_a_wrong_password_is_refused(server):
    server.user("alice")
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}, "password": "wrong"}
    answer = server.http().post(f"{server.url}/_matrix/client/v3/login", json=body, timeout=10)
    assert (answer.status_code, answer.json()["errcode"]) == (403, "M_FORBIDDEN")


def test_two_people_talk(server):
    async def scenario():
        alice, bob = await server.client("alice"), await server.client("bob")
        try:
            room = await alice.room_create(invite=[bob.user_id], name="Tea")
            assert isinstance(room, nio.RoomCreateResponse), room
            joined = await bob.join(room.room_id)
            assert isinstance(joined, nio.JoinResponse), joined
            sent = []
            for client, text in ((alice, "milk?"), (bob, "no, thanks")):
                answer = await client.room_send(room.room_id, "m.room.message", {"msgtype": "m.text", "body": text})
                assert isinstance(answer, nio.RoomSendResponse), answer
                sent.append(answer.event_id)
            for client in (alice, bob):
                seen: list[str] = []
                for _ in range(10):
                    synced = await client.sync(timeout=2000)
                    assert isinstance(synced, nio.SyncResponse), synced
                    seen = [event.event_id for event in await history(client, room.room_id)]
                    if set(sent) <= set(seen):
                        break
                assert set(sent) <= set(seen)
        finally:
            await alice.close()
            await bob.close()

    asyncio.run(scenario())


async def history(client, room):
    answer = await client.room_messages(room, limit=50)
    assert isinstance(answer, nio.RoomMessagesResponse), answer
    return answer.chunk


def test_media_go_up_and_come_down(server):
    content = bytes(range(256)) * 4096

    async def scenario():
        alice = await server.client("alice")
        try:
            up, _ = await alice.upload(io.BytesIO(content), "application/octet-stream", "a.bin", filesize=len(content))
            assert isinstance(up, nio.UploadResponse), up
            url = up.content_uri.replace("mxc://", f"{server.url}/_matrix/client/v1/media/download/")
            answer = server.http().get(url, headers={"Authorization": f"Bearer {alice.access_token}"}, timeout=30)
            assert answer.status_code == 200
            assert answer.content == content
            assert server.http().get(url, timeout=30).status_code == 401
        finally:
            await alice.close()

    asyncio.run(scenario())


def test_a_body_beyond_the_limit_is_refused(server):
    """The router answers before it has read the body; a client that is still sending may find the line cut instead."""
    url = f"{server.url}/_matrix/media/v3/upload"
    try:
        answer = server.http().post(url, headers={"Authorization": "Bearer none"}, data=bytes(60 * 2**20), timeout=30)
        assert (answer.status_code, answer.json()["errcode"]) == (413, "M_TOO_LARGE")
    except requests.ConnectionError:
        pass
    logs = "".join(run.container("haproxy").log.read_text() for run in server.pods("router"))
    assert '"path":"/_matrix/media/v3/upload","status":413' in logs
