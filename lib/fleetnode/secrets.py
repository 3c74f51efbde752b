"""A tenant's Secrets, made by the script that makes them in a cluster: the one in the compiled ConfigMap."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from podrunner.objects import Object, Objects

SCRIPT = "bootstrap.py"


class Store:
    """Answers the script's calls of the API server from a node's objects."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def call(self, method: str, path: str, body: Object | None = None) -> tuple[int, Object]:
        """As bootstrap.py's own call(): status and object."""
        _, _, _, _, namespace, _, *rest = path.split("/")
        name = body["metadata"]["name"] if body else rest[0]
        found = self.objects.get("Secret", namespace, name)
        if method == "GET":
            return (200, found) if found else (404, {})
        if found:
            return 409, {}
        assert body is not None
        body["metadata"]["namespace"] = namespace
        self.objects.add(body)
        return 201, body


def bootstrap(objects: Iterable[Object], store: Objects, python: Path) -> None:
    """Run the script of a tenant's ConfigMap. `python` has Synapse. Raises SystemExit with the script's own words
    where a person must make a Secret first."""
    configuration = [one for one in objects if one["kind"] == "ConfigMap" and SCRIPT in (one.get("data") or {})]
    for one in configuration:
        with tempfile.TemporaryDirectory() as folder:
            for key, text in one["data"].items():
                Path(folder, key).write_text(text)
            script = _loaded(Path(folder, SCRIPT))
            script.call = Store(store).call
            script.PYTHON = str(python)
            script.main()


def wanted(objects: Iterable[Object]) -> list[dict[str, Any]]:
    """What the script is to make: secrets.json."""
    for one in objects:
        if one["kind"] == "ConfigMap" and SCRIPT in (one.get("data") or {}):
            return list(json.loads(one["data"]["secrets.json"]))
    return []


def _loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("bootstrap", path)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script
