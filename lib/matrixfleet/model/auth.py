"""How people prove who they are, and how accounts come to be."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.choices import Auth, Built, Provider
from matrixfleet.model.database import Certificates
from matrixfleet.model.mapping import Template
from matrixfleet.model.peers import Reach
from matrixfleet.model.types import Generation, HttpsUrl, Id, Line, Token, expected

# Anybody in the world has an account there.
PUBLIC = (Provider.GOOGLE, Provider.GITHUB)
# Neither sends OpenID back-channel logouts; Entra ID has the front-channel kind only.
NO_LOGOUT = (*PUBLIC, Provider.ENTRA)


class Mapping(Model):
    """From what a provider tells of a person to a Matrix account: Jinja templates over `user`, the claims
    (Synapse, `user_mapping_provider.config`). What is not said is the preset's. Synapse evaluates them outside of any
    sandbox, so only what docs/log-in-with-oidc.md lists is accepted."""

    localpart: Template | None = None
    """`localpart_template`: the part of the user id before the colon. Where neither this nor the preset says
    it, people choose."""
    display_name: Template | None = None
    """`display_name_template`, set at the first log-in."""
    email: Template | None = None
    """`email_template`: added to the account, trusted as it is."""
    subject: Template | None = None
    """`subject_template`: what tells one person from another for ever; Synapse's own is the claim `sub`.
    Changed later, everybody is somebody new."""


class Endpoints(Model):
    """The addresses of a provider that has no OpenID discovery."""

    authorization: HttpsUrl
    """`authorization_endpoint`: where browsers are sent."""
    token: HttpsUrl
    """`token_endpoint`."""
    userinfo: HttpsUrl | None = None
    """`userinfo_endpoint`: needed where the scope `openid` is not asked for."""
    jwks: HttpsUrl | None = None
    """`jwks_uri`, the provider's keys: needed where the scope `openid` is asked for."""


class OidcProvider(Model):
    """One OpenID provider. Its client secret is the Secret `<tenant>-oidc-<id>-<generation>`, key
    `client_secret`, which a person creates: it comes from the provider."""

    preset: Built[Provider]
    """Which kind it is."""
    name: Line | None = None
    """As people see it on the log-in page; the preset's unless said."""
    issuer: HttpsUrl | None = None
    """The issuer, as the provider's discovery document has it. Of a Keycloak `https://HOST/realms/REALM`, of
    an Authentik `https://HOST/application/o/SLUG/`; other presets know theirs."""
    directory: Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] | None = None
    """Entra ID's directory (tenant) id. A UUID, since `common` would let every company in."""
    endpoints: Endpoints | None = None
    """For preset generic, where there is no discovery."""
    client_id: Token
    """As the provider registered this homeserver."""
    scopes: tuple[Token, ...] = ()
    """What is asked for; the preset's unless said."""
    mapping: Mapping = Mapping()
    """From claims to an account."""
    requirements: dict[Token, tuple[Line, ...]] = Field(default_factory=dict)
    """`attribute_requirements`: each claim must have one of the values, or nobody gets in. Of Google
    `hd: [example.com]` is the people of one domain."""
    registration: bool = True
    """`enable_registration`: whether a first log-in makes an account. Preset google and github need
    requirements for it, since anybody has an account there."""
    backchannel_logout: bool = False
    """Whether a log-out at the provider ends the sessions here. The provider calls
    https://HOSTS.MATRIX/_synapse/client/oidc/backchannel_logout, and must send session ids."""
    generation: Generation = 1
    """Of the client secret."""
    ca: Certificates | None = None
    """The authority that signed its certificate, which Synapse then trusts in all of its connections. Default: one that
    everybody trusts."""
    reach: tuple[Reach, ...] = ()
    """Where it is, unless it is on the Internet."""

    @model_validator(mode="after")
    def _preset_fits(self) -> OidcProvider:
        entra, free = self.preset is Provider.ENTRA, self.preset is Provider.GENERIC
        knows_issuer = entra or self.preset in PUBLIC
        if knows_issuer and self.issuer:
            raise expected(f"no issuer, since preset {self.preset} knows it", self.issuer, "or preset: generic")
        if not knows_issuer and not self.issuer:
            raise expected(f"issuer, since preset {self.preset} may be anywhere", "none")
        if entra and not self.directory:
            raise expected("directory, Entra ID's directory (tenant) id", "none")
        if self.directory and not entra:
            raise expected(f"no directory with preset {self.preset}", self.directory)
        if self.endpoints and not free:
            raise expected(f"no endpoints with preset {self.preset}", "some", "or preset: generic")
        if self.backchannel_logout and self.preset in NO_LOGOUT:
            raise expected(f"backchannel_logout: false, since preset {self.preset} sends none", True)
        return self

    @model_validator(mode="after")
    def _closed(self) -> OidcProvider:
        if self.preset in PUBLIC and self.registration and not self.requirements:
            raise expected(
                f"requirements, or registration: false, since anybody has an account at {self.preset}",
                "neither",
                "open registration has no place here",
            )
        return self

    @model_validator(mode="after")
    def _endpoints_suffice(self) -> OidcProvider:
        if self.endpoints and "openid" in (self.scopes or ("openid",)) and not self.endpoints.jwks:
            raise expected("endpoints.jwks, since the scope openid is asked for", "none")
        if self.endpoints and self.scopes and "openid" not in self.scopes and not self.endpoints.userinfo:
            raise expected("endpoints.userinfo, since the scope openid is not asked for", "none")
        return self


class Registration(Model):
    """How accounts come to be. Open registration has no place here: a server open to the world without
    verification is a spam source within days."""

    shared_secret: bool = True
    """Accounts by an administrator with the registration shared secret."""
    tokens: bool = False
    """Accounts by whoever has a registration token, which an administrator makes with the admin API."""


class AuthSpec(Model):
    """How people prove who they are."""

    kind: Built[Auth] = Auth.PASSWORD
    """Passwords in Synapse, or OpenID providers too."""
    password: bool = True
    """Whether passwords in Synapse let anybody in. Off only where a provider does; the accounts that have one
    keep it for the day it is on again."""
    providers: dict[Id, OidcProvider] = Field(default_factory=dict)
    """The OpenID providers, in the order in which people see them. Synapse knows people by the name here:
    renamed, everybody is somebody new."""
    registration: Registration = Registration()
    """How accounts come to be."""

    @model_validator(mode="after")
    def _someone_gets_in(self) -> AuthSpec:
        if self.kind is Auth.OIDC and not self.providers:
            raise expected("providers, since kind is oidc", "none")
        if self.kind is Auth.PASSWORD and self.providers:
            raise expected("kind: oidc, since there are providers", str(self.kind))
        if not self.password and not self.providers:
            raise expected("password: true, since no provider lets anybody in", False)
        if not self.password and self.registration.tokens:
            raise expected("registration.tokens: false, since such accounts have a password", True)
        return self
