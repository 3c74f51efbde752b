"""What cert-manager would make of Certificates: Secrets with tls.crt, tls.key and ca.crt.

An Issuer of kind `selfSigned` signs with the certificate's own key, one of kind `ca` with the authority in its
Secret. Every ClusterIssuer is the world's one authority, which stands for Let's Encrypt.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from podrunner.objects import Object, Objects, Unsupported, identity
from podrunner.volumes import content_of

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
CURVES = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}
USAGES = {"server auth": ExtendedKeyUsageOID.SERVER_AUTH, "client auth": ExtendedKeyUsageOID.CLIENT_AUTH}


class Authority:
    """A certificate authority: the world's, or a stranger's."""

    def __init__(self, name: str) -> None:
        self.key: Key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = _signed(_builder(name, self.key, timedelta(days=3650), ca=True), self.key, None)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def client(self, name: str) -> tuple[bytes, bytes]:
        """A client's certificate in a name, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, key, timedelta(days=90), usages=["client auth"])
        made = _signed(builder, self.key, self.certificate)
        return made.public_bytes(serialization.Encoding.PEM), _pem(key)


def issue(objects: list[Object], store: Objects, world: Authority) -> None:
    """Make the Secret of every Certificate that has none yet, authorities first. Raises LookupError for an issuer
    that is not there."""
    issuers = Objects(one for one in objects if one["kind"] in ("Issuer", "Certificate"))
    certificates = list(issuers.of_kind("Certificate"))
    for one in sorted(certificates, key=lambda one: not one["spec"].get("isCA", False)):
        _, namespace, _ = identity(one)
        if store.get("Secret", namespace, one["spec"]["secretName"]) is None:
            store.add(_secret(one, issuers, store, world))


def renew(certificate: Object, objects: list[Object], store: Objects, world: Authority) -> None:
    """Make one Certificate's Secret anew, as cert-manager does before it expires."""
    store.add(_secret(certificate, Objects(one for one in objects if one["kind"] == "Issuer"), store, world))


def _secret(certificate: Object, issuers: Objects, store: Objects, world: Authority) -> Object:
    _, namespace, _ = identity(certificate)
    spec = certificate["spec"]
    key = _key(spec.get("privateKey", {}))
    names: list[x509.GeneralName] = [_name(name) for name in spec.get("dnsNames", [])]
    names += [x509.IPAddress(ipaddress.ip_address(one)) for one in spec.get("ipAddresses", [])]
    builder = _builder(
        spec.get("commonName", ""),
        key,
        _duration(spec.get("duration", "2160h")),
        ca=spec.get("isCA", False),
        names=names,
        usages=spec.get("usages", []),
    )
    signer, signed_by = _issuer(certificate, issuers, store, world, key)
    made = _signed(builder, signer, signed_by)
    authority = signed_by or made
    pem = serialization.Encoding.PEM
    data = {
        "tls.crt": made.public_bytes(pem),
        "tls.key": _pem(key),
        "ca.crt": authority.public_bytes(pem),
    }
    return {
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": spec["secretName"], "namespace": namespace},
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def _issuer(
    certificate: Object, issuers: Objects, store: Objects, world: Authority, own: Key
) -> tuple[Key, x509.Certificate | None]:
    """The key that signs, and its certificate (None where it signs itself)."""
    _, namespace, _ = identity(certificate)
    reference = certificate["spec"]["issuerRef"]
    if reference.get("kind") == "ClusterIssuer":
        return world.key, world.certificate
    issuer = issuers.need("Issuer", namespace, reference["name"])["spec"]
    if "selfSigned" in issuer:
        return own, None
    if "ca" not in issuer:
        raise Unsupported(f"Issuer {namespace}/{reference['name']}: {', '.join(issuer)}")
    content = content_of(store.need("Secret", namespace, issuer["ca"]["secretName"]))
    key = serialization.load_pem_private_key(content["tls.key"], None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return key, x509.load_pem_x509_certificate(content["tls.crt"])


def _pem(key: Key) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _key(spec: Object) -> Key:
    if spec.get("algorithm", "RSA") == "ECDSA":
        return ec.generate_private_key(CURVES[spec.get("size", 256)])
    return rsa.generate_private_key(65537, spec.get("size", 2048))


def _builder(
    name: str,
    key: Key,
    duration: timedelta,
    *,
    ca: bool = False,
    names: list[x509.GeneralName] | None = None,
    usages: list[str] | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + duration)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not name)
    wanted = [USAGES[usage] for usage in usages or [] if usage in USAGES]
    if wanted:
        builder = builder.add_extension(x509.ExtendedKeyUsage(wanted), critical=False)
    return builder


def _signed(builder: x509.CertificateBuilder, key: Key, issuer: x509.Certificate | None) -> x509.Certificate:
    # The subject is the builder's own where it signs itself.
    subject = issuer.subject if issuer else builder._subject_name
    assert subject is not None
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return builder.issuer_name(subject).add_extension(identifier, critical=False).sign(key, hashes.SHA256())


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _duration(text: str) -> timedelta:
    """A Go duration of hours and minutes."""
    units = {"h": "hours", "m": "minutes", "s": "seconds"}
    return timedelta(**{units[unit]: float(number) for number, unit in re.findall(r"([\d.]+)([hms])", text)})
