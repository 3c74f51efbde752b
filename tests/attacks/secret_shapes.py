"""Secrets of every shape, made when the tests run: no scanner takes this file for a leak, and nothing here opens a door.

VALUES are recognised wherever they stand. KEYED are lines of YAML in which the key tells. HARMLESS looks alike and is none.
"""

from __future__ import annotations

import base64
import json
import random
import textwrap
import uuid
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits, hexdigits

_random = random.Random(18)
ALNUM = ascii_letters + digits
URLSAFE = ALNUM + "-_"
BASE58 = "".join(letter for letter in ALNUM if letter not in "0OIl")


def pick(letters: str, length: int) -> str:
    """So many letters of an alphabet."""
    return "".join(_random.choice(letters) for _ in range(length))


def b64(length: int, *, url: bool = False) -> str:
    """So many random bytes in base64."""
    raw = _random.randbytes(length)
    return (base64.urlsafe_b64encode(raw) if url else base64.b64encode(raw)).decode()


def lower_hex(length: int) -> str:
    """So many hexadecimal digits."""
    return pick(hexdigits[:16], length)


def jwt(**claims: object) -> str:
    """A signed JSON Web Token."""
    head = {"alg": "RS256", "kid": pick(ALNUM, 20), "typ": "JWT"}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (head, claims)]
    return ".".join([*parts, b64(128, url=True).rstrip("=")])


def pem(label: str, length: int = 180, headers: str = "") -> str:
    """A block of PEM."""
    body = "\n".join(textwrap.wrap(b64(length), 64))
    return f"-----BEGIN {label}-----\n{headers}{body}\n-----END {label}-----\n"


def bech32(length: int) -> str:
    """Letters of bech32."""
    return pick("qpzry9x8gf2tvdw0s3jn54khce6mua7l", length)


def encoded(text: str) -> str:
    """Text in base64."""
    return base64.b64encode(text.encode()).decode()


PASSWORD = pick(ALNUM, 10) + "7x"
PRIVATE = "PRIVATE " + "KEY"
SERVICE_ACCOUNT = {
    "type": "service_account",
    "project_id": "fleet-demo",
    "private_key_id": lower_hex(40),
    "private_key": pem(PRIVATE, 1200),
    "client_email": "backup@fleet-demo.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}
SCRAM = f"SCRAM-SHA-256$4096:{b64(16)}${b64(32)}:{b64(32)}"
BCRYPT = "$2" + "b$12$" + pick(ALNUM + "./", 53)
DOCKER = json.dumps({"auths": {"registry.example.com": {"auth": encoded(f"robot:{PASSWORD}")}}})

VALUES: dict[str, str] = {
    # Matrix.
    "access token of Synapse": f"syt_{encoded('alice').rstrip('=')}_{pick(ascii_letters, 20)}_{pick(ALNUM, 6)}",
    "registration token session of Synapse": f"syr_{encoded('alice').rstrip('=')}_{pick(ascii_letters, 20)}_{pick(ALNUM, 6)}",
    "log-in token of Synapse": f"syl_{pick(ascii_letters, 20)}_{pick(ALNUM, 6)}",
    "access token of MAS": f"mat_{pick(ALNUM, 30)}_{pick(ALNUM, 6)}",
    "refresh token of MAS": f"mar_{pick(ALNUM, 30)}_{pick(ALNUM, 6)}",
    "compatibility token of MAS": f"mct_{pick(ALNUM, 30)}_{pick(ALNUM, 6)}",
    "compatibility refresh token of MAS": f"mcr_{pick(ALNUM, 30)}_{pick(ALNUM, 6)}",
    "signing key of Synapse": f"ed25519 a_{pick(ascii_letters, 4)} {b64(32).rstrip('=')}",
    "signing key of Dendrite": pem("MATRIX " + PRIVATE, 32, f"Key-ID: ed25519:{pick(ALNUM, 6)}\n\n"),
    "recovery key of a person": " ".join(["EsT" + pick(BASE58, 1), *(pick(BASE58, 4) for _ in range(11))]),
    "identity of age": "AGE-SECRET-KEY-1" + bech32(58).upper(),
    "post-quantum identity of age": "AGE-SECRET-KEY-PQ-1" + bech32(58).upper(),
    # Keys.
    "RSA key": pem("RSA " + PRIVATE, 600),
    "EC key": pem("EC " + PRIVATE, 120),
    "PKCS8 key": pem(PRIVATE, 120),
    "encrypted PKCS8 key": pem("ENCRYPTED " + PRIVATE, 240),
    "encrypted RSA key": pem(
        "RSA " + PRIVATE, 600, f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,{lower_hex(32).upper()}\n\n"
    ),
    "DSA key": pem("DSA " + PRIVATE, 300),
    "OpenSSH key": pem("OPENSSH " + PRIVATE, 300),
    "PGP key": pem("PGP " + PRIVATE + " BLOCK", 300, "Version: GnuPG v2\n\n"),
    "SSH2 key": pem("SSH2 ENCRYPTED " + PRIVATE, 300)
    .replace("-----BEGIN", "---- BEGIN")
    .replace("KEY-----", "KEY ----"),
    "PuTTY key": f"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\n{b64(32)}\nPrivate-MAC: {lower_hex(64)}\n",
    "JWK": json.dumps(
        {"kty": "OKP", "crv": "Ed25519", "x": b64(32, url=True).rstrip("="), "d": b64(32, url=True).rstrip("=")}
    ),
    "WireGuard's configuration": f"[Interface]\nPrivateKey = {b64(32)}\nAddress = 10.0.0.1/24\n",
    # Hashes of passwords, which are guessed elsewhere.
    "verifier of PostgreSQL": SCRAM,
    "md5 of PostgreSQL": f'"synapse" "md5{lower_hex(32)}"',
    "bcrypt": BCRYPT,
    "htpasswd": f"admin:$apr1${pick(ALNUM, 8)}${pick(ALNUM + './', 22)}",
    "htpasswd with SHA-1": f"admin:{{SHA}}{b64(20)}",
    "crypt": f"root:$6${pick(ALNUM, 16)}${pick(ALNUM + './', 86)}:19000:0:99999:7:::",
    "yescrypt": f"$y$j9T${pick(ALNUM, 22)}${pick(ALNUM + './', 43)}",
    "argon2": f"$argon2id$v=19$m=65536,t=3,p=4${b64(16).rstrip('=')}${b64(32).rstrip('=')}",
    "pbkdf2": f"$pbkdf2-sha256$29000${b64(16).rstrip('=')}${b64(32).rstrip('=')}",
    # Kubernetes.
    "token of a ServiceAccount": jwt(iss="kubernetes/serviceaccount", sub="system:serviceaccount:matrix:default"),
    "bootstrap token": f"kubeadm join 10.0.0.1:6443 --token {pick(ascii_lowercase + digits, 6)}.{pick(ascii_lowercase + digits, 16)}",
    "kubeconfig": f"users:\n- name: admin\n  user:\n    client-key-data: {encoded(pem('RSA ' + PRIVATE, 600))}\n",
    "token in a kubeconfig": f"users:\n- name: admin\n  user: {{token: {pick(ALNUM, 40)}}}\n",
    "dockerconfigjson": DOCKER,
    "dockerconfigjson in base64": encoded(DOCKER),
    "a Secret": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: x}}\ndata: {{x: {encoded('abc')}}}\n",
    "a Secret in JSON": json.dumps({"kind": "Secret", "apiVersion": "v1", "stringData": {"x": "abc"}}),
    # Clouds and services.
    "AWS access key": "AKIA" + pick(ascii_uppercase + "234567", 16),
    "AWS temporary key": "ASIA" + pick(ascii_uppercase + "234567", 16),
    "AWS credentials": f"[default]\naws_access_key_id = AKIA{pick(ascii_uppercase + '234567', 16)}\naws_secret_access_key = {b64(30)}\n",
    "Google API key": "AIza" + pick(URLSAFE, 35),
    "Google service account": json.dumps(SERVICE_ACCOUNT),
    "Google service account in base64": encoded(json.dumps(SERVICE_ACCOUNT)),
    "Google OAuth secret": "GOCSPX-" + pick(URLSAFE, 28),
    "Azure storage": f"DefaultEndpointsProtocol=https;AccountName=fleet;AccountKey={b64(64)};EndpointSuffix=core.windows.net",
    "Azure SAS": f"https://fleet.blob.core.windows.net/b?sv=2022-11-02&sp=rwl&se=2027-01-01T00:00:00Z&sr=c&sig={b64(32).replace('+', '%2B').replace('/', '%2F').replace('=', '%3D')}",
    "Azure client secret": f"{pick(ALNUM, 3)}8Q~{pick(ALNUM, 34)}",
    "AWS presigned address": f"https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=604800&X-Amz-Signature={lower_hex(64)}",
    "Hetzner Cloud": f"HCLOUD_TOKEN={pick(ALNUM, 64)}",
    "DigitalOcean": "dop_v1_" + lower_hex(64),
    "Cloudflare": f"CLOUDFLARE_API_TOKEN: {pick(URLSAFE, 40)}",
    "Cloudflare origin CA": f"v1.0-{lower_hex(24)}-{lower_hex(146)}",
    "GitHub": "ghp_" + pick(ALNUM, 36),
    "GitHub fine-grained": f"github_pat_{pick(ALNUM, 22)}_{pick(ALNUM, 59)}",
    "GitHub app": "ghs_" + pick(ALNUM, 36),
    "GitLab": "glpat-" + pick(ALNUM, 20),
    "GitLab deploy token": "gldt-" + pick(ALNUM, 20),
    "GitLab runner": "glrt-" + pick(ALNUM, 20),
    "Slack bot": f"xoxb-{pick(digits, 12)}-{pick(digits, 12)}-{pick(ALNUM, 24)}",
    "Slack webhook": f"https://hooks.slack.com/services/T{pick(ascii_uppercase + digits, 8)}/B{pick(ascii_uppercase + digits, 10)}/{pick(ALNUM, 24)}",
    "Telegram": f"{pick('123456789', 10)}:AA{pick(URLSAFE, 33)}",
    "Telegram in an address": f"https://api.telegram.org/bot{pick('123456789', 10)}:AA{pick(URLSAFE, 33)}/sendMessage",
    "Discord bot": f"M{pick(ALNUM, 23)}.{pick(ALNUM, 6)}.{pick(URLSAFE, 27)}",
    "Discord webhook": f"https://discord.com/api/webhooks/{pick('123456789', 18)}/{pick(URLSAFE, 68)}",
    "Teams webhook": f"https://example.webhook.office.com/webhookb2/{uuid.UUID(int=_random.getrandbits(128))}@{uuid.UUID(int=_random.getrandbits(128))}/IncomingWebhook/{lower_hex(32)}/{uuid.UUID(int=_random.getrandbits(128))}",
    "Stripe": "sk_live_" + pick(ALNUM, 24),
    "SendGrid": f"SG.{pick(URLSAFE, 22)}.{pick(URLSAFE, 43)}",
    "Mailgun": f"key-{lower_hex(32)}",
    "Twilio": "SK" + lower_hex(32),
    "Vault": "hvs." + pick(ALNUM, 95),
    "Grafana": "glsa_" + pick(ALNUM, 32) + "_" + lower_hex(8),
    "npm": "npm_" + pick(ALNUM, 36),
    "PyPI": "pypi-AgEIcHlwaS5vcmc" + pick(URLSAFE, 70),
    "OpenAI": f"sk-proj-{pick(ALNUM, 74)}T3BlbkFJ{pick(ALNUM, 74)}",
    "Sentry": f"https://{lower_hex(32)}:{lower_hex(32)}@o1.ingest.sentry.io/2",
    # Addresses and headers.
    "address of PostgreSQL": f"postgres://synapse:{PASSWORD}@db.example.com/synapse",
    "address of Redis": f"redis://:{PASSWORD}@redis:6379/0",
    "address of AMQP": f"amqp://fleet:{PASSWORD}@mq:5672/",
    "address of SMTP": f"smtps://mailer%40example.com:{PASSWORD}@mail.example.com:465",
    "address of a web server": f"https://admin:{PASSWORD}@grafana.example.com/api",
    "address with a token": f"https://example.com/hook?access_token={pick(ALNUM, 32)}",
    "connection string": f"host=db user=synapse password={PASSWORD} dbname=synapse",
    "line of .pgpass": f"db.example.com:5432:synapse:synapse:{PASSWORD}",
    "basic authentication": f"Authorization: Basic {encoded('admin:' + PASSWORD)}",
    "bearer": f"Authorization: Bearer {pick(ALNUM, 40)}",
    "curl": f"curl -u admin:{PASSWORD} https://grafana.example.com",
    "netrc": f"machine git.example.com login robot password {PASSWORD}",
    "command line of psql": f"PGPASSWORD={PASSWORD} psql -h db -U synapse",
    "statement of SQL": f"ALTER ROLE synapse PASSWORD '{PASSWORD}';",
    "flag": f"synapse --registration-shared-secret={PASSWORD}",
    "flag and value": f"redis-cli --pass {PASSWORD} ping",
    "reference of Kapitan": "?{" + "gpg:targets/eu1/password}",
}
"""Found wherever they stand: in a value of any key, in a comment, in a text."""

_B = "\n  "
KEYED: dict[str, str] = {
    "plain": f"password: {PASSWORD}",
    "a word": "password: " + "hunter2",
    "only letters": "password: " + "correcthorse",
    "several words": "passphrase: " + "correct horse battery staple",
    "digits": "password: " + "12345678",
    "quoted": f"password: '{PASSWORD}'",
    "with a sign before it": f"password: '$uper{PASSWORD}'",
    "with a slash before it": f"password: '/{PASSWORD}+='",
    "with an exclamation mark before it": f"password: '!{PASSWORD}'",
    "with an ampersand before it": f"password: '&{PASSWORD}'",
    "with a percent sign before it": f"password: '%{PASSWORD}'",
    "a default that everybody knows": "password: " + "changeme",
    "in capitals": f"PASSWORD: {PASSWORD}",
    "quoted key": f'"password": "{PASSWORD}"',
    "short for it": f"smtp_pass: {PASSWORD}",
    "pwd": f"db_pwd: {PASSWORD}",
    "camel case": f"clientSecret: {PASSWORD}",
    "hyphens": f"static-auth-secret: {PASSWORD}",
    "dots": f"spring.datasource.password: {PASSWORD}",
    "turn": f"turn_shared_secret: {PASSWORD}",
    "registration": f"registration_shared_secret: {PASSWORD}",
    "macaroon": f"macaroon_secret_key: {PASSWORD}",
    "form": f"form_secret: {PASSWORD}",
    "appservice": f"as_token: {lower_hex(64)}",
    "homeserver's token": f"hs_token: {lower_hex(64)}",
    "bind": f"bind_password: {PASSWORD}",
    "cipher": f"repo1-cipher-pass: {b64(48)}",
    "pepper": f"password_config: {{pepper: {PASSWORD}}}",
    "replication": f"worker_replication_secret: {PASSWORD}",
    "api key": f"api_key: {lower_hex(32)}",
    "apikey": f"apikey: {lower_hex(32)}",
    "secret access key": f"secret_access_key: {b64(30)}",
    "encryption key": f"encryption_key: {lower_hex(64)}",
    "recaptcha": f"recaptcha_private_key: {pick(URLSAFE, 40)}",
    "credentials": f"credentials: {PASSWORD}",
    "environment": f"PGPASSWORD: {PASSWORD}",
    "map": f"password:{_B}value: {PASSWORD}",
    "deep map": f"password: {{inline: {{value: {PASSWORD}}}}}",
    "list": f"passwords:{_B}- {PASSWORD}{_B}- other",
    "flow list": f"tokens: [{PASSWORD}, second1]",
    "name and value": f"env:{_B}- name: PGPASSWORD{_B}  value: {PASSWORD}",
    "value and name": f"env:{_B}- value: {PASSWORD}{_B}  name: SMTP_PASSWORD",
    "key and value": f"settings:{_B}- key: client_secret{_B}  value: {PASSWORD}",
    "block": f"password: |{_B}{PASSWORD}",
    "folded block": f"password: >-{_B}{PASSWORD}",
    "folded value": f'password: "{PASSWORD[:5]}\\\n    {PASSWORD[5:]}"',
    "next line": f"password:{_B}{PASSWORD}",
    "tagged": f"password: !!str {PASSWORD}",
    "anchored": f"password: &anchor {PASSWORD}",
    "complex key": f"? password\n: {PASSWORD}",
    "escaped": 'password: "' + "".join(f"\\x{ord(letter):02x}" for letter in PASSWORD) + '"',
    "escaped key": '"p\\x61ssword": ' + PASSWORD,
    "binary": f"password: !!binary {encoded(PASSWORD)}",
    "JSON in a string": "config: '" + json.dumps({"smtp": {"password": PASSWORD}}) + "'",
    "JSON in JSON": "config: '" + json.dumps({"inner": json.dumps({"client_secret": PASSWORD})}) + "'",
    "JSON in a block": 'config: |\n  {\n    "password":\n      "' + PASSWORD + '"\n  }',
    "YAML in a string": f"config: |{_B}smtp:{_B}  pass: {PASSWORD}",
    "YAML in YAML": f"config: |{_B}inner: |{_B}  smtp_pass: {PASSWORD}",
    "INI in a string": f"config: |{_B}[smtp]{_B}password = {PASSWORD}",
    "environment in a string": f"config: |{_B}USER=synapse{_B}export SMTP_PASSWORD={PASSWORD}",
    "TOML in a string": f'config: |{_B}[smtp]{_B}password = "{PASSWORD}"',
    "base64 of JSON": "config: " + encoded(json.dumps({"smtp": {"password": PASSWORD}})),
    "base64 of YAML": "config: " + encoded(f"smtp:\n  password: {PASSWORD}\n"),
    "base64, wrapped": "config: |"
    + _B
    + _B.join(textwrap.wrap(encoded(f"# synapse\nsmtp:\n  password: {PASSWORD}\n" * 2), 40)),
    "arguments": f"args: [--user, synapse, --password, {PASSWORD}]",
    "argument": f"args: ['--password={PASSWORD}']",
    "a random value": f"anything: {pick(ALNUM, 40)}",
    "a random value in base64": f"anything: {b64(32)}",
    "a comment": f"x: 1  # password: {PASSWORD}",
    "a comment of its own": f"# the old password was: {PASSWORD}\nx: 1",
    "a key that is off": f"# smtp_pass: {PASSWORD}\nx: 1",
}
"""The key, or the place, tells."""

_UUID = str(uuid.UUID(int=_random.getrandbits(128)))
HARMLESS: dict[str, str] = {
    "digest": f"image: docker.io/matrixdotorg/synapse@sha256:{lower_hex(64)}",
    "bare digest": f"checksum: {lower_hex(64)}",
    "bare sha1": f"revision: {lower_hex(40)}",
    "sha512 of npm": f"integrity: sha512-{b64(64)}",
    "uuid": f"tenant: {_UUID}",
    "recipient of age": f"recipients: [age1{bech32(58)}]",
    "public key": pem("PUBLIC KEY", 120).join(["key: |\n  ", ""]).replace("\n", "\n  ").rstrip(),
    "certificate": pem("CERTIFICATE", 900).join(["ca: |\n  ", ""]).replace("\n", "\n  ").rstrip(),
    "certificate request": pem("CERTIFICATE REQUEST", 900).join(["csr: |\n  ", ""]).replace("\n", "\n  ").rstrip(),
    "certificate in base64": "caBundle: " + encoded(pem("CERTIFICATE", 900)),
    "public key of SSH": f"ssh: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{b64(33)[1:]} ops@example.com",
    "verify key of Matrix": f"old_signing_keys:\n  ed25519:a_{pick(ALNUM, 4)}: {{key: {b64(32).rstrip('=')}, expired_ts: 1700000000000}}",
    "verify key of Matrix in a block": f"old_signing_keys:\n  ed25519:auto:\n    key: {b64(32).rstrip('=')}",
    "public key of minisign": f"public_key: {b64(42)}",
    "ARN of a certificate": f"cert: arn:aws:acm:eu-central-1:123456789012:certificate/{_UUID}",
    "ARN of a key": f"kms: arn:aws:kms:eu-central-1:123456789012:key/{_UUID}",
    "name of a Secret": "secretName: matrix-prod-synapse-1",
    "reference to a Secret": "password: {secretKeyRef: {name: matrix-prod-database-1, key: password}}",
    "reference from the environment": "env: [{name: PGPASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]",
    "path": "password_file: /secrets/database/password",
    "path under a plain key": "password: /secrets/database/password",
    "file address": "secret: file:///secrets/database/password",
    "key of a Secret by number": "data: [{secretKey: signing.key.1}]",
    "shell's variable": "password: $PGPASSWORD",
    "lower variable": 'config: |\n  password=$password\n  export PGPASSWORD="$password"',
    "format": "format: 'requirepass %s'",
    "variable": "password: ${PGPASSWORD}",
    "variable of a shell": 'command: [sh, -c, "PGPASSWORD=$(cat /secrets/password) psql"]',
    "variable of Kubernetes": "url: postgres://synapse:$(PGPASSWORD)@db/synapse",
    "template": "password: '{{ .password }}'",
    "placeholder in angle brackets": "password: <your password>",
    "empty": 'password: ""',
    "null": "password: null",
    "off": "password: false",
    "on": "password: true",
    "generation": "password: 3",
    "policy": "password_policy: {minimum_length: 15, require_digit: true}",
    "policy in one word": "password_min_length: 12",
    "time": "token_lifetime: 3600s",
    "number of tokens": "max_tokens: 4096",
    "registration by token": "registration: {tokens: true}",
    "kind of a secret": "signing_key: volume",
    "kind of secrets": "secrets: {kind: external-secrets, store: {name: fleet}}",
    "endpoint for tokens": "token: https://idp.example.com/oauth2/token",
    "token endpoint": "token_endpoint: https://idp.example.com/oauth2/token",
    "client id": "client_id: matrix-synapse",
    "client id of Google": f"client_id: {pick(digits, 12)}-{pick(ascii_lowercase, 32)}.apps.googleusercontent.com",
    "access key's name": "secretAccessKeySecretRef: {name: route53, key: secret-access-key}",
    "key of a Secret": "data: [{secretKey: password, remoteRef: {key: fleet/eu1/acme/database-1, property: password}}]",
    "provider": "tsigSecretSecretRef: {name: rfc2136-tsig, key: key}",
    "driver": "csi.storage.k8s.io/node-publish-secret-name: volume-encryption",
    "class of keys": "key_class: gp3-encrypted",
    "method": "token_endpoint_auth_method: client_secret_basic",
    "address": "url: https://git.example.com/platform/matrix-fleet.git",
    "address with a user": "url: ssh://git@git.example.com/platform/matrix-fleet.git",
    "address with a port": "url: https://example.com:8448/_matrix/key/v2/server",
    "IPv6": "network: fd00:1234:5678:9abc:def0:1234:5678:9abc",
    "prose": "text: 'The password: it is in the store, and the token: too.'",
    "prose in a comment": "x: 1  # password: see the store\n# The secret is made in the cluster. Token: none.",
    "long words": "name: matrix-synapse-federation-sender-autoscaling-deployment-0001",
    "long path": "path: /var/lib/matrix-synapse/media_store/remote_thumbnail/example.com/AbCdEf",
    "colour": "accent: '#4b6eaf'",
    "picture": "logo: data:image/png;base64," + encoded("\x89PNG picture of no meaning " * 4),
    "expression of PromQL": 'expr: sum(rate(synapse_http_server_requests_received{servlet="LoginRestServlet"}[5m])) > 0',
    "label": "app.kubernetes.io/managed-by: kapitan",
    "hash of a configuration": f"matrix-fleet/config: c{lower_hex(12)}",
    "resource of a Vault": "path: secret/data/matrix-fleet/eu1/acme/database-1",
    "role that reads secrets": "rules: [{apiGroups: [''], resources: [secrets], verbs: [get], resourceNames: [acme-database-1]}]",
    "flag without value": "args: [--password-file, /secrets/password]",
    "token of a ServiceAccount that is mounted": "automountServiceAccountToken: false",
    "projected token": "serviceAccountToken: {path: token, audience: vault, expirationSeconds: 3600}",
    "rotation": "secret_rotation: {every: 90d, last: 2026-10-01}",
    "date": "expires: 2026-11-28T10:10:49.123456Z",
}
"""Looks alike and is none."""
