"""Declared moves: the one way to say that a change which `matrix-fleet check --base` refuses is deliberate."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from matrixfleet.errors import did_you_mean
from matrixfleet.model.types import Line, expected, words

ARROW = " -> "
TENANT = (
    "matrix.server_name",
    "matrix.namespace",
    "matrix.release",
    "matrix.synapse.signing_key",
    "matrix.media.kind",
    "matrix.media.s3.endpoint",
    "matrix.media.s3.bucket",
    "matrix.media.s3.prefix",
    "matrix.media.s3.generation",
    "matrix.database.kind",
    "matrix.database.major",
    "matrix.database.credentials",
    "matrix.database.external.host",
    "matrix.database.external.port",
    "matrix.database.external.name",
    "matrix.auth.providers",
    "matrix.auth.providers.<id>.issuer",
    "matrix.auth.providers.<id>.client_id",
    "matrix.auth.providers.<id>.mapping.subject",
    "matrix.auth.providers.<id>.generation",
    "matrix.secrets",
    "matrix.turn.secret",
    "matrix.redis.password",
    "matrix.email.generation",
    "matrix.appservices.<id>.generation",
    "matrix.modules.<id>.generation",
    "matrix.backup.bucket.generation",
    "matrix.backup.second.generation",
    "matrix.alerts.slack.generation",
    "matrix.alerts.webhook.generation",
)
"""Keys of a tenant's moves."""
PLATFORM = (
    "cluster.argocd.namespace",
    "cluster.argocd.server",
    "cluster.secrets",
    "cluster.secrets.store",
    "cluster.logs.store.generation",
    "platform.postgresql",
    "platform.postgresql.major",
    "platform.postgresql.archive.bucket.generation",
    "platform.turn.secret",
    "platform.alerts.slack.generation",
    "platform.alerts.webhook.generation",
)
"""Keys of a platform's moves."""


def movable(key: str) -> bool:
    """Return whether a change of a key can be declared."""
    return any(re.fullmatch(re.escape(one).replace("<id>", r"[^.]+"), key) for one in (*TENANT, *PLATFORM))


def declaration(key: str, was: str, now: str) -> str:
    """Return the line of the inventory that declares a change."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in (key, f"{was}{ARROW}{now}"))
    block = "matrix" if key.startswith("matrix.") else "platform"
    return block + '.moves: {{"{}": "{}"}}'.format(*quoted)


def _moves(keys: tuple[str, ...]) -> AfterValidator:
    def check(moves: dict[str, str]) -> dict[str, str]:
        for key, change in moves.items():
            if not movable(key) or key.partition(".")[0] not in {one.partition(".")[0] for one in keys}:
                near = did_you_mean(key, keys)
                raise expected("keys as check --base names them", key, near[2:] if "mean" in near else "")
            was, _, now = change.partition(ARROW)
            if not was.strip() or not now.strip():
                raise expected("a change as check --base prints it (WAS -> IS)", change)
        return moves

    return AfterValidator(check)


Key = Annotated[
    str, BeforeValidator(words(r"[a-z]+(\.[A-Za-z0-9_-]+)+", "a key as check --base names it (matrix.media.kind)"))
]
"""A key of the inventory."""
TenantMoves = Annotated[dict[Key, Line], _moves(TENANT)]
"""Moves of a tenant: what was and what is, by key."""
PlatformMoves = Annotated[dict[Key, Line], _moves(PLATFORM)]
"""Moves of a cluster and its platform: what was and what is, by key."""
