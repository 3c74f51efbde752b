"""What a log line may tell: secrets in every shape are taken out, ordinary lines stay as they were, and no Pod names
its lines after another tenant. The compiled program, in Vector's own runtime."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from vrl_python import VRLRuntime

from matrixfleet.checks import Tree
from matrixfleet.checks.tree import Entry

# Never a word of an ordinary line, with everything that a password may have but quotes and spaces.
S = "Zq7hunter2Xw"


@pytest.fixture(scope="module")
def files(tree: Tree) -> dict[str, str]:
    found = tree.find("eu1", "ConfigMap", "fleet-logs", "platform-logs")
    assert isinstance(found, Entry)
    return dict(found.doc["data"])


@pytest.fixture(scope="module")
def program(files: dict[str, str]) -> str:
    return files["clean.vrl"]


def event(
    line: str, namespace: str = "acme", pod: dict[str, str] | None = None, several: bool = False
) -> dict[str, Any]:
    """A line as Vector's source gives it."""
    return {
        "message": line,
        "timestamp": "2026-11-28T13:03:51Z",
        "kubernetes": {
            "pod_labels": pod or {"app.kubernetes.io/instance": "acme", "app.kubernetes.io/component": "synapse"},
            "namespace_labels": {"matrix-fleet/several-tenants": "true"} if several else {},
            "pod_namespace": namespace,
            "pod_name": "acme-synapse-0",
            "container_name": "synapse",
            "pod_node_name": "node-1",
        },
    }


def cleaned(program: str, *arguments: Any, **more: Any) -> dict[str, Any]:
    return dict(VRLRuntime().execute(program, event(*arguments, **more)).processed_event)


SQL = [
    f"LOG:  statement: ALTER ROLE synapse WITH PASSWORD '{S}';",
    f"LOG:  statement: alter role synapse password '{S}'",
    f"STATEMENT:  ALTER USER synapse ENCRYPTED PASSWORD '{S}' VALID UNTIL 'infinity';",
    f"CREATE ROLE synapse LOGIN PASSWORD '{S}' CONNECTION LIMIT 5;",
    f"CREATE USER synapse UNENCRYPTED PASSWORD '{S}';",
    f"ALTER ROLE synapse PASSWORD 'it''s {S}';",
    f"ALTER ROLE synapse PASSWORD '''{S}';",
    f"ALTER ROLE synapse PASSWORD '{S}''';",
    f"ALTER ROLE synapse PASSWORD E'it\\'s {S}';",
    f"ALTER ROLE synapse PASSWORD E'\\\\{S}';",
    f"ALTER ROLE synapse PASSWORD e'a\\\\\\'{S}';",
    f"ALTER ROLE synapse PASSWORD U&'\\0441{S}';",
    f"ALTER ROLE synapse PASSWORD $${S}$$;",
    f"ALTER ROLE synapse PASSWORD $pw$ {S} 'x' $y$ {S} $pw$;",
    f"ALTER ROLE synapse PASSWORD\t'{S}'",
    f"ALTER ROLE synapse PASSWORD\n  '{S}'",
    f"ALTER ROLE synapse PASSWORD /* new */ '{S}'",
    f"ALTER ROLE synapse PASSWORD 'a'\n'{S}'",
    f"ALTER ROLE synapse PASSWORD '{S} and cut o",
    f"ALTER ROLE synapse PASSWORD $${S} and cut o",
    f"""ALTER ROLE synapse PASSWORD 'a"{S}';""",
    f"CREATE USER MAPPING FOR a SERVER b OPTIONS (user 'a', password '{S}');",
    f"ALTER ROLE synapse PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==${S}:abc=';",
    f"CREATE SUBSCRIPTION s CONNECTION 'host=a user=b password={S}' PUBLICATION p;",
    f"ALTER ROLE a PASSWORD '{S}'; ALTER ROLE b PASSWORD '{S}b';",
]
KEYS = [
    "access_token",
    "refresh_token",
    "id_token",
    "login_token",
    "loginToken",
    "as_token",
    "hs_token",
    "session_token",
    "registration_token",
    "auth_token",
    "client_secret",
    "registration_shared_secret",
    "turn_shared_secret",
    "form_secret",
    "worker_replication_secret",
    "macaroon_secret_key",
    "secret_access_key",
    "aws_secret_access_key",
    "AWS_SECRET_ACCESS_KEY",
    "api_key",
    "apikey",
    "private_key",
    "password",
    "new_password",
    "passwd",
    "PGPASSWORD",
    "db_password",
    "passphrase",
    "macaroon",
    "X-Vault-Token",
    "X-Api-Key",
    "X-Auth-Token",
    "X-Amz-Security-Token",
    "X-CSRF-Token",
    "code_verifier",
    "SAMLResponse",
    "signature",
]
SHAPES = [
    "{k}={s}",
    "{k}: {s}",
    "{k}='{s}'",
    '{k}="{s}"',
    '"{k}":"{s}"',
    '"{k}": "{s}", "next": 1',
    "'{k}': '{s}'",
    "'{k}': b'{s}'",
    "&{k}={s}&x=1",
    "?{k}={s} HTTP/1.1",
    '\\"{k}\\":\\"{s}\\"',
    '\\\\\\"{k}\\\\\\":\\\\\\"{s}\\\\\\"',
    "{k}%3D{s}",
    "%22{k}%22%3A%22{s}%22",
    "%2522{k}%2522%253A%2522{s}%2522",
    "Key ({k})=({s}) already exists.",
    "{k} => {s}",
]
# Inside of quotes: what ends a string early.
QUOTED = [
    f'"password":"a\\"{S}"',
    f'"password":"\\\\\\"{S}"',
    f'"password":"a,b c;{S}"',
    f'{{"log":"{{\\"password\\":\\"a\\\\\\"{S}\\"}}","level":"INFO"}}',
    f'{{"log":"{{\\"password\\":\\"a b {S}\\"}}","level":"INFO"}}',
    f"{{'password': 'it\\'s {S}'}}",
    f"{{'password': 'a\"{S}'}}",
    f"{{\"log\":\"{{'password': 'it\\\\'s {S}'}}\"}}",
    f'"password":"cut {S}',
    f'"password": "two\n{S}"',
    '"password": 1234567',
    json.dumps({"log": json.dumps({"body": json.dumps({"password": S})})}),
    json.dumps({"log": f"ALTER ROLE a PASSWORD 'x\"{S}'"}),
    json.dumps({"log": f"ALTER ROLE a PASSWORD E'it\\'s {S}'", "level": "INFO"}),
    json.dumps({"log": f"ALTER ROLE a\nPASSWORD '{S}'"}),
    json.dumps({"log": f"ALTER ROLE a PASSWORD '{S}'"}).replace("'", "\\u0027"),
    quote(json.dumps({"password": f"{S}"})),
    quote(quote(json.dumps({"password": f"{S}"}))),
    quote(f"/x?access_token={S}"),
    f"redirectUrl=https%3A%2F%2Fapp.example.com%2F%3FloginToken%3D{S}%26x%3D1",
]
HEADERS = [
    f"Authorization: Bearer {S}",
    f"authorization: bearer {S}",
    f"AUTHORIZATION: BEARER {S}",
    "Authorization: Bearer onlyletterszq",
    f"Authorization: Basic {S}==",
    f"Proxy-Authorization: Basic {S}",
    f"Authorization: Token {S}",
    f"Authorization: Negotiate {S}",
    f"Authorization: {S}{S}",
    f'Authorization: Digest username="a", nonce="{S}", response="{S}"',
    f'"Authorization": "Bearer {S}"',
    f"'Authorization': ['Bearer {S}']",
    f"b'Authorization': [b'Bearer {S}']",
    f"('authorization', 'Bearer {S}')",
    f"Authorization=Bearer%20{S}",
    f"sent bEaReR {S}",
    f"curl -H 'Authorization: Bearer {S}' https://x",
    f'Authorization: X-Matrix origin=a.example,destination="b.example",key="ed25519:1",sig="{S}"',
    f"Authorization: X-Matrix origin=a.example,key=ed25519:1,sig={S}",
    f'{{"log":"X-Matrix origin=\\"a.example\\",key=\\"ed25519:1\\",sig=\\"{S}+/\\""}}',
    f"AWS4-HMAC-SHA256 Credential=AKIA/20261128/eu/s3/aws4_request, SignedHeaders=host, Signature={S}",
    f"Cookie: syn_session={S}",
    f"Cookie: a=1; syn_session={S}; b=2",
    f'Cookie: a="x y"; syn_session="{S}"; c={S}',
    f"cookie: oidc_session={S}",
    f"Set-Cookie: oidc_session={S}; Path=/_synapse/client/oidc; HttpOnly; Secure",
    f'"Cookie":"a=1; b={S}"',
    f"'Cookie': 'a=1; b={S}'",
    f'{{"log":"\\"Set-Cookie\\": \\"b={S}; Path=/\\"","level":"INFO"}}',
    f"b'cookie': [b'a=1', b'b={S}']",
    f"X-Vault-Token: {S}",
    f"('cookie', 'a=1; b={S}')",
    f"pg_dump --password {S} --host a",
    f"age --passphrase={S}",
    f"curl -u admin:{S} https://a",
    f"curl --user 'admin:{S}' https://a",
    f"<Password>{S}</Password>",
    f"{S}{'A' * (64 - len(S))}",
]
PATHS = [
    f"GET /_synapse/admin/v1/registration_tokens/{S} HTTP/1.1",
    f"DELETE /_synapse/admin/v1/registration_tokens/{S}?x=1",
    f'"path":"/_synapse/admin/v1/registration_tokens/{S}","status":200',
    f"GET /_matrix/client/v1/register/m.login.registration_token/validity?token={S}",
    f"GET /_synapse/client/password_reset/email/submit_token?token={S}&client_secret={S}&sid={S}",
    f"GET /_matrix/client/unstable/registration/email/submit_token?sid={S}&token={S}",
    f"GET /_synapse/client/oidc/callback?code={S}&state={S}",
    f"GET /_synapse/client/unsubscribe?access_token={S}&app_id=m.email&pushkey=x",
    f"GET /_matrix/federation/v1/openid/userinfo?access_token={S}",
    f"GET /_matrix/client/v3/login/cas/ticket?redirectUrl=x&ticket={S}",
    f"GET /_matrix/consent?u=alice&h={S}&v=1",
    f"GET /_matrix/client/v3/auth/m.login.recaptcha/fallback/web?session={S}",
    f"PUT /_matrix/app/v1/transactions/1?access_token={S}",
    f"GET /bucket/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={S}&X-Amz-Security-Token={S}",
    f"GET /bucket/a?AWSAccessKeyId=AKIA&Signature={S}%2B%2F&Expires=1",
    f"GET /container/a?sv=2024&sig={S}%3D",
    f"GET /bucket/a?X-Goog-Signature={S}",
    f"https://app.example.com/#/login?loginToken={S}",
    f"postgresql://synapse:{S}@db.example.com/synapse",
    f"postgresql://synapse:p%40{S}@db.example.com/synapse",
    f"redis://:{S}@redis:6379/0",
    f"https://user:p@{S}@example.com/",
    f"smtp%3A%2F%2Fuser%3A{S}%40mail.example.com",
]
FORMS = [
    f"bare syt_YWxpY2U_{S}_0aB1cD",
    f"bare syr_{S} syl_{S} mct_{S}",
    f"jwt eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.{S}-_",
    f"macaroon MDAxYWxvY2F0aW9uIGV4YW1wbGUuY29t{S}AAAA",
    f"-----BEGIN PRIVATE KEY-----\\n{S}\\n-----END PRIVATE KEY-----",
    f"-----BEGIN EC PRIVATE KEY-----\n{S}\n{S}",
    f"ed25519 a_AbCd {S}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    f"AGE-SECRET-KEY-1{S.upper()}",
    f"hash $2b$12${S}abcdefghijklmnopqrstuv",
]


@pytest.mark.parametrize("line", [*SQL, *QUOTED, *HEADERS, *PATHS, *FORMS])
def test_secrets_are_taken_out(program: str, line: str) -> None:
    message = cleaned(program, line)["message"]
    for part in (S, S.upper(), "onlyletterszq", "1234567"):
        assert part not in message, message
    assert re.search(r"<(secret|token|mail)>", message)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_in_every_shape(program: str, key: str) -> None:
    for shape in SHAPES:
        for name in (key, key.upper(), key.replace("_", "%5F") if "%" in shape else key):
            line = shape.format(k=name, s=S)
            message = cleaned(program, line)["message"]
            assert S not in message, f"{line}: {message}"


def test_json_stays_json(program: str) -> None:
    """Saved queries parse lines: the form of an object outlives what is taken out of it."""
    inner = {"password": f'a"{S}', "user": "@alice:example.com", "n": None, "access_token": S}
    for line in (
        json.dumps(inner),
        json.dumps({"log": json.dumps(inner), "level": "WARNING"}),
        json.dumps({"log": f"ALTER ROLE a PASSWORD 'it''s {S}';", "level": "WARNING"}),
        json.dumps({"log": f"Cookie: a=1; b={S}", "level": "WARNING"}),
        json.dumps({"path": f"/x?access_token={S}", "level": "WARNING"}),
        json.dumps({"log": f"Authorization: Bearer {S}", "level": "WARNING"}),
    ):
        found = cleaned(program, line)
        read = json.loads(found["message"])
        assert S not in found["message"]
        if "level" in read:
            assert found["level"] == "warning"
        if "log" in read and read["log"].startswith("{"):
            assert json.loads(read["log"])["user"] == "@alice:example.com"


ORDINARY = """
@alice:example.com sent $abc to !room:example.com; HTTP 401 M_UNKNOWN_TOKEN, error code: 5000, token_id 12
Failed password login for user @alice:example.com
User @alice:example.com changed their password
Basic authentication is not supported
the bearer token is missing
WWW-Authenticate is sent with basic auth.
Invalid token passed to /sync
password_config: {enabled: true}
"password":null,"access_token":null,"enabled":true
'password': None, 'id_token': False
password=None access_token=null
access_token_lifetime: 5m
macaroon_secret_key_path: /secrets/synapse/macaroon
turn_shared_secret_path=/secrets/turn/shared_secret
next_batch=s72_45_1_2 now_token=s72_45 stream_token: s1_2 since_token='s12_33'
invalid_token: false valid_token: none
GET /_synapse/admin/v1/registration_tokens HTTP/1.1
POST /_synapse/admin/v1/registration_tokens/new HTTP/1.1
POST /_synapse/admin/v1/users/%40alice%3Aexample.com/login HTTP/1.1
GET /_matrix/client/v3/rooms/!abc%3Aexample.com/state/m.room.member/%40alice.b.smith%3Aexample.com
GET /_matrix/client/v3/sync?since=s72_45&timeout=30000&filter=0&set_presence=online
GET /_matrix/client/v3/rooms/%21abc%3Aexample.com/messages?from=t12-34_5&dir=b&limit=50
GET /_synapse/client/pick_idp?redirectUrl=https%3A%2F%2Fapp.example.com%2F
GET /_matrix/key/v2/server ed25519:a_AbCd
"signatures":{"example.com":{"ed25519:a_AbCd":"c2lnbmF0dXJl"}}
session cookie expired for @alice:example.com
LOG:  statement: ALTER ROLE synapse PASSWORD NULL;
LOG:  statement: SET password_encryption = 'scram-sha-256';
LOG:  statement: ALTER ROLE synapse SET statement_timeout = '10min';
LOG:  statement: SELECT name FROM users WHERE password_hash IS NOT NULL AND name = '@a:example.com'
ERROR:  duplicate key value violates unique constraint "users_name_key"
DETAIL:  Key (name)=(@alice:example.com) already exists.
FATAL:  password authentication failed for user "synapse_odd"
connection to https://s3.example.com:443/bucket/a@b refused
dialing redis://redis.acme.svc.cluster.local:6379/0
Processed request: 0.679sec/0.001sec ru=(0.059sec, 0.018sec) db=(0.022sec/0.135sec/54) 58B 200
error code=5000 state=open sid 12
tokens: 12, passwords: 3, secrets: 4
restic --password-file /secrets/backup-key/passphrase check
psql --no-password --host db
id -u synapse: 991
""".strip().splitlines()


@pytest.mark.parametrize("line", ORDINARY)
def test_ordinary_lines_stay(program: str, line: str) -> None:
    assert cleaned(program, line)["message"] == line


def test_mail_addresses_in_every_encoding(program: str) -> None:
    for line in (
        "to alice.b@mail.example.com",
        "to=alice.b%40mail.example.com&x",
        "alice.b%2540mail.example.com",
        "<alice.b+x@mail.example.com>",
    ):
        message = cleaned(program, line)["message"]
        assert "<mail>" in message and "alice" not in message, message


@pytest.mark.parametrize(
    "pod",
    [
        {"app.kubernetes.io/instance": "victim"},
        {"app.kubernetes.io/instance": "victim", "app.kubernetes.io/component": "synapse"},
        {"cnpg.io/cluster": "victim-postgresql"},
        {"cnpg.io/poolerName": "victim-pgbouncer", "cnpg.io/cluster": "victim-postgresql"},
        {"app.kubernetes.io/instance": "victim", "app.kubernetes.io/part-of": "matrix-fleet", "tenant": "victim"},
        {"app.kubernetes.io/instance": "victim/x", "matrix-fleet/several-tenants": "true"},
        {},
    ],
)
def test_a_pod_names_no_other_tenant(program: str, pod: dict[str, str]) -> None:
    """Its namespace does; several in one namespace are told apart behind that one's name."""
    alone = cleaned(program, "a line", namespace="acme-eu", pod=pod or {"x": "y"})
    assert (alone["tenant"], alone["namespace"], alone["stream"]) == ("acme-eu", "acme-eu", "acme_eu")
    among = cleaned(program, "a line", namespace="group", pod=pod or {"x": "y"}, several=True)
    assert among["namespace"] == "group" and among["tenant"].partition("/")[0] == "group"
    assert re.fullmatch(r"group(\.[a-z0-9_.]+)?", among["stream"].replace("/", "."))
    assert among["tenant"] != "victim"


def test_a_line_names_nobody(program: str) -> None:
    """Nor does its text, and its level is one of a few: both are labels."""
    forged = {"level": "x" * 500, "tenant": "victim", "namespace": "victim", "kubernetes": {"pod_namespace": "victim"}}
    found = cleaned(program, json.dumps(forged))
    assert (found["tenant"], found["level"]) == ("acme", "info")


def test_one_namespace_cannot_use_anothers_share(files: dict[str, str]) -> None:
    """Two Pods may have one name, in two namespaces; and only namespaces of the fleet are read."""
    made = yaml.safe_load(files["vector.yaml"])
    assert made["transforms"]["limit"]["key_field"] == "{{ namespace }}/{{ pod }}"
    assert made["sources"]["pods"]["extra_namespace_label_selector"] == "app.kubernetes.io/part-of=matrix-fleet"
    assert "namespace" in made["sinks"]["store"]["structured_metadata"]
