"""What a homeserver works with beside people: a mail server, bridges and bots, modules, a policy."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.choices import Built, MailSecurity
from matrixfleet.model.database import Certificates
from matrixfleet.model.peers import Reach
from matrixfleet.model.release import ModuleName, SecretKey
from matrixfleet.model.types import Email, Generation, Host, Id, Line, Plain, Port, Text, UserName, expected


class Mail(Model):
    """The mail server that Synapse sends through: lost passwords, addresses to confirm, missed messages.
    With a user the password is the Secret `<tenant>-email-<generation>`, key `password`, which a person
    creates."""

    host: Host
    """`smtp_host`; its certificate must be valid for it."""
    port: Port = 587
    """`smtp_port`; the default is mail submission's (RFC 6409)."""
    security: Built[MailSecurity] = MailSecurity.STARTTLS
    """How it is encrypted."""
    user: UserName | None = None
    """`smtp_user`. Without it Synapse does not log in."""
    sender: Email
    """`notif_from`."""
    generation: Generation = 1
    """Of the password."""
    ca: Certificates | None = None
    """The authority that signed its certificate, which Synapse then trusts in all of its connections. Default: one that
    everybody trusts."""
    reach: tuple[Reach, ...] = ()
    """Where it is, unless it is on the Internet."""

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> Mail:
        if self.user and self.security is MailSecurity.NONE:
            wanted = "security: starttls or implicit, since there is a user"
            raise expected(wanted, "none", "anybody on the way would read the password")
        return self


class Consent(Model):
    """A policy that people agree to; Synapse serves it at /_matrix/consent and remembers who agreed to which
    version."""

    version: Annotated[str, Field(pattern=r"^[0-9a-z][0-9a-z.-]{0,31}$")]
    """`version`, in quotes. Another one must be agreed to anew."""
    name: Line = "Privacy Policy"
    """`policy_name`."""
    text: Text
    """The policy: plain text, an empty line between paragraphs."""
    at_registration: bool = True
    """`require_at_registration`: nobody gets an account without agreeing."""
    block: Line | None = None
    """`block_events_error`: what those who have not agreed are told instead of their messages being sent;
    %(consent_uri)s is where they agree. Unset, nobody is blocked."""

    @model_validator(mode="after")
    def _formats(self) -> Consent:
        # Synapse fills it in when somebody is blocked; a stray % would be an error 500 for them.
        if self.block and "%" in self.block.replace("%(consent_uri)s", ""):
            raise expected("block without % but in %(consent_uri)s", self.block)
        return self


class AppService(Model):
    """A bridge or a bot. Its registration file holds tokens: it is the Secret
    `<tenant>-appservice-<id>-<generation>`, key `registration.yaml`, which a person creates."""

    generation: Generation = 1
    """Of the registration file."""
    ca: Certificates | None = None
    """The authority that signed its certificate, which Synapse then trusts in all of its connections. Default: one that
    everybody trusts."""
    reach: tuple[Reach, ...] = ()
    """Where it is: Synapse may talk to it there, and Pods among these to the router. None for one on the
    Internet, or one that Synapse never calls (`url: null`)."""


class Module(Model):
    """A module that Synapse loads (`modules`)."""

    module: ModuleName
    """One of the release's `modules`: its Python class. Nothing is installed at start."""
    config: dict[Line, Plain] = Field(default_factory=dict)
    """Keys that the release names of it, as the module documents them. Nothing secret: it is in git."""
    id: Id | None = None
    """What its Secret and its destinations are called. Needed with `secrets` or `reach`; cannot change without another
    Secret."""
    secrets: tuple[SecretKey, ...] = ()
    """Keys of its configuration that name a file with a secret, out of those that the release lists
    (`bind_password_file`). The files are keys of the same name in the Secret `<tenant>-module-<id>-<generation>`, which
    a person creates. Default: none."""
    generation: Generation = 1
    """Of that Secret."""
    ca: Certificates | None = None
    """The authority that signed its certificate, which Synapse then trusts in all of its connections. Default: one that
    everybody trusts."""
    reach: tuple[Reach, ...] = ()
    """Where the server is that it asks, for a directory or a policy of one's own. Default: nowhere but where Synapse
    goes itself."""

    @model_validator(mode="after")
    def _has_an_id(self) -> Module:
        for key in ("secrets", "reach"):
            if getattr(self, key) and self.id is None:
                raise expected(f"id, since {key} is said", "none", "a short name (ldap)")
        for key in self.secrets:
            if key in self.config:
                raise expected(f"{key} in secrets or in config", "both", "its file's path is filled in")
        return self
