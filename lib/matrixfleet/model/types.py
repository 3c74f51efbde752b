"""The words an operator may write: quantities, durations, names, networks. Each says what it expects."""

from __future__ import annotations

import ipaddress
import math
import re
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

_BINARY = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}
_DECIMAL = {"k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_QUANTITY = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>[a-zA-Z]*)")
_DURATION = re.compile(r"(?P<number>[0-9]+)(?P<unit>s|m|h|d|w|y)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
# What ends in a number is an address, in one of many spellings (WHATWG URL, "ends in a number").
_DNS_NAME = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+\Z|0x[0-9a-f]*\Z){_LABEL}")
_PERCENT = r"%(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e]|[89A-Fa-f][0-9A-Fa-f])"
_CHARACTER = rf"(?:[A-Za-z0-9._~()*+,;=:@/&-]|{_PERCENT})"
# RFC 3986 without user information, percent-encoded control characters, and what shells read in double quotes or
# single ones: the apostrophe, $ and !.
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?P<port>:[1-9][0-9]{{0,4}})?"
    rf"(?:/{_CHARACTER}*)?(?:\?(?:{_CHARACTER}|\?)*)?(?:#(?:{_CHARACTER}|\?)*)?"
)
LONGEST_LINE, LONGEST_TEXT, LONGEST_URL = 255, 65536, 2048
# Letters and signs that are drawn as nothing, beside those that str.isprintable knows (Unicode's
# Default_Ignorable_Code_Point; the selectors of emoji, U+FE0F and U+FE0E, are left).
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)


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


_MOST = 2**63
"""Bytes that a quantity of Kubernetes cannot hold (apimachinery, pkg/api/resource, int64)."""


def _memory(value: Any) -> str:
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if not match or match["unit"] not in _BINARY:
        hint = ""
        if match and match["unit"].rstrip("bB").capitalize() + "i" in _BINARY:
            hint = f"did you mean {match['number']}{match['unit'].rstrip('bB').capitalize()}i?"
        elif isinstance(value, int):
            hint = f"did you mean {value}Gi?"
        raise expected("a size with a binary unit (Ki, Mi, Gi, Ti)", value, hint)
    if len(match["number"]) > 15 or bytes_of(value) >= _MOST:
        raise expected("less than 8Ei, the most that Kubernetes counts", value[:40])
    if bytes_of(value) < _BINARY["Mi"]:
        raise expected("1Mi or more", value)
    return str(value)


def _cpu(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]+m|[0-9]+(\.[0-9]{1,3})?", value):
        raise expected("CPU in cores (2, 0.5) or millicores (500m)", value)
    if len(value) > 12:
        raise expected("less CPU than a billion cores", value[:40])
    if not millicores_of(value):
        raise expected("1m CPU or more", value)
    return value


def _duration(value: Any) -> str:
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        hint = f"did you mean {value}s?" if isinstance(value, int) else ""
        raise expected("a duration with a unit (s, m, h, d, w, y)", value, hint)
    if not seconds_of(value):
        raise expected("1s or more", value, "leave the key out for no limit")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _DNS_LABEL.fullmatch(value) or len(value) > 63:
        raise expected("a DNS label (lower case letters, digits and '-', 63 at most)", value)
    return value


def _object_name(value: Any) -> str:
    if not isinstance(value, str) or not _SUBDOMAIN.fullmatch(value) or len(value) > 253:
        raise expected("a name of Kubernetes (lower case letters, digits, '-' and '.', 253 at most)", value)
    return value


def _host(value: Any) -> str:
    if not isinstance(value, str) or not _DNS_NAME.fullmatch(value) or len(value) > 253 or "." not in value:
        hint = "write the name alone, without scheme or port" if "/" in str(value) or ":" in str(value) else ""
        if isinstance(value, str) and value != value.lower() and _DNS_NAME.fullmatch(value.lower()):
            hint = f"did you mean {value.lower()}?"
        raise expected("a host name (chat.example.com)", value, hint)
    return value


def _version_4(value: ipaddress.IPv6Address | ipaddress.IPv6Network) -> str:
    """The IPv4 form of an address or a network of ::ffff:0:0/96, which some programs read as one and some as the
    other; "" for any other."""
    if isinstance(value, ipaddress.IPv6Address):
        return str(value.ipv4_mapped or "")
    mapped = value.network_address.ipv4_mapped
    return f"{mapped}/{value.prefixlen - 96}" if mapped and value.prefixlen >= 96 else ""


def _canonical(value: str, read: Callable[[str], object]) -> str:
    """The one spelling of an address or a network. Raises ValueError where there is none."""
    # A zone (fe80::1%eth0) names an interface of one machine: ipaddress keeps it, firewalls and Kubernetes refuse it.
    found = read(value.partition("%")[0] + ("/" + value.partition("/")[2] if "%" in value and "/" in value else ""))
    mapped = _version_4(found) if isinstance(found, ipaddress.IPv6Address | ipaddress.IPv6Network) else ""
    return mapped or str(found)


def _spelled(value: Any, what: str, read: Callable[[str], object], near: Callable[[str], object]) -> str:
    hint = ""
    with suppress(ValueError):
        if isinstance(value, str) and _canonical(value, read) == value:
            return value
    with suppress(ValueError):
        hint = f"did you mean {_canonical(value, near)}?" if isinstance(value, str) else ""
    raise expected(what, value, hint)


def _cidr(value: Any) -> str:
    return _spelled(
        value,
        "a network in CIDR form (10.0.0.0/8)",
        ipaddress.ip_network,
        lambda said: ipaddress.ip_network(said, strict=False),
    )


def _address(value: Any) -> str:
    return _spelled(value, "an IP address (203.0.113.7)", ipaddress.ip_address, ipaddress.ip_address)


def host_or_address(host: str) -> bool:
    """Whether it is a host name or an address, in the spelling that all programs read alike."""
    try:
        return bool(_address(host.removeprefix("[").removesuffix("]"))) and (":" in host) == host.startswith("[")
    except PydanticCustomError:
        return bool(_DNS_NAME.fullmatch(host)) and len(host) <= 253


def _url(value: Any, what: str, schemes: tuple[str, ...]) -> str:
    match = _URL.fullmatch(value) if isinstance(value, str) and len(value) <= LONGEST_URL else None
    right = match and match["scheme"] in schemes and host_or_address(match["host"])
    if match is None or not right or int((match["port"] or ":1")[1:]) > 65535:
        raise expected(what, value, _url_hint(str(value), schemes))
    return str(value)


def _url_hint(said: str, schemes: tuple[str, ...]) -> str:
    """What a person may have meant who wrote no URL."""
    scheme, _, rest = said.partition("://")
    server = re.split(r"[/?#]", rest, maxsplit=1)[0]
    lower = f"{scheme.lower()}://{server.lower()}{rest[len(server) :]}"
    if rest and lower != said and _URL.fullmatch(lower):
        return f"did you mean {lower}?"
    if "@" in server:
        return "no user or password in it: credentials are Secrets"
    if not said.isascii():
        return "write a host's name in punycode (xn--...) and other characters percent-encoded (%C3%A4)"
    if found := re.search(r"[\x00-\x20\x7f\"'$!`\\<>{}|^]", said):
        seen = found[0].isprintable()
        return f"{found[0]!r} is percent-encoded (%{ord(found[0]):02X})" if seen else "one line, no spaces"
    if scheme in schemes:
        return "a host name or an address in its usual spelling, a port from 1 to 65535, no encoded control characters"
    return ""


def _https_url(value: Any) -> str:
    return _url(value, "an https:// address", ("https",))


def _http_url(value: Any) -> str:
    return _url(value, "an http:// or https:// address", ("http", "https"))


def unseen(text: str) -> str:
    """The first character that nobody sees or that is not what it looks like, as people look it up; "" if none."""
    for place, one in enumerate(text, 1):
        if not one.isprintable() or _UNSEEN.match(one):
            return f"character {place} is U+{ord(one):04X} {unicodedata.name(one, '')}".rstrip()
    return ""


def _line(value: str) -> str:
    """One line that reads as it is: no control character, none that is drawn as nothing or turns the direction."""
    hint = unseen(value) or ("no space at its ends" if value.strip() != value else "")
    if hint or not value or len(value) > LONGEST_LINE:
        raise expected(f"one line of visible text, 1 to {LONGEST_LINE} characters", value[: LONGEST_LINE + 1], hint)
    return value


def _title(value: str) -> str:
    if found := re.search("[<>]", value):
        raise expected(
            "text without < and >, since it stands in a web page", value, f"{found[0]!r} opens or ends a tag"
        )
    return value


def _text(value: str) -> str:
    """Lines of visible text."""
    found = ((number, unseen(line)) for number, line in enumerate(value.split("\n"), 1))
    hint = next((f"line {number}: {what}" for number, what in found if what), "")
    if hint or not value.strip() or len(value) > LONGEST_TEXT:
        raise expected(f"lines of visible text, {LONGEST_TEXT} characters at most", value[:40], hint)
    return value


def plain_data(value: Any, depth: int = 6) -> Any:
    """What another program's configuration may hold: mappings, lists, numbers and lines. Raises what pydantic takes
    for a fault."""
    if isinstance(value, dict) and depth:
        return {_line(str(key)): plain_data(one, depth - 1) for key, one in value.items()}
    if isinstance(value, list | tuple) and depth:
        return [plain_data(one, depth - 1) for one in value]
    if isinstance(value, str):
        return _line(value) if value else value
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise expected("plain data: mappings and lists (6 deep at most), numbers, true, false, lines of text", value)


def unlike(values: Iterable[str], what: str) -> None:
    """Raise what pydantic takes for a fault where a value is there twice."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise expected(f"{what}, each once", value, "it is there twice")
        seen.add(value)


def words(pattern: str, what: str) -> Callable[[Any], str]:
    """A validator of text that a pattern matches in whole."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise expected(what, value)
        return value

    return check


def _schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


def at_least(quantity: str, why: str = "") -> AfterValidator:
    """A validator of quantities that are large enough."""

    def check(value: str) -> str:
        if bytes_of(value) < bytes_of(quantity):
            raise expected(f"{quantity} or more", value, why)
        return value

    return AfterValidator(check)


def at_most(quantity: str, why: str = "") -> AfterValidator:
    """A validator of quantities that are small enough."""

    def check(value: str) -> str:
        if bytes_of(value) > bytes_of(quantity):
            raise expected(f"{quantity} or less", value, why)
        return value

    return AfterValidator(check)


Memory = Annotated[str, BeforeValidator(_memory), _schema(r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti)$", "10Gi")]
"""Memory or storage, with a binary unit: "512Mi", "10Gi"."""

Cpu = Annotated[str, BeforeValidator(_cpu), WithJsonSchema({"type": ["string", "number"], "examples": ["500m", 2]})]
"""CPU in cores or millicores: 2, "500m"."""

Duration = Annotated[str, BeforeValidator(_duration), _schema(r"^[0-9]+(s|m|h|d|w|y)$", "5m")]
"""A length of time as Synapse writes it: "30s", "5m", "90d"."""

Name = Annotated[str, BeforeValidator(_name), _schema(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "acme")]
"""A Kubernetes name: one DNS label."""

ObjectName = Annotated[
    str, BeforeValidator(_object_name), _schema(r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", "gp3.encrypted")
]
"""The name of most objects of Kubernetes, a DNS subdomain: what somebody else named."""

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

Line = Annotated[str, AfterValidator(_line)]
"""One line of text that people read."""

Title = Annotated[Line, AfterValidator(_title)]
"""A line that stands in a web page, which may take it for its own code."""

Text = Annotated[str, AfterValidator(_text)]
"""Text of several lines."""

Plain = Annotated[Any, BeforeValidator(plain_data)]
"""A value in another program's configuration."""

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
    BeforeValidator(
        words(
            rf"[A-Za-z0-9]+([._+-][A-Za-z0-9]+)*@(?=.{{1,253}}\Z)(?i:{_LABEL}\.)+(?![0-9]+\Z)(?i:{_LABEL})",
            "an e-mail address (letters, digits and . _ + - before the @)",
        )
    ),
    _schema("@", "ops@example.com"),
]
"""An e-mail address. Programs read it as a template (Alertmanager's `to`) or a format (Synapse's `notif_from`): it has
none of their signs."""

UserName = Annotated[
    str,
    BeforeValidator(words(r"[A-Za-z0-9][A-Za-z0-9._+@=/-]{0,254}", "a user name (letters, digits and . _ + @ = / -)")),
]
"""A user that a program logs in as."""

Token = Annotated[
    str,
    BeforeValidator(
        words(r"[A-Za-z0-9][A-Za-z0-9._~:/@+=-]{0,254}", "one word (letters, digits and . _ ~ : / @ + = -)")
    ),
]
"""A word of OAuth: a client, a scope, a claim."""

Path = Annotated[
    str, BeforeValidator(words(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", "words of letters, digits, _ and - joined by '/'"))
]
"""A path in a store, without a slash at its ends."""

LabelKey = Annotated[
    str,
    BeforeValidator(
        words(
            rf"((?=[^/]{{1,253}}/){_LABEL}(\.{_LABEL})*/)?[A-Za-z0-9]([A-Za-z0-9._-]{{0,61}}[A-Za-z0-9])?",
            "the key of a label (app.kubernetes.io/name)",
        )
    ),
]
"""The key of a label or an annotation: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels."""

LabelValue = Annotated[
    str,
    BeforeValidator(
        words(
            r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?",
            "the value of a label (letters, digits, '-', '_' and '.', 63 at most)",
        )
    ),
]
"""The value of a label."""

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


def _id(value: Any) -> str:
    if len(_name(value)) > 32:
        raise expected("a name of 32 characters or fewer", value, "it is part of the names of objects and volumes")
    return str(value)


Id = Annotated[str, BeforeValidator(_id), _schema(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "main")]
"""The name of one of several things: it becomes part of a volume's name, which is a DNS label."""
