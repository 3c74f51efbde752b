"""Which keys want a secret, and which values are one: the part of detection that no token's own shape tells."""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache
from itertools import pairwise


def these(words: str) -> frozenset[str]:
    """Words, as a set."""
    return frozenset(words.split())


_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_PASSWORDS = ("password", "passwd", "passphrase", "passcode", "passwort")
_SECRETS = ("secret", "token", "apikey", "credential", "cred", "macaroon")
_WHOLE = these("pass pwd pw pepper psk pin bearer creds auths userpass storepass keypass")
_OF_KEYS = these(
    "access account admin api app application auth authentication bot cipher client consumer cookie deploy encryption"
    " encrypt hmac jwt license macaroon master private root secret service session shared sign signing ssh storage"
    " symmetric tsig unseal webhook webhooks write ingest recaptcha"
)
# A value that a program makes up, or a place where the value is: the fleet's own words among them.
_NO_VALUE = these(
    "true false yes no on off null none ~ random signing-key given copied required optional disabled enabled volume"
    " secret redacted [redacted] xxx xxxx **** ***** ****** ******** *** ..."
)
# Variables, paths, templates, anchors and tags; addresses of files and stores. A password may begin with their signs.
_REFERENCE = re.compile(
    r"\$(?:[A-Z_][A-Z0-9_]*\b|[a-z_]+$|\{|\(|\d$)|(?:\.{0,2}|~)/(?:[a-z][a-z0-9_.-]*/?)*$|<[^<>]*>?$|\{\{?[^{}]*"
    r"|\[[^\]]*\]?$|[&*][a-z_]+$|%(?:[sdqv]\b|\(|\{)|[|>][+-]?\d?$|`|!!?[A-Za-z]*(?: |$)|@[\w./-]+$"
    r"|(?:file|env|vault|https?|op|ref\+\w+):|ENV\[|SECRET\[|(?:os\.)?env\b"
)
_NAMES_A_SECRET = re.compile(r"(?i)(?:tls|ca|pull|issuer|root|image|ingress)[_-]?secrets?$")
_PUBLIC = these(
    "public pub cert certificate certs ca bundle cabundle fingerprint thumbprint digest checksum hash sha sha1 sha256"
    " sha512 integrity recipient recipients verify revision etag crl csr known hosts modulus"
)
_DIGEST = re.compile(
    r"(?:sha\d+|md5|blake\w*)[:=-]$|(?:ssh-(?:ed25519|rsa|dss)|ecdsa-\S+|sk-\S+) $|;base64,$|data:\S*,$"
)
RANDOM = re.compile(r"[A-Za-z0-9+/_-]{22,}={0,2}")
WORDS = re.compile(r"(?i)pass|pwd|secret|token|key|cred|pepper|psk|\bpin\b|\bpw\b|bearer|auth|macaroon")
"""A cheap first look: no key of a secret is without one of these."""


@lru_cache(maxsize=65536)
def words(key: str) -> tuple[str, ...]:
    """A key's words, in lower case: camel case, hyphens, dots and underscores part them."""
    return tuple(word.lower() for word in _WORD.findall(key))


@lru_cache(maxsize=65536)
def wants(key: str) -> str:
    """What a key wants: "password", "secret", "key", or nothing."""
    if not WORDS.search(key) or _NAMES_A_SECRET.search(key):
        return ""
    found = words(key)
    # smtp_pass_1, password2, TOKEN_OLD.
    while found and (
        found[-1].isdigit() or found[-1] in ("old", "new", "previous", "current", "plain", "plaintext", "value")
    ):
        found = found[:-1]
    if not found:
        return ""
    last = found[-1].removesuffix("s") if found[-1] not in _WHOLE else found[-1]
    if last.endswith(_PASSWORDS) or last in _WHOLE or (last == "pas" and len(found[-1]) == 4):
        return "password"
    if last.endswith(_SECRETS):
        return "secret"
    if len(found) > 1 and (last == "key" or (last == "data" and found[-2] == "key")) and _OF_KEYS & set(found[:-1]):
        return "" if _PUBLIC & set(found) else "key"
    if last.endswith(("privatekey", "secretkey", "accesskey", "signingkey", "encryptionkey", "authkey")):
        return "key"
    return ""


def public(key: str) -> bool:
    """Whether a key says that its value is for everybody: a certificate, a digest, a recipient."""
    return key in ("old_signing_keys", "verify_keys") or not _PUBLIC.isdisjoint(words(key))


def is_value(wanted: str, value: str) -> bool:
    """Whether a value below a key that wants one is the secret itself, and no reference to it, flag or number."""
    value = value.strip()
    if not value or value.lower() in _NO_VALUE or _REFERENCE.match(value):
        return False
    if value.isdigit():
        # Generations and numbers of tokens; a PIN has four digits or more.
        return wanted == "password" and len(value) >= 4
    if wanted == "key":
        return " " not in value and len(value) >= 8 and strong(value)
    return True


def strong(value: str) -> bool:
    """Whether a word is none that a person would write in prose, or give a thing as its name."""
    if not 6 <= len(value) <= 4096 or " " in value or _REFERENCE.match(value):
        return False
    letters = sum(map(str.isalpha, value))
    numbers = sum(map(str.isdigit, value))
    mixed = any(map(str.islower, value)) and any(map(str.isupper, value[1:]))
    return (
        bool(letters)
        and bool(numbers or mixed)
        and not re.fullmatch(r"[a-z0-9]+(?:[.-](?:[a-z]+\d*|\d+))+\.?|v?\d+(?:[.:]\d+)*\w?", value)
    )


def is_random(token: str, before: str) -> bool:
    """Whether a long word was drawn by lot, of letters of both cases and digits: no key need say what it is.

    Hexadecimal words are left to their keys: digests and UUIDs look the same."""
    if _DIGEST.search(before) or token.startswith(
        ("AAAA", "age1", "iVBOR", "/9j/", "R0lGOD", "PHN2Zy", "data", "LS0t", "ELBSecurityPolicy-")
    ):
        return False
    kinds = [2 if each.isdigit() else each.isupper() if each.isalpha() else 3 for each in token.rstrip("=")]
    if not {0, 1, 2} <= {int(kind) for kind in kinds}:
        return False
    changes = sum(one != other for one, other in pairwise(kinds)) / (len(kinds) - 1)
    counts = Counter(token)
    entropy = -sum(count / len(token) * math.log2(count / len(token)) for count in counts.values())
    return changes >= 0.4 and entropy >= 3.6
