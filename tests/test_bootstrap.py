"""The script that makes Secrets: what is absent is made once, what exists is never touched."""

from __future__ import annotations

import base64
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fleets import TOP

WANTED = [{"name": "t-turn-1", "namespaces": ["t-turn", "t"], "keys": {"shared_secret": "random"}}]


class Api:
    """The two calls of the API server that the script makes, with its answers."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, str]] = {}
        self.writes = 0

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        if method == "GET":
            data = self.secrets.get(path)
            return (200, {"data": data}) if data is not None else (404, {})
        name = f"{path}/{body['metadata']['name']}"
        if name in self.secrets:
            return 409, {}
        self.writes += 1
        self.secrets[name] = body["data"]
        return 201, {}


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def script(api: Api, tmp_path: Any) -> ModuleType:
    (tmp_path / "secrets.json").write_text(json.dumps(WANTED))
    source = TOP / "components/bootstrap/bootstrap.py"
    (tmp_path / "bootstrap.py").write_text(source.read_text())
    spec = importlib.util.spec_from_file_location("bootstrap", tmp_path / "bootstrap.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.call = api.call  # type: ignore[attr-defined]
    return module


def place(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets/t-turn-1"


def test_made_once_and_copied(api: Api, script: ModuleType) -> None:
    script.main()
    first = api.secrets[place("t-turn")]
    assert api.secrets[place("t")] == first
    assert len(base64.b64decode(first["shared_secret"])) == 64
    script.main()
    assert api.writes == 2 and api.secrets[place("t-turn")] == first


def test_a_lost_copy_comes_back_equal(api: Api, script: ModuleType) -> None:
    script.main()
    first = api.secrets[place("t-turn")]
    del api.secrets[place("t")]
    script.main()
    assert api.secrets[place("t")] == first


def test_a_copy_that_differs_is_left_alone_and_told(api: Api, script: ModuleType) -> None:
    api.secrets[place("t")] = {"shared_secret": "b3RoZXI="}
    with pytest.raises(SystemExit, match="t/t-turn-1: differs from t-turn/t-turn-1"):
        script.main()
    assert api.secrets[place("t")] == {"shared_secret": "b3RoZXI="}


def test_a_secret_that_lacks_a_key_is_told(api: Api, script: ModuleType) -> None:
    api.secrets[place("t-turn")] = {}
    with pytest.raises(SystemExit, match="t-turn/t-turn-1: lacks shared_secret"):
        script.main()


def test_what_another_makes_is_waited_for_and_copied(api: Api, script: ModuleType) -> None:
    wanted = {"name": "t-turn-1", "namespaces": ["fleet-turn", "t"], "keys": {"shared_secret": "copied"}}
    with pytest.raises(SystemExit, match="fleet-turn/t-turn-1: not there yet; the Job of the target that owns"):
        script.ensure(wanted)
    assert api.writes == 0
    api.secrets[place("fleet-turn")] = {"shared_secret": "bWFkZQ=="}
    script.ensure(wanted)
    assert api.writes == 1 and api.secrets[place("t")] == {"shared_secret": "bWFkZQ=="}


def test_values_differ(script: ModuleType) -> None:
    assert script.generate("random") != script.generate("random")
    with pytest.raises(SystemExit, match="unknown kind 'word'"):
        script.generate("word")


GIVEN = {"name": "t-oidc-sso-1", "namespaces": ["t"], "keys": {"client_secret": "given"}}
GIVEN_PLACE = "/api/v1/namespaces/t/secrets/t-oidc-sso-1"
CREATE = "kubectl -n t create secret generic t-oidc-sso-1 --from-file=client_secret=client_secret"


def wants(script: ModuleType, *secrets: Any) -> None:
    """Another list beside the script."""
    Path(script.__file__ or "").with_name("secrets.json").write_text(json.dumps(secrets))


def test_what_is_given_is_asked_for_and_never_made(api: Api, script: ModuleType) -> None:
    other = {"name": "t-email-1", "namespaces": ["t"], "keys": {"password": "given"}}
    wants(script, GIVEN, *WANTED, other)
    with pytest.raises(SystemExit) as caught:
        script.main()
    assert str(caught.value).splitlines() == [
        f"t/t-oidc-sso-1: is not there, and only a person can create it: {CREATE}",
        "t/t-email-1: is not there, and only a person can create it: "
        "kubectl -n t create secret generic t-email-1 --from-file=password=password",
    ]
    assert GIVEN_PLACE not in api.secrets and place("t") in api.secrets, "what can be made is made meanwhile"


def test_what_is_given_is_taken_as_it_is(api: Api, script: ModuleType) -> None:
    wants(script, GIVEN)
    api.secrets[GIVEN_PLACE] = {"client_secret": "Z2l2ZW4="}
    script.main()
    assert api.secrets == {GIVEN_PLACE: {"client_secret": "Z2l2ZW4="}} and api.writes == 0


@pytest.mark.parametrize("data", [{"secret": "Z2l2ZW4="}, {"client_secret": ""}])
def test_what_is_given_under_another_key_or_empty_is_told(api: Api, script: ModuleType, data: dict[str, str]) -> None:
    wants(script, GIVEN)
    api.secrets[GIVEN_PLACE] = data
    delete = "kubectl -n t delete secret t-oidc-sso-1"
    with pytest.raises(SystemExit, match="lacks client_secret") as caught:
        script.main()
    assert str(caught.value) == f"t/t-oidc-sso-1: lacks client_secret; create it again: {delete} && {CREATE}"


def test_a_key_is_taken_from_a_secret_beside_it_and_nothing_else_of_it(api: Api, script: ModuleType) -> None:
    wanted = {"name": "ca-1", "namespaces": ["fleet"], "keys": {"ca.crt": "taken:server-tls"}}
    with pytest.raises(SystemExit, match=r"fleet/server-tls: has no ca\.crt yet"):
        script.ensure(wanted)
    api.secrets["/api/v1/namespaces/fleet/secrets/server-tls"] = {"ca.crt": "Y2E=", "tls.key": "a2V5"}
    script.ensure(wanted)
    assert api.secrets["/api/v1/namespaces/fleet/secrets/ca-1"] == {"ca.crt": "Y2E="}


def test_the_name_of_a_role_is_written_as_it_is(api: Api, script: ModuleType) -> None:
    script.ensure({"name": "d-1", "namespaces": ["t"], "keys": {"username": "fixed:synapse_odd", "password": "random"}})
    made = api.secrets["/api/v1/namespaces/t/secrets/d-1"]
    assert base64.b64decode(made["username"]) == b"synapse_odd" and len(base64.b64decode(made["password"])) == 64
