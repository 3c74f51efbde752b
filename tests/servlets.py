"""Print what each process of a tenant serves: the resources that the pinned Synapse itself builds for its listeners.

Runs in Synapse's own Python, since nothing of it is read from documentation. Reads a JSON list of [name, configuration]
on standard input, main first; prints a line of JSON for each, [name, [[prefix, expression of a path, methods], ...]].
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from synapse.app import _base, generic_worker, homeserver
from synapse.config.homeserver import HomeServerConfig
from synapse.http.server import JsonResource
from synapse.server import HomeServer
from twisted.web.resource import Resource

WORKER = False
METHODS = ("GET", "POST", "PUT", "DELETE")


def served_by(prefix: str, resource: Resource) -> Iterator[tuple[str, str, list[str]]]:
    """Where the resource is asked, a path's expression, and the methods, in the order of Synapse's search."""
    if isinstance(resource, JsonResource):
        for pattern, methods in resource._routes.items():
            yield (
                prefix,
                pattern.pattern,
                [name.decode() for name, one in methods.items() if answers(name, one.callback)],
            )
        return
    methods = [
        one for one in METHODS if hasattr(resource, f"render_{one}") or hasattr(resource, f"_async_render_{one}")
    ]
    if methods:
        yield prefix, f"^{re.escape(prefix)}(/.*)?$" if resource.isLeaf else f"^{re.escape(prefix)}$", methods
    for name, child in resource.children.items():
        yield from served_by(f"{prefix}/{name.decode()}", child)


def answers(method: bytes, callback: Any) -> bool:
    """Whether a process answers what it has registered: some servlets are on every worker, and refuse there."""
    servlet = getattr(getattr(callback, "__wrapped__", callback), "__self__", None)
    # WORKERS_DENIED_METHODS is upstream's word for it, and means whoever does not write the stream
    # (rest/client/room.py, rest/client/push_rule.py); another servlet with that word would be a worker's never.
    writes = getattr(servlet, "_is_push_worker", not WORKER)
    denied = () if writes else getattr(servlet, "WORKERS_DENIED_METHODS", ())
    return method.decode() not in denied and getattr(servlet, "_is_typing_writer", True)


def root_of(server: Any, listener: Any) -> Resource:
    """The tree of resources that a process gives to a listener."""
    found: list[Resource] = []

    def catch(_hs: object, _listener: object, root: Resource, *_: object, **__: object) -> list[object]:
        found.append(root)
        return []

    _base.listen_http = homeserver._base.listen_http = generic_worker._base.listen_http = catch
    homeserver.listen_http = catch
    (server._listener_http(server.config, listener) if not WORKER else server._listen_http(listener))
    return found[0]


def resources_of(configuration: dict[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """What one process serves to clients and other servers."""
    global WORKER
    config = HomeServerConfig()
    config.parse_config_dict(configuration, "/tmp", "/tmp")
    WORKER = config.worker.worker_app is not None
    kind = generic_worker.GenericWorkerServer if WORKER else homeserver.SynapseHomeServer
    server: HomeServer = kind(config.server.server_name, config=config)
    server.setup()
    for listener in config.worker.worker_listeners if WORKER else config.server.listeners:
        names = (
            {name for part in listener.http_options.resources for name in part.names} if listener.http_options else ()
        )
        if {"client", "federation", "media"} & set(names):
            yield from served_by("", root_of(server, listener))


# Each in a fork: modules of Synapse keep what the process before has registered.
for name, configuration in json.load(sys.stdin):
    if not (child := os.fork()):
        try:
            print(json.dumps([name, list(resources_of(configuration))]), flush=True)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name}: no resources")
