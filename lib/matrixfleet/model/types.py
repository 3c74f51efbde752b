"""The words an operator may write: quantities, durations, names, networks. Each says what it expects."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

_BINARY = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}
_DECIMAL = {"k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[a-zA-Z]*)")
_DURATION = re.compile(r"(?P<number>\d+)(?P<unit>s|m|h|d|w|y)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_DNS_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def expected(what: str, got: object, hint: str = "") -> PydanticCustomError:
    """The one shape of a fault of value: `expected WHAT, got GOT (hint)`."""
    text = f"expected {what}, got {got!r}" + (f"; {hint}" if hint else "")
    return PydanticCustomError("expected", "{text}", {"text": text})


def bytes_of(quantity: str) -> int:
    """Bytes of a Kubernetes quantity of memory or storage ("10Gi" -> 10737418240)."""
    match = _QUANTITY.fullmatch(quantity)
    assert match is not None, quantity
    factor = (_BINARY | _DECIMAL | {"": 1})[match["unit"]]
    return int(Decimal(match["number"]) * factor)


def millicores_of(quantity: str) -> int:
    """Thousandths of a core of a Kubernetes quantity of CPU ("500m" -> 500, "2" -> 2000)."""
    if quantity.endswith("m"):
        return int(quantity[:-1])
    return int(Decimal(quantity) * 1000)


def seconds_of(duration: str) -> float:
    """Seconds of a duration ("5m" -> 300)."""
    match = _DURATION.fullmatch(duration)
    assert match is not None, duration
    return int(match["number"]) * _SECONDS[match["unit"]]


def _memory(value: Any) -> str:
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if not match or match["unit"] not in _BINARY:
        hint = ""
        if match and match["unit"].rstrip("bB").capitalize() + "i" in _BINARY:
            hint = f"did you mean {match['number']}{match['unit'].rstrip('bB').capitalize()}i?"
        elif isinstance(value, int):
            hint = f"did you mean {value}Gi?"
        raise expected("a size with a binary unit (Ki, Mi, Gi, Ti)", value, hint)
    return str(value)


def _cpu(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not re.fullmatch(r"\d+m|\d+(\.\d{1,3})?", value):
        raise expected("CPU in cores (2, 0.5) or millicores (500m)", value)
    return value


def _duration(value: Any) -> str:
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        hint = f"did you mean {value}s?" if isinstance(value, int) else ""
        raise expected("a duration with a unit (s, m, h, d, w, y)", value, hint)
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _DNS_LABEL.fullmatch(value) or len(value) > 63:
        raise expected("a DNS label (lower case letters, digits and '-', 63 at most)", value)
    return value


def _host(value: Any) -> str:
    if not isinstance(value, str) or not _DNS_NAME.fullmatch(value) or len(value) > 253 or "." not in value:
        hint = "write the name alone, without scheme or port" if "/" in str(value) or ":" in str(value) else ""
        raise expected("a host name (chat.example.com)", value, hint)
    return value


def _cidr(value: Any) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=True))
    except ValueError as error:
        hint = ""
        if isinstance(value, str) and "/" in value:
            try:
                hint = f"did you mean {ipaddress.ip_network(value, strict=False)}?"
            except ValueError:
                hint = ""
        elif isinstance(value, str):
            hint = f"did you mean {value}/32?"
        raise expected("a network in CIDR form (10.0.0.0/8)", value, hint) from error


def _address(value: Any) -> str:
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError as error:
        raise expected("an IP address (203.0.113.7)", value) from error


def _https_url(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https://[^\s/]+\S*", value) or not _names_a_server(value):
        raise expected("an https:// address", value)
    return value


def _http_url(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/]+\S*", value) or not _names_a_server(value):
        raise expected("an http:// or https:// address", value)
    return value


def _names_a_server(url: str) -> bool:
    try:
        address = urlsplit(url)
        return bool(address.hostname) and address.port != 0
    except ValueError:  # a port beyond 65535, a bracket left open
        return False


def words(pattern: str, what: str) -> Callable[[Any], str]:
    """A validator of text that a pattern matches in whole."""
    compiled = re.compile(pattern)

    def check(value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise expected(what, value)
        return value

    return check


def _schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Memory = Annotated[str, BeforeValidator(_memory), _schema(r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti)$", "10Gi")]
"""Memory or storage, with a binary unit: "512Mi", "10Gi"."""

Cpu = Annotated[str, BeforeValidator(_cpu), WithJsonSchema({"type": ["string", "number"], "examples": ["500m", 2]})]
"""CPU in cores or millicores: 2, "500m"."""

Duration = Annotated[str, BeforeValidator(_duration), _schema(r"^[0-9]+(s|m|h|d|w|y)$", "5m")]
"""A length of time as Synapse writes it: "30s", "5m", "90d"."""

Name = Annotated[str, BeforeValidator(_name), _schema(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "acme")]
"""A Kubernetes name: one DNS label."""

Host = Annotated[str, BeforeValidator(_host), _schema(r"^[a-z0-9.-]+$", "chat.example.com")]
"""A fully qualified host name, lower case, without scheme or port."""

Cidr = Annotated[str, BeforeValidator(_cidr), _schema(r"^[0-9a-f.:]+/[0-9]+$", "10.0.0.0/8")]
"""A network, its host bits zero."""

Address = Annotated[str, BeforeValidator(_address), _schema(r"^[0-9a-f.:]+$", "203.0.113.7")]
"""An IPv4 or IPv6 address."""

HttpsUrl = Annotated[str, BeforeValidator(_https_url), _schema(r"^https://", "https://example.com/logo.svg")]
"""An address that begins with https://."""

HttpUrl = Annotated[str, BeforeValidator(_http_url), _schema(r"^https?://", "http://loki.example.com:3100")]
"""An address that begins with http:// or https://."""

Owner = Annotated[
    str,
    BeforeValidator(
        words(
            r"@[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?(?:/[A-Za-z0-9_-](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?)*"
            r"|[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
            "a name as CODEOWNERS has it (@person, @organization/team) or an e-mail address",
        )
    ),
    WithJsonSchema({"type": "string", "examples": ["@example/platform"]}),
]
"""Somebody who reviews, as GitHub and GitLab name them: "@example/platform"."""

Email = Annotated[
    str,
    BeforeValidator(words(r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address")),
    _schema("@", "ops@example.com"),
]
"""An e-mail address."""

CertificateArn = Annotated[
    str,
    BeforeValidator(
        words(
            r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]+",
            "the ARN of a certificate (arn:aws:acm:<region>:<account>:certificate/<id>)",
        )
    ),
    _schema("^arn:aws", "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b2c3d"),
]
"""The Amazon Resource Name of a certificate in AWS Certificate Manager."""


def _port(value: int) -> int:
    if not 1 <= value <= 65535:
        raise expected("a port (1 to 65535)", value)
    return value


Port = Annotated[int, AfterValidator(_port)]
"""A TCP or UDP port."""

Generation = Annotated[int, Field(ge=1, le=9999)]
"""Of a secret: part of its Secret's name, raised to rotate it."""

Id = Annotated[str, BeforeValidator(_name), Field(max_length=32), _schema(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "main")]
"""The name of one of several things: it becomes part of a volume's name, which is a DNS label."""
