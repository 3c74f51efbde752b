"""Every servlet of the pinned Synapse, by method, against the route table, in every layout of workers.

Synapse's own code builds the resources of each process from the configuration that is compiled for it (servlets.py), so
that an endpoint which no document names is found too.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from re import _constants as code  # type: ignore[attr-defined]
from re import _parser as expressions  # type: ignore[attr-defined]
from typing import Any

import pytest
import yaml

from fleets import TOP
from matrixfleet.model import Fleet
from matrixfleet.model.workers import Stream
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.edge import PUBLIC_PATHS
from matrixfleet.synapse.homeserver import homeserver, worker
from test_plan import PRIVATE_SSO, WORKERS, changed, plan
from test_synapse import PYTHON, moved, signing_key

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="make test installs Synapse")

Changes = list[tuple[tuple[str, ...], Any]]
SECRET: Changes = [(("matrix", "synapse", "signing_key"), "secret"), (("matrix", "database", "max_connections"), 900)]
STREAMS = [stream.value for stream in Stream]


def layout(workers: Mapping[str, Any], *more: tuple[tuple[str, ...], Any]) -> Changes:
    return [(("matrix", "workers"), dict(workers)), *SECRET, *more]


CLOSED = (("matrix", "synapse", "federation"), {"enabled": False})
BUCKET = (("matrix", "media"), {"kind": "s3", "s3": {"region": "eu-central-1", "bucket": "media"}})
GENERIC = {"generic": {"replicas": 2}}
LAYOUTS: dict[str, Changes] = {
    "main alone": [],
    "main alone, closed": [CLOSED],
    "main alone, OpenID": [(("matrix", "auth"), PRIVATE_SSO)],
    "every worker": layout(WORKERS),
    "every worker, closed": layout(WORKERS, CLOSED),
    "every worker, OpenID": layout(WORKERS, (("matrix", "auth"), PRIVATE_SSO)),
    **{f"{name} alone": layout({name: spec}) for name, spec in WORKERS.items() if name != "stream_writers"},
    **{f"all but {name}": layout({k: v for k, v in WORKERS.items() if k != name}) for name in WORKERS},
    "media on several": layout({**WORKERS, "media_repository": {"replicas": 3}}, BUCKET),
    **{f"writer of {stream}": layout({"stream_writers": {"one": {"streams": [stream]}}}) for stream in STREAMS},
    **{
        f"generic, writer of {one}": layout({**GENERIC, "stream_writers": {"one": {"streams": [one]}}})
        for one in STREAMS
    },
    "a writer of each": layout(
        {**GENERIC, "stream_writers": {f"w{number}": {"streams": [one]} for number, one in enumerate(STREAMS)}}
    ),
}


Routes = list[tuple[str, str, list[str]]]
Pairs = frozenset[tuple[str, str]]
"""Methods and paths."""
# Who does what elsewhere: it decides nothing of what a process registers for itself.
ELSEWHERE = (
    "instance_map",
    "stream_writers",
    "federation_sender_instances",
    "pusher_instances",
    "worker_name",
    "caches",
)
ELSEWHERE += ("run_background_tasks_on", "update_user_directory_from_worker", "notify_appservices_from_worker")


def configurations(found: TenantPlan) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The component of each process that is asked anything, what decides what it serves, and its configuration."""
    shared = homeserver(found)
    for process in found.processes:
        if process.component == "synapse":
            options = shared
        elif process.serves:
            options = {**shared, **worker(found, process), "worker_name": found.members(process)[0]}
        else:
            continue
        own = {name: value for name, value in options.items() if name not in ELSEWHERE}
        # Main writes what nobody else does.
        streams = process.streams if options is not shared else sorted(options.get("stream_writers", {}))
        yield process.component, json.dumps([own, streams], sort_keys=True), options


@pytest.fixture(scope="module")
def layouts(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[TenantPlan, dict[str, Pairs]]]:
    """The plan of each layout, and what Synapse serves where."""
    top = tmp_path_factory.mktemp("synapse")
    plans = {name: plan(changed(fleet, *changes)) for name, changes in LAYOUTS.items()}
    asked: dict[str, dict[str, Any]] = {}
    for found in plans.values():
        for _, key, options in configurations(found):
            if key in asked:
                continue
            text = moved(yaml.safe_dump(options), top)
            for file in map(Path, re.findall(rf"{top}/\S+", text)):
                file.parent.mkdir(parents=True, exist_ok=True)
                if file.name == "signing.key":
                    file.write_text(signing_key())
                elif "secrets" in file.parts:
                    file.write_text("0" * 64)
            database = {"name": "sqlite3", "args": {"database": str(top / "synapse.db")}}
            asked[key] = {**yaml.safe_load(text), "database": database}
    script, lines = TOP / "tests/servlets.py", json.dumps(list(asked.items()))
    ran = subprocess.run([PYTHON, script], input=lines, capture_output=True, text=True, cwd=top)
    assert ran.returncode == 0, ran.stderr[-3000:]
    routes: dict[str, Routes] = dict(json.loads(line) for line in ran.stdout.splitlines())
    paths = {path for one in routes.values() for _, pattern, _ in one for path in samples(pattern)}
    served = {key: answered(one, paths) for key, one in routes.items()}
    return {
        name: (found, {component: served[key] for component, key, _ in configurations(found)})
        for name, found in plans.items()
    }


def samples(pattern: str) -> set[str]:
    """Paths that an expression matches: every branch, every part that may be away or there."""
    return {text for text in _spelled(expressions.parse(pattern)) if re.match(pattern, text)}


def _spelled(parts: Any) -> list[str]:
    """Texts of a parsed expression; of what any text may be, some."""
    found = [""]
    for what, argument in parts:
        found = [before + after for before, after in product(found, _choices(what, argument))]
    return found


def _choices(what: Any, argument: Any) -> list[str]:
    if what is code.LITERAL:
        return [chr(argument)]
    if what is code.BRANCH:
        return [text for branch in argument[1] for text in _spelled(branch)]
    if what is code.SUBPATTERN:
        return _spelled(argument[3])
    if what in (code.MAX_REPEAT, code.MIN_REPEAT):
        least, most, repeated = argument
        once = _spelled(repeated)
        # What may be there any number of times: once, and for a character a whole word.
        return [""] * (least == 0) + ([text * min(4, most) for text in once] if most > 4 else once)
    if what is code.IN:
        if argument[0][0] is code.NEGATE or argument[0][0] is code.CATEGORY:
            return ["x"]
        return [chr(argument[0][1] if argument[0][0] is code.LITERAL else argument[0][1][0])]
    if what is code.AT:
        return [""]
    if what in (code.ANY, code.NOT_LITERAL):
        return ["x"]
    raise AssertionError(f"{what}: an expression of a kind that Synapse did not use")


def answered(routes: Routes, paths: set[str]) -> Pairs:
    """What a process answers: the first expression that matches a path decides about its methods, as in Synapse."""
    compiled = [(prefix, re.compile(pattern), methods) for prefix, pattern, methods in routes]
    found = set()
    for path in paths:
        methods = next((m for prefix, pattern, m in compiled if path.startswith(prefix) and pattern.match(path)), [])
        found |= {(method, path) for method in methods}
    return frozenset(found)


def reached(found: TenantPlan) -> Callable[[str, str], str]:
    """Which component the router asks."""
    routes, backends = found.routing
    leads = {backend.name: backend.process.component for backend in backends}
    tried = [(re.compile("|".join(r.patterns)), r.get_only, leads[r.backend]) for r in routes]

    def ask(method: str, path: str) -> str:
        for patterns, get_only, component in tried:
            if patterns.search(path) and (method in ("GET", "HEAD") or not get_only):
                return component
        return "synapse"

    return ask


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_servlet_is_reached(name: str, layouts: dict[str, tuple[TenantPlan, dict[str, Pairs]]]) -> None:
    """What any process of the layout serves at a public path or at the admin API, the one that is asked serves.

    And what main alone serves, the layout serves."""
    found, served = layouts[name]
    federates = found.tenant.synapse.federation.enabled
    wanted = frozenset.union(*served.values(), layouts["main alone"][1]["synapse"] if federates else frozenset())
    asked = reached(found)
    public = {pair for pair in wanted if pair[1].startswith((*PUBLIC_PATHS, "/_synapse/admin/"))}
    wrong = [
        f"{m} {p}: {asked(m, p)} does not serve it" for m, p in sorted(public) if (m, p) not in served[asked(m, p)]
    ]
    assert not wrong, "\n".join(wrong)
    assert len(public) > (1000 if federates else 700), "Synapse's resources are not read as they were"


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_closed_homeserver_vouches_for_its_users_and_nothing_else(
    name: str, layouts: dict[str, tuple[TenantPlan, dict[str, Pairs]]]
) -> None:
    """Integration managers and call services ask openid/userinfo; other servers are not answered.

    A media repository answers for media there too, and refuses every server: federation_domain_whitelist is empty.
    """
    found, served = layouts[name]
    userinfo = ("GET", "/_matrix/federation/v1/openid/userinfo")
    assert userinfo in served[reached(found)(*userinfo)]
    others = {
        pair for one in served.values() for pair in one if pair[1].startswith(("/_matrix/federation/", "/_matrix/key/"))
    }
    others = {pair for pair in others if "/openid/" not in pair[1] and "/media/" not in pair[1]}
    assert bool(others) is found.tenant.synapse.federation.enabled
