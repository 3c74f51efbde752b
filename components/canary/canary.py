"""Log in, write a message and read it back, as a person's client does. Arguments are the homeserver's URL, the user's
name and the file with the password. Ends with 1 and one line where a step fails."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

ANSWER = 15
"""Seconds that one request may take."""
ARRIVAL = 30
"""Seconds until a message that was accepted must be read."""
DAY = 86_400_000
"""Milliseconds that its messages are worth keeping, where the server deletes old ones at all."""
# What a sync may leave out: it looks for one message.
FILTER = {"presence": {"types": []}, "account_data": {"types": []}, "room": {"timeline": {"limit": 20}}}


class Failed(Exception):
    """A step, and why it failed."""


class Session:
    """A client of the homeserver."""

    def __init__(self, homeserver: str) -> None:
        self.homeserver = homeserver
        self.token = ""

    def ask(self, step: str, method: str, path: str, body: Any = None, **query: str) -> Any:
        """An answer of the client API. Raises Failed where there is none, or an error."""
        url = f"{self.homeserver}/_matrix/client/v3/{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        content = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(url, content, headers, method=method)
        try:
            try:
                with urllib.request.urlopen(asked, timeout=ANSWER) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                raise Failed(f"{step}: {error.code} {told(error.read())}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Failed(f"{step}: no answer of {self.homeserver}: {getattr(error, 'reason', error)}") from error

    def log_in(self, user: str, password: str) -> None:
        """By password. Always as the same device, which takes the place of one that was left logged in."""
        who = {"type": "m.id.user", "user": user}
        said = {"type": "m.login.password", "identifier": who, "password": password, "device_id": "canary"}
        try:
            self.token = self.ask("log in", "POST", "login", said)["access_token"]
        except Failed as failed:
            if " M_FORBIDDEN" in str(failed):
                hint = "is the user registered, with the password of this Secret? docs/monitoring.md has the command"
                raise Failed(f"{failed}; {hint}") from failed
            raise

    def room(self) -> str:
        """Its own room, made the first time."""
        joined = self.ask("find its room", "GET", "joined_rooms")["joined_rooms"]
        if joined:
            return str(min(joined))
        kept = {"type": "m.room.retention", "state_key": "", "content": {"max_lifetime": DAY}}
        said = {"preset": "private_chat", "name": "canary", "initial_state": [kept]}
        return str(self.ask("make its room", "POST", "createRoom", said)["room_id"])

    def sync(self, step: str, **since: str) -> Any:
        """What is new, without being seen online."""
        said = {"filter": json.dumps(FILTER), "set_presence": "offline", **since}
        return self.ask(step, "GET", "sync", **said)

    def write_and_read(self) -> None:
        """A message of the moment. Raises Failed."""
        room = self.room()
        since = self.sync("begin to read")["next_batch"]
        said = {"msgtype": "m.text", "body": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        path = f"rooms/{quote(room)}/send/m.room.message/{uuid.uuid4().hex}"
        self.read_back(room, self.ask("write", "PUT", path, said)["event_id"], since)

    def log_out(self) -> None:
        """End the device's session."""
        self.ask("log out", "POST", "logout", {})

    def read_back(self, room: str, event: str, since: str) -> None:
        """Wait until a message comes. Raises Failed."""
        ends = time.monotonic() + ARRIVAL
        while time.monotonic() < ends:
            answer = self.sync("read", since=since, timeout="5000")
            since = answer["next_batch"]
            timeline = answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {})
            if any(one["event_id"] == event for one in timeline.get("events", [])):
                return
        raise Failed(f"read: its message did not come within {ARRIVAL} s")


def told(content: bytes) -> str:
    """Matrix's own code and words of an error, or the beginning of whatever it was."""
    try:
        error = json.loads(content)
        return f"{error['errcode']}: {error['error']}"
    except (ValueError, KeyError, TypeError):
        return content[:80].decode(errors="replace")


def main(homeserver: str, user: str, password: str) -> None:
    begun = time.monotonic()
    session = Session(homeserver)
    session.log_in(user, Path(password).read_text().strip())
    try:
        session.write_and_read()
    except Failed:
        with contextlib.suppress(Failed):
            session.log_out()
        raise
    session.log_out()
    print(f"canary: a message was written and read after {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failed as failed:
        print(f"canary: {' '.join(str(failed).split())}", file=sys.stderr)
        sys.exit(1)
