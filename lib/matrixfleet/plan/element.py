"""Element Web: a tenant's own, that knows its homeserver alone, or the platform's, where people name theirs."""

from __future__ import annotations

from dataclasses import dataclass

from matrixfleet.model import Tenant
from matrixfleet.model.fleet import Platform
from matrixfleet.model.tenant import Element
from matrixfleet.plan.edge import PublicHost


@dataclass(frozen=True, slots=True)
class Web:
    """What its configuration says."""

    host: PublicHost
    spec: Element
    server_name: str
    """The homeserver it offers first."""
    base_url: str
    other_servers: bool
    """Whether people may name another one."""
    guests: bool
    registration: bool
    password_reset: bool


def _host(host: str) -> PublicHost:
    return PublicHost(host, "/", "element", "element")


def web_of_tenant(tenant: Tenant) -> Web | None:
    """A tenant's own, where it has a host for it."""
    if tenant.hosts.element is None:
        return None
    auth = tenant.auth
    return Web(
        _host(tenant.hosts.element),
        tenant.element,
        tenant.server_name,
        f"https://{tenant.hosts.matrix}",
        other_servers=False,
        guests=tenant.synapse.guests,
        # Registration where a token opens it, and no lost passwords where there are none.
        registration=auth.registration.tokens,
        password_reset=auth.password,
    )


def web_of_platform(platform: Platform) -> Web | None:
    """The one that tenants share. What each server admits, it says itself."""
    spec = platform.element
    if spec is None:
        return None
    base_url = spec.homeserver
    return Web(
        _host(spec.host), spec, spec.server_name, base_url, True, guests=False, registration=True, password_reset=True
    )
