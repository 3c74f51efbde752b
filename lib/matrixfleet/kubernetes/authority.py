"""A certificate authority of a target's own, by cert-manager: who trusts it trusts this one's servers alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.plan import Plan, waves

API = "cert-manager.io/v1"
KEY = {"algorithm": "ECDSA", "size": 256}
SERVER, CLIENT = "server auth", "client auth"


def authority(plan: Plan) -> Iterator[Object]:
    """A self-signed authority, and the Issuer that signs with it."""
    root, ca = (plan.called(f"postgresql-{part}") for part in ("root", "ca"))
    # Not <cluster>-ca: CloudNativePG keeps the authority of its clients in a Secret of that name, with other keys.
    secret = plan.called("postgresql-authority")

    def cert_manager(kind: str, name: str, spec: Object) -> Object:
        return make(plan, kind, "postgresql", api=API, name=name, wave=waves.SECRETS, spec=spec)

    yield cert_manager("Issuer", root, {"selfSigned": {}})
    certificate = {
        "isCA": True,
        "commonName": ca,
        "secretName": secret,
        "duration": "87600h",
        "renewBefore": "8760h",
        "privateKey": KEY | {"rotationPolicy": "Never"},
        "issuerRef": {"name": root, "kind": "Issuer", "group": "cert-manager.io"},
    }
    yield cert_manager("Certificate", ca, certificate)
    yield cert_manager("Issuer", ca, {"ca": {"secretName": secret}})


def signed(plan: Plan, component: str, usage: str, **subject: str | Sequence[str] | Object) -> Object:
    """A certificate of that authority, in the Secret `<target>-<component>-tls`; renewed in place.

    subject: cert-manager's own fields: dnsNames of a server, commonName of a client
    """
    name = plan.called(f"{component}-tls")
    spec = {
        "secretName": name,
        **subject,
        "usages": [usage],
        "duration": "2160h",
        "renewBefore": "720h",
        "privateKey": KEY | {"rotationPolicy": "Always"},
        "issuerRef": {"name": plan.called("postgresql-ca"), "kind": "Issuer", "group": "cert-manager.io"},
    }
    return make(plan, "Certificate", component, api=API, name=name, wave=waves.SECRETS, spec=spec)
