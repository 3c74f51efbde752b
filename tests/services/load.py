"""Bounded load on a tenant while its parts die: people who write and read along, and probes of single paths.

Each tries again until it is answered, as clients do: a message with the transaction id that it had. What was answered
is remembered, and every try that was not.
"""

import asyncio
import itertools
import json
import os
import ssl
import threading
import time
import uuid
from dataclasses import dataclass, field
from urllib.parse import quote

import aiohttp

PAUSE = 0.2
"""Seconds between two tries, and two probes of a path."""
REST = 0.5
"""Seconds between two messages of one writer."""
PATIENCE = 10
"""Seconds until a try without an answer is given up."""
LATE = 2.0
"""Seconds after which a message that a reader does not see counts as late."""
FINAL = {401, 403, 404}
"""Answers that a client takes for good: it would log out, or forget the message."""
READ_OUT = 30
"""Seconds at most that readers stay after the last message, for those that they do not have yet."""


@dataclass
class Message:
    """A message that was answered with 200."""

    room: str
    body: str
    event: str
    at: float


@dataclass
class Failure:
    """A try that was not answered well."""

    path: str
    at: float
    """When it came to its end."""
    said: str


@dataclass
class Load:
    """Runs in a thread of its own between enter and exit. Times are of time.monotonic()."""

    homeserver: object
    writers: list
    """People who write into every room and read along."""
    rooms: list
    far: object = None
    """Somebody on another server who is in every room, and reads along."""
    messages: list[Message] = field(default_factory=list)
    media: dict[str, bytes] = field(default_factory=dict)
    """What was uploaded, by mxc URI."""
    failures: list[Failure] = field(default_factory=list)
    final: list[str] = field(default_factory=list)
    """Answers that no client would try again after."""
    seen: dict[str, dict[str, float]] = field(default_factory=dict)
    """When each reader (a user's id) first saw an event."""

    def __enter__(self):
        self._stopping, self._end, self._writing = False, 0.0, len(self.writers)
        self._failed = []
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *raised):
        """Writers end, and readers when they have it all."""
        self._stopping, self._end = True, time.monotonic() + READ_OUT
        self._thread.join(2 * READ_OUT)
        if self._failed and raised[0] is None:
            raise self._failed[0]

    def late(self, reader, since):
        """Messages of that time on that this reader does not have, or had late: when it had the last of them (now, if
        it has not). 0 where there are none."""
        now = time.monotonic()
        seen = self.seen[reader]
        return max(
            (end for one in self.messages if one.at >= since if (end := seen.get(one.event, now)) - one.at > LATE),
            default=0.0,
        )

    def unseen(self, reader):
        """Messages that a reader does not have."""
        return [one for one in self.messages if one.event not in self.seen[reader]]

    def last_failure(self, path, since):
        """When the last try on a path failed; 0 where none did."""
        return max((one.at for one in self.failures if one.path == path and one.at >= since), default=0.0)

    def _run(self):
        try:
            asyncio.run(self._all())
        except Exception as error:
            self._failed.append(error)

    async def _all(self):
        context = ssl.create_default_context(cafile=self.homeserver.authority)
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        async with aiohttp.ClientSession(connector=connector) as self._session:
            first = self.writers[0]
            readers = [*self.writers, *([self.far] if self.far else [])]
            tasks = [self._write(person, number) for number, person in enumerate(self.writers)]
            tasks += [self._read(person) for person in readers]
            tasks += [
                self._media(first),
                self._probe("main", first, "thirdparty/protocols"),
                self._probe("reads", first, "joined_rooms"),
            ]
            await asyncio.gather(*tasks)

    async def _try(self, path, person, method, where, **more):
        """The answer of one try, or None where it failed."""
        url = f"{person.homeserver.url}/_matrix/{where}"
        headers = {"Authorization": f"Bearer {person.token}"}
        try:
            timeout = aiohttp.ClientTimeout(total=PATIENCE)
            async with self._session.request(method, url, headers=headers, timeout=timeout, **more) as answer:
                content = await answer.read()
                if answer.status == 200:
                    return content
                said = f"{answer.status} {content[:200].decode(errors='replace')}"
                if answer.status in FINAL:
                    self.final.append(f"{method} {where}: {said}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            said = repr(error)
        self.failures.append(Failure(path, time.monotonic(), f"{method} {where[:60]}: {said}"))
        return None

    async def _until(self, path, person, method, where, **more):
        """The answer, however many tries it takes; None at the load's end."""
        while (content := await self._try(path, person, method, where, **more)) is None and not self._stopping:
            await asyncio.sleep(PAUSE)
        return content

    async def _write(self, person, number):
        rooms = itertools.cycle(self.rooms[number:] + self.rooms[:number])
        while not self._stopping:
            room, body = next(rooms), uuid.uuid4().hex
            where = f"client/v3/rooms/{quote(room)}/send/m.room.message/{uuid.uuid4().hex}"
            content = await self._until("send", person, "PUT", where, json={"msgtype": "m.text", "body": body})
            if content is not None:
                self.messages.append(Message(room, body, json.loads(content)["event_id"], time.monotonic()))
            await asyncio.sleep(REST)
        self._writing -= 1

    async def _read(self, person):
        seen = self.seen.setdefault(person.id, {})
        path = "sync" if person is not self.far else "far"
        said = {"filter": json.dumps({"room": {"timeline": {"limit": 100}}, "presence": {"not_types": ["*"]}})}
        since = {"since": person.since} if person.since else {}
        while self._writing or (self.unseen(person.id) and time.monotonic() < self._end):
            wait = {"timeout": "1000" if since else "0"}
            content = await self._until(path, person, "GET", "client/v3/sync", params={**said, **since, **wait})
            if content is None:
                continue
            now, answer = time.monotonic(), json.loads(content)
            since = {"since": answer["next_batch"]}
            person.since = answer["next_batch"]
            for room in answer.get("rooms", {}).get("join", {}).values():
                for event in room["timeline"]["events"]:
                    seen.setdefault(event["event_id"], now)

    async def _media(self, person):
        """Up, and down again."""
        while not self._stopping:
            content = os.urandom(20_000)
            up = await self._until("media", person, "POST", "media/v3/upload", data=content)
            if up is not None:
                uri = json.loads(up)["content_uri"]
                self.media[uri] = content
                down = await self._until("media", person, "GET", f"client/v1/media/download/{uri[6:]}")
                assert down in (content, None)
            await asyncio.sleep(PAUSE)

    async def _probe(self, path, person, where):
        while not self._stopping:
            await self._try(path, person, "GET", f"client/v3/{where}")
            await asyncio.sleep(PAUSE)
