"""How long things are kept, since storage grows. Whatever is not said Synapse keeps as it does by default."""

from __future__ import annotations

from pydantic import model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.types import Duration, expected, seconds_of


class MessageRetention(Model):
    """`retention`: messages that are older go for good. Rooms may say their own time (experimental in
    Synapse), within the bounds here. PostgreSQL reuses the room and gives none of it back."""

    default: Duration | None = None
    """`default_policy.max_lifetime`: for rooms that say nothing. Unset, those keep all."""
    at_least: Duration | None = None
    """`allowed_lifetime_min`: no room may ask for less."""
    at_most: Duration | None = None
    """`allowed_lifetime_max`: no room may ask for more."""

    @model_validator(mode="after")
    def _something(self) -> MessageRetention:
        if not (self.default or self.at_least or self.at_most):
            raise expected("default, at_least or at_most", "none of them")
        if self.at_least and self.at_most and seconds_of(self.at_least) > seconds_of(self.at_most):
            raise expected(f"at_least no more than at_most ({self.at_most})", self.at_least)
        return self


class Retention(Model):
    """What goes when."""

    remote_media: Duration | None = None
    """`media_retention.remote_media_lifetime`: other servers' media that nobody looked at for so long. It is
    fetched again when somebody does."""
    local_media: Duration | None = None
    """`media_retention.local_media_lifetime`: this server's own, gone for everybody and for good."""
    messages: MessageRetention | None = None
    """Messages."""
    forgotten_rooms: Duration | None = None
    """`forgotten_room_retention_period`: rooms that everybody here left and forgot. Synapse keeps them."""
    redacted: Duration | None = None
    """`redaction_retention_period`: what was taken back, in the database still. Synapse's own is 7d."""
    addresses: Duration | None = None
    """`user_ips_max_age`: people's addresses and devices. Synapse's own is 28d."""
