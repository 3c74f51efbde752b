"""Which process answers which request. One table feeds the router; whatever no route takes goes to main."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matrixfleet.plan import endpoints
from matrixfleet.plan.processes import Process

MAIN = "main"


@dataclass(frozen=True, slots=True)
class Backend:
    """Processes that answer some requests, and what decides which of them answers one."""

    name: str
    process: Process
    affinity: str = ""
    """user, room, origin: requests of one come to one process. Empty: whoever has the least to do."""
    fallback: bool = True
    """Whether main may answer while none of them is there. Not for a stream's writer: main would have to
    hand the request on to the writer that is away."""
    first: bool = False
    """Only the first of the processes."""


@dataclass(frozen=True, slots=True)
class Route:
    """Requests for one backend."""

    name: str
    patterns: tuple[str, ...]
    """Regular expressions of paths."""
    backend: str
    get_only: bool = False


def routes_of(processes: tuple[Process, ...]) -> tuple[tuple[Route, ...], tuple[Backend, ...]]:
    """The routes in the order in which they are tried, and the backends they lead to."""
    there = {process.component: process for process in processes}
    backends: dict[str, Backend] = {}
    routes: list[Route] = []

    def lead(
        name: str,
        patterns: tuple[str, ...],
        *components: str,
        affinity: str = "",
        get_only: bool = False,
        fallback: bool = True,
        first: bool = False,
    ) -> None:
        """To the first of the components that the tenant has, if any."""
        process = next((there[component] for component in components if component in there), None)
        if process is not None:
            backends.setdefault(name, Backend(name, process, affinity, fallback, first))
            routes.append(Route(name, patterns, name, get_only))

    for component, patterns in _streams(processes):
        lead(component, patterns, component, fallback=False)
    lead("media-admin", endpoints.MEDIA_ADMIN, "media-repository", fallback=False, first=True)
    if (media := there.get("media-repository")) and media.count > 1:
        lead("previews", endpoints.PREVIEWS, "media-repository", fallback=False, first=True)
    lead("media", endpoints.MEDIA, "media-repository", fallback=False)
    lead("sync", endpoints.SYNC, "generic", affinity="user")
    lead("initial-sync", endpoints.INITIAL_SYNC, "generic")
    lead("federation-inbound", endpoints.FEDERATION_INBOUND, "generic", affinity="origin")
    lead("federation-reads", endpoints.FEDERATION_READS, "federation-reader", "generic")
    lead("messages", endpoints.MESSAGES, "generic", affinity="room")
    lead("sending", endpoints.SENDING, "generic", affinity="room")
    lead("client-reads", endpoints.CLIENT_READS, "client-reader", "generic")
    lead("client-gets", endpoints.GET_ONLY, "client-reader", "generic", get_only=True)
    return tuple(routes), tuple(backends.values())


def _streams(processes: tuple[Process, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Paths of the streams that a process writes; events have none, since they are sent to any worker."""
    for process in processes:
        paths = tuple(path for stream in process.streams for path in endpoints.STREAMS.get(stream, ()))
        if paths:
            yield process.component, paths
