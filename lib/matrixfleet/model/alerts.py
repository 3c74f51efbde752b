"""Who is told of a tenant's alerts."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.types import Email, Generation, expected, words

Channel = Annotated[
    str,
    BeforeValidator(words(r"[#@][A-Za-z0-9._-]{1,80}", "a channel with its # or @ (letters, digits, '.', '_', '-')")),
]
"""A channel or a person. Alertmanager reads it as a template of Go's: it has no braces."""


class Slack(Model):
    """A channel of Slack, or of what speaks its incoming webhooks (Mattermost, Rocket.Chat). Its address is a secret:
    the Secret `<tenant>-alerts-slack-<generation>`, key `url`, which a person creates."""

    channel: Channel
    """With its # or @."""
    generation: Generation = 1
    """Of the address."""


class Webhook(Model):
    """An address that gets Alertmanager's JSON: a pager, or a Matrix room by a bot. It is a secret: the Secret
    `<tenant>-alerts-webhook-<generation>`, key `url`, which a person creates."""

    generation: Generation = 1
    """Of the address."""


class Alerts(Model):
    """Receivers of the alerts of one tenant, or of the platform's own. Each gets all of them: critical ones again
    every hour until they end, the others twice a day."""

    email: tuple[Email, ...] = ()
    """By the mail server that Alertmanager itself has (`global.smtp`)."""
    slack: Slack | None = None
    """A channel."""
    webhook: Webhook | None = None
    """An address."""

    @model_validator(mode="after")
    def _somebody(self) -> Alerts:
        if not (self.email or self.slack or self.webhook):
            hint = "leave alerts out, and Alertmanager's own route has them"
            raise expected("email, slack or webhook", "none of them", hint)
        return self
