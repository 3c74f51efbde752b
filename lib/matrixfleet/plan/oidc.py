"""OpenID providers: what a preset knows, with what was said on top.

Synapse talks to them with its plain HTTP client (`get_proxied_http_client` in synapse/handlers/oidc.py): discovery,
token, keys and user information pass by `ip_range_blacklist`, so that a provider in a private network needs no
`ip_range_whitelist`, but a NetworkPolicy's flow alone. Only pictures of people are fetched with the denied
networks in force (synapse/handlers/sso.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from matrixfleet.model.auth import Endpoints, OidcProvider
from matrixfleet.model.choices import Provider

HTTPS = 443


@dataclass(frozen=True, slots=True)
class Preset:
    """What is true of a kind of provider wherever it runs."""

    name: str
    issuer: str = ""
    """Where it is known; {directory} is Entra ID's."""
    brand: str = ""
    """The Matrix specification's word for it, so that clients show its sign."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    mapping: dict[str, str] = field(default_factory=dict)
    endpoints: Endpoints | None = None


_NAMES = {"display_name": "{{ user.name }}", "email": "{{ user.email }}"}
_BY_USERNAME = {"localpart": "{{ user.preferred_username }}", **_NAMES}

PRESETS = {
    Provider.KEYCLOAK: Preset("Keycloak", mapping=_BY_USERNAME),
    Provider.AUTHENTIK: Preset("authentik", mapping=_BY_USERNAME),
    # preferred_username is the sign-in name, a mail address as a rule.
    Provider.ENTRA: Preset(
        "Microsoft",
        "https://login.microsoftonline.com/{directory}/v2.0",
        mapping={"localpart": "{{ user.preferred_username | localpart_from_email }}", **_NAMES},
    ),
    # Google has no user names.
    Provider.GOOGLE: Preset(
        "Google",
        "https://accounts.google.com",
        "google",
        mapping={"localpart": "{{ user.email | localpart_from_email }}", **_NAMES},
    ),
    # OAuth 2.0 alone: no discovery, no id token, and no `sub`. Its number is a person's for ever, the login
    # can be given to somebody else. The address is in the profile of those who publish it, so it is not taken.
    Provider.GITHUB: Preset(
        "GitHub",
        "https://github.com/",
        "github",
        ("read:user",),
        {"subject": "{{ user.id }}", "localpart": "{{ user.login }}", "display_name": "{{ user.name }}"},
        Endpoints(
            authorization="https://github.com/login/oauth/authorize",
            token="https://github.com/login/oauth/access_token",
            userinfo="https://api.github.com/user",
        ),
    ),
    Provider.GENERIC: Preset("Single sign-on", scopes=("openid",)),
}


@dataclass(frozen=True, slots=True)
class Login:
    """One provider, whole."""

    id: str
    """Synapse's `idp_id`."""
    name: str
    brand: str
    issuer: str
    scopes: tuple[str, ...]
    endpoints: Endpoints | None
    """None where discovery finds them."""
    mapping: dict[str, str]
    """localpart, display_name, email, subject: each with its template, where there is one."""
    said: OidcProvider

    @property
    def ports(self) -> tuple[int, ...]:
        """Where it answers Synapse; browsers alone go to the authorization endpoint."""
        asked = [self.issuer]
        if self.endpoints:
            asked = [one for one in (self.endpoints.token, self.endpoints.userinfo, self.endpoints.jwks) if one]
        return tuple(sorted({urlsplit(one).port or HTTPS for one in asked}))

    @property
    def secret(self) -> str:
        """The purpose of its client secret."""
        return f"oidc-{self.id}"


def login_of(identifier: str, said: OidcProvider) -> Login:
    """A provider with its preset's words where none were said."""
    preset = PRESETS[said.preset]
    mapping = preset.mapping | said.mapping.model_dump(exclude_none=True)
    return Login(
        identifier,
        said.name or preset.name,
        preset.brand,
        said.issuer or preset.issuer.format(directory=said.directory),
        said.scopes or preset.scopes,
        said.endpoints or preset.endpoints,
        mapping,
        said,
    )


def logins_of(providers: dict[str, OidcProvider]) -> tuple[Login, ...]:
    """Every provider, in the order in which people see them."""
    return tuple(login_of(identifier, said) for identifier, said in providers.items())
