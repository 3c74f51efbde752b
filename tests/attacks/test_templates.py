"""Text that a program evaluates: what a tenant writes there is harmless, or refused with file, line and key.

Synapse renders the mapping of a provider with Jinja outside of any sandbox. Its own class, of the version that runs,
shows what hostile templates do there; the compiler must refuse each of them, and what it accepts must render there.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleets import TOP, Repository
from matrixfleet.cli.compile import read_fleet
from matrixfleet.errors import FleetError
from matrixfleet.model import Fleet
from matrixfleet.model.mapping import FILTERS, LONGEST
from matrixfleet.plan.oidc import PRESETS
from test_plan import changed, drawn, plan

PYTHON = TOP / ".cache/synapse/venv/bin/python"
TENANT = "inventory/targets/eu1/chess-club.yml"
PERSON = {
    "sub": "1234",
    "name": "Ada Lovelace",
    "given_name": "Ada",
    "family_name": "Lovelace",
    "preferred_username": "Ada@example.com",
    "email": "ada@example.com",
    "title": "Countess",
    "groups": ["staff", "chess"],
    "address": {"country": "GB"},
    "https://example.com/login": "ada-1",
}
# What people write, and what Synapse makes of it.
HARMLESS = {
    "{{ user.name }}": "Ada Lovelace",
    "{{ user.preferred_username | localpart_from_email | lower }}": "ada",
    "{{ user['https://example.com/login'] }}": "ada-1",
    "{{ user.groups[0] }} {{ user.groups | last }}": "staff chess",
    "{{ user.groups | join(', ') }}": "staff, chess",
    "{{ user.given_name ~ ' ' ~ user.family_name | upper }}": "Ada LOVELACE",
    "{{ user.address.country | default('', true) }}": "GB",
    "{{ user.nickname | default('nobody', true) }}": "nobody",
    "{{ user.nickname or user.given_name }}": "Ada",
    "{{ user.nickname | default(user.given_name, true) | lower }}": "ada",
    "{% if 'staff' in user.groups %}{{ user.name }} (staff){% elif user.sub %}{% else %}guest{% endif %}": (
        "Ada Lovelace (staff)"
    ),
    "{{ user.name if user.title is defined and not user.x else user.sub }}": "Ada Lovelace",
    "{{ user.title }} {{ user.name | replace(' ', '_') | trim('_') }}": "Countess Ada_Lovelace",
    "u{{ user.sub }}": "u1234",
}
# Each of these writes the file MARK in Synapse, as the test below shows.
EXECUTED = [
    "{{ lipsum.__globals__.os.system('touch MARK') }}",
    "{{ lipsum['__globals__']['os'].popen('touch MARK').read() }}",
    "{{ lipsum['\\x5f\\x5fglobals\\x5f\\x5f'].os.system('touch MARK') }}",
    "{{ lipsum['__glo' ~ 'bals__'].os.system('touch MARK') }}",
    "{{ lipsum['__glo' 'bals__'].os.system('touch MARK') }}",
    "{{ (lipsum | attr('__globals__')).os.system('touch MARK') }}",
    "{{ (lipsum | attr('_' * 2 ~ 'globals' ~ '_' * 2)).os.system('touch MARK') }}",
    "{{ (lipsum | attr('%c%cglobals%c%c' | format(95,95,95,95))).os.system('touch MARK') }}",
    "{{ (lipsum | attr(['__', 'globals', '__'] | join)).os.system('touch MARK') }}",
    "{{ (lipsum | attr('__slabolg__' | reverse)).os.system('touch MARK') }}",
    "{{ cycler.__init__.__globals__.os.system('touch MARK') }}",
    "{{ joiner.__init__.__globals__.os.system('touch MARK') }}",
    "{{ namespace.__init__.__globals__.os.system('touch MARK') }}",
    "{{ self.__init__.__globals__.__builtins__.open('MARK', 'w') }}",
    "{{ user.__getattr__.__globals__.__builtins__.open('MARK', 'w') }}",
    "{{ user['__getattr__']['__globals__']['__builtins__']['open']('MARK', 'w') }}",
    "{% set a = lipsum.__globals__ %}{{ a.os.system('touch MARK') }}",
    "{% for c in ''.__class__.__mro__[1].__subclasses__() if c.__name__ == 'Popen' %}"
    "{{ c('touch MARK', shell=True).wait() }}{% endfor %}",
    "{% if lipsum.__globals__.os.system('touch MARK') %}{% endif %}",
    "{{ 'a' if lipsum.__globals__.os.system('touch MARK') else 'b' }}",
    "{% macro m() %}{{ lipsum.__globals__.os.system('touch MARK') }}{% endmacro %}{{ m() }}",
    "{% with g = lipsum.__globals__ %}{{ g.os.system('touch MARK') }}{% endwith %}",
    "{% filter lower %}{{ lipsum.__globals__.os.system('touch MARK') }}{% endfilter %}",
    "{{ [lipsum] | map(attribute='__globals__.os') | map('attr', 'system') | list | first is none"
    " or lipsum.__globals__.os.system('touch MARK') }}",
    "{{ dict(x=lipsum).x.__globals__.os.system('touch MARK') }}",
    "{% block b %}{{ lipsum.__globals__.os.system('touch MARK') }}{% endblock %}",
    "{{ user.name | replace('a', lipsum.__globals__.os.system('touch MARK') | string) }}",
    "{{ user.name ~ lipsum.__globals__.os.system('touch MARK') }}",
    "{{ user[lipsum.__globals__.os.system('touch MARK')] }}",
    "{{ 1 == lipsum.__globals__.os.system('touch MARK') }}",
    "{%- if not lipsum.__globals__.os.system('touch MARK') -%}x{%- endif -%}",
]
# What tells more than a claim, takes the process's memory or time, or is no template of Synapse's.
REFUSED = [
    "{{ ''.__class__ }}",
    "{{ user.__class__ }}",
    "{{ user['__class__'] }}",
    "{{ user['\\u005f_class__'] }}",
    "{{ user | attr('__class__') }}",
    "{{ user.items }}",
    "{{ user['pop'] }}",
    "{{ user.name.format }}",
    "{{ user.mro }}",
    "{{ user.gi_frame }}",
    "{{ user.get('name') }}",
    "{{ user.email.split('@')[0] }}",
    "{{ user.clear() }}",
    "{{ user.update(sub='1') }}",
    "{{ 'a' * 999999999 }}",
    "{{ 9 ** 999999 }}",
    "{{ 99999999999999999999 }}",
    "{{ range(10) | list }}",
    "{% for i in range(999999999) %}x{% endfor %}",
    "{{ 'x' | center(999999999) }}",
    "{{ user.x | indent(999999999) }}",
    "{{ '%999999999d' | format(1) }}",
    "{{ user.name | replace('', 'xxxxxxxxxx') }}",
    "{{ user.x | replace('a', 'bbbbbbbbbbbb') | replace('b', 'cccccccccccc') }}",
    "{{ user.x | join('aaaaaaaaaaaa') | join('bbbbbbbbbbbb') | join('c') }}",
    "{{ user.x | join(attribute='__class__') }}",
    "{{ user.x | join('', '__class__') }}",
    "{{ user.x | map('upper') | list }}",
    "{{ user | pprint }}",
    "{{ user | tojson }}",
    "{{ user.x | default(lipsum) }}",
    "{{ user.x | default('a', boolean=true) }}",
    "{{ config }}",
    "{{ request }}",
    "{{ caller() }}",
    "{{ loop.index }}",
    "{{ self }}",
    "{{ super() }}",
    "{% include 'sso_error.html' %}",
    "{% extends 'sso_error.html' %}",
    "{% import 'sso_error.html' as x %}",
    "{% from 'sso_error.html' import x %}",
    "{% set user = 1 %}",
    "{% set x %}a{% endset %}",
    "{% do x %}",
    "{% call x() %}{% endcall %}",
    "{% autoescape true %}{{ user.name }}{% endautoescape %}",
    "{{ user.name[:3] }}",
    "{{ [user.name] }}",
    "{{ {'a': user.name} }}",
    "{{ (user.name, 1) }}",
    "{{ user.name + 'a' }}",
    "{{ user.name % 1 }}",
    "{{ -1 }}",
    "{{ user is callable }}",
    "{{ user.x is divisibleby(0) }}",
    "{{ user.ｘ }}",
    "{{ user['a\\nb'] }}",
    "{{ '\\u202e' }}",
    "{{ user.name",
    "{{ " + "(" * 200 + "user" + ")" * 200 + " }}",
    "x" * (LONGEST + 1),
    "a\u202eb",
    "a\nb",
    "",
]
KEYS = ["localpart", "display_name", "email", "subject"]


def refusal(tmp_path: Path, key: str, template: str) -> str:
    """What the compiler says of a tenant's file with a template in it."""
    repository = Repository(tmp_path)
    mapping = json.dumps({key: template})
    sso = f"{{preset: keycloak, issuer: 'https://sso.example.com', client_id: m, mapping: {mapping}}}"
    added = f"    auth:\n      kind: oidc\n      providers:\n        sso: {sso}\n"
    repository.write(TENANT, repository.read(TENANT) + added)
    with pytest.raises(FleetError) as told:
        read_fleet(tmp_path).target("eu1.chess-club")
    return str(told.value)


@cache
def checker() -> Callable[[str], str]:
    """The model's own check of a template, as `Mapping` has it."""
    from pydantic import TypeAdapter

    from matrixfleet.model.mapping import Template

    return TypeAdapter(Template).validate_python


@pytest.mark.parametrize("template", [*EXECUTED, *REFUSED])
def test_a_hostile_template_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"expected a (Jinja )?template"):
        checker()(template)


@pytest.mark.parametrize("key", KEYS)
def test_it_is_refused_at_its_line(key: str, tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, key, EXECUTED[0]).splitlines()
    assert line.startswith(f"{TENANT}:18: matrix.auth.providers.sso.mapping.{key}: expected a Jinja template of")
    assert "since Synapse evaluates it beside the signing key, got" in line
    assert line.endswith("; a call is not allowed")


def test_what_was_probably_meant_is_told(tmp_path: Path) -> None:
    told = refusal(tmp_path, "localpart", "{{ user.email.split('@')[0] }}")
    assert told.endswith("for the part of an address before the @ say | localpart_from_email")


@pytest.mark.parametrize("template", HARMLESS)
def test_a_harmless_template_is_taken_as_it_is(template: str) -> None:
    assert checker()(template) == template


def test_presets_are_harmless() -> None:
    for preset in PRESETS.values():
        for template in preset.mapping.values():
            assert checker()(template) == template


# Synapse's own mapping provider, of the version that runs: each template in a fork, which may do as it likes.
RENDER = """
import asyncio, json, os, sys
from authlib.oidc.core import UserInfo
from synapse.handlers.oidc import JinjaOidcMappingProvider as Provider

for line in sys.stdin:
    template, person = json.loads(line)
    reading, writing = os.pipe()
    if not os.fork():
        try:
            config = Provider.parse_config({"subject_template": "{{ user.sub }}", "display_name_template": template})
            found = asyncio.run(Provider(config, None).map_user_attributes(UserInfo(person), {}, 0))["display_name"]
        except BaseException as error:
            found = f"{type(error).__name__}: {error}"
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    print(os.read(reading, 65536).decode() or "null", flush=True)
    os.close(reading)
"""


def rendered(templates: list[str], here: Path) -> list[Any]:
    """What Synapse makes of each template."""
    lines = "\n".join(json.dumps([template, PERSON]) for template in templates)
    command = [str(PYTHON), "-c", RENDER]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True, cwd=here, timeout=120)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(('"', "null"))]


with_synapse = pytest.mark.skipif(not PYTHON.exists(), reason="make test installs Synapse's parser")


@with_synapse
def test_synapse_renders_what_is_taken(tmp_path: Path) -> None:
    assert rendered(list(HARMLESS), tmp_path) == list(HARMLESS.values())


@with_synapse
def test_the_attacks_are_real(tmp_path: Path) -> None:
    """Each of EXECUTED runs code in the Synapse that runs: where that ends, this list has no worth."""
    marks = [tmp_path / str(number) for number in range(len(EXECUTED))]
    rendered([template.replace("MARK", str(mark)) for template, mark in zip(EXECUTED, marks, strict=True)], tmp_path)
    assert [template for template, mark in zip(EXECUTED, marks, strict=True) if not mark.exists()] == []


@with_synapse
def test_synapse_has_the_filters_that_are_allowed(tmp_path: Path) -> None:
    program = "import json; from synapse.handlers.oidc import env; print(json.dumps(sorted(env.filters)))"
    done = subprocess.run([str(PYTHON), "-c", program], capture_output=True, text=True, check=True)
    assert set(FILTERS) <= set(json.loads(done.stdout))


# Modules: code that a tenant names, and what it says to it.
MODULES = [
    "os.system",
    "subprocess.Popen",
    "builtins.exec",
    "synapse.handlers.oidc.JinjaOidcMappingProvider",
    "synapse.module_api.ModuleApi",
    "ldap_auth_provider.LdapAuthProviderModule",
]
UNKNOWN = "unknown key of shared_secret.Provider in release stable"
LISTED = (("releases", "stable", "modules"), {"shared_secret.Provider": {"keys": ["m_login", "rooms"]}})


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_the_release_does_not_list_is_refused(module: str, fleet: Fleet) -> None:
    said = (("matrix", "modules"), [{"module": module, "config": {"a": 1}}])
    unlisted = rf"matrix\.modules\[0\]\.module: no module '{module}' in release stable"
    with pytest.raises(FleetError, match=f"{unlisted}; it has none; expected one of the release class's `modules`"):
        plan(changed(fleet, said))
    with pytest.raises(FleetError, match=f"{unlisted}; known here: shared_secret.Provider"):
        plan(changed(fleet, said, LISTED))


def test_a_module_that_the_release_lists_is_loaded(fleet: Fleet) -> None:
    config = {"m_login": True, "rooms": {"!a:example.com": ["lobby", 1, None]}}
    said = (("matrix", "modules"), [{"module": "shared_secret.Provider", "config": config}])
    tree = drawn(changed(fleet, said, LISTED))
    (entry,) = (one for one in tree.of_kind("ConfigMap") if one.name == "matrix-prod-synapse")
    text = yaml.safe_load(entry.doc["data"]["homeserver.yaml"])
    assert text["modules"] == [{"module": "shared_secret.Provider", "config": config}]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"mlogin": 1},
            f"config.mlogin: {UNKNOWN}, did you mean m_login?",
        ),
        (
            {"template": "x"},
            f"config.template: {UNKNOWN}; known here: m_login, rooms",
        ),
        ({"m_login": "a\u202eb"}, "config.m_login: expected one line of visible text"),
        ({"m_login": float("nan")}, "config.m_login: expected plain data"),
        ({"m_login": [[[[[[[1]]]]]]]}, "config.m_login: expected plain data"),
        ({"m_login": {"a\nb": 1}}, "config.m_login: expected one line of visible text"),
    ],
)
def test_a_module_is_told_nothing_else(config: dict[str, Any], message: str, fleet: Fleet) -> None:
    said = (("matrix", "modules"), [{"module": "shared_secret.Provider", "config": config}])
    with pytest.raises(FleetError) as told:
        plan(changed(fleet, said, LISTED))
    assert message in str(told.value) and "inventory/targets/eu1/matrix-prod.yml:" in str(told.value)


# The consent page is Jinja too (synapse/rest/consent/consent_resource.py), and what blocks people a format of Python's.
@with_synapse
def test_a_policy_is_text_whatever_it_says(fleet: Fleet, tmp_path: Path) -> None:
    marks = [tmp_path / str(number) for number in range(len(EXECUTED))]
    hostile = [template.replace("MARK", str(mark)) for template, mark in zip(EXECUTED, marks, strict=True)]
    hostile += ["{# a", "{% raw %}", "&#123;&#123; 7 * 7 }}", "<script>alert(1)</script>", "# for x in y", "${7*7}"]
    said = (("matrix", "consent"), {"version": "1.0", "name": "{{ 7 * 7 }}", "text": "\n\n".join(hostile)})
    tree = drawn(changed(fleet, said))
    (entry,) = (one for one in tree.of_kind("ConfigMap") if one.name == "matrix-prod-synapse")
    (tmp_path / "policy.html").write_text(entry.doc["data"]["policy.html"])
    program = """
import jinja2
loader = jinja2.FileSystemLoader(".")
env = jinja2.Environment(loader=loader, autoescape=jinja2.select_autoescape(["html", "htm", "xml"]))
person = {"user": "@a:b", "userhmac": "0", "version": "1.0", "has_consented": False, "public_version": False}
print(env.get_template("policy.html").render(**person))
"""
    done = subprocess.run([str(PYTHON), "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert not any(mark.exists() for mark in marks)
    assert "<script>" not in done.stdout and "49" not in done.stdout
    for text in (*hostile, "{{ 7 * 7 }}"):
        assert text in unescape(done.stdout), text


@pytest.mark.parametrize(
    "block",
    [
        "%(consent_uri)d",
        "100%",
        "%s",
        "%(consent_uri)999999999s",
        "%(consent_uri)%(consent_uri)ss",
        "%(other)s",
        "%%(consent_uri)s",
        "a\nb",
    ],
)
def test_what_blocks_people_is_a_format_with_one_name(block: str, fleet: Fleet) -> None:
    said = (("matrix", "consent"), {"version": "1.0", "text": "x", "block": block})
    with pytest.raises(FleetError, match=r"matrix\.consent"):
        plan(changed(fleet, said))
    assert plan(changed(fleet, (said[0], {**said[1], "block": "Agree: %(consent_uri)s"})))


FOREIGN = ["{{ .Labels }}", "%(app)s", "${HOME}", "$HOME", "$(id)", "%[env(HOME)]", "`id`", "a\nb"]


def braces(value: str) -> Any:
    return [
        (("matrix", "alerts"), {"slack": {"channel": f"#{value}"}}),
        (("matrix", "alerts"), {"email": [f"a{value}@example.com"]}),
        (("matrix", "email"), {"host": "smtp.example.com", "sender": f"a{value}@example.com"}),
        (("matrix", "email"), {"host": "smtp.example.com", "sender": "a@example.com", "user": f"a{value}"}),
        (("matrix", "admin_contact"), f"a{value}@example.com"),
        (("cluster", "monitoring"), {"runbooks": f"https://example.com/{value}"}),
        (("cluster", "monitoring"), {"labels": {"release": value}}),
        (("cluster", "logs"), {"kind": "loki", "store": {"address": f"https://example.com/{value}", "user": value}}),
        (("cluster", "argocd", "revision"), value),
    ]


# Go's templates (Alertmanager, Prometheus, Argo CD), formats of Python's (Synapse's notif_from), variables of Vector's,
# of shells, of Kubernetes, and of HAProxy's log formats.
@pytest.mark.parametrize("site", range(len(braces(""))))
@pytest.mark.parametrize("value", FOREIGN)
def test_no_template_of_another_program_is_taken(site: int, value: str, fleet: Fleet) -> None:
    key, said = braces(value)[site]
    with pytest.raises(FleetError) as told:
        plan(changed(fleet, (key, said)))
    assert ".".join(key[:2]) in str(told.value)
