"""Nothing secret is in compiled/: no Secret with data, no key, no token, no password.

What was once committed is known to everybody who ever reads the repository. Findings say where, never what.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from matrixfleet.checks.tree import Finding, Tree

# Each begins with characters that stand for themselves: such a search costs next to nothing.
SHAPES = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a token of GitHub": r"gh[pousr]_[A-Za-z0-9]{30}|github_pat_\w{30}",
    "an access key of AWS": r"AKIA[0-9A-Z]{16}",
    "a token of Slack": r"xox[abeoprs]-[A-Za-z0-9-]{10}",
    "a JSON Web Token": r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8}",
    "an access token of Synapse": r"syt_[A-Za-z0-9+/=_-]+_[A-Za-z]{20}_[A-Za-z0-9]{6}",
    "a signing key of Synapse": r"ed25519 a_\w+ [A-Za-z0-9+/]{43}",
    "a reference of Kapitan": r"\?\{[a-z0-9]+:",
    "credentials in an address": r"://[^/\s:@\"']+:[^/\s@\"'$]+@",
}
PATTERNS = {kind: re.compile(shape) for kind, shape in SHAPES.items()}
WORDS = re.compile(r"passw|passphrase|secret|token|api_?-?key|access[_-]key")
_NAME = r"(?:[\w.-]*[_.-])?(?:passw(?:or)?d|passphrase|secret|(?:secret|access)[_-]key|api[_-]?key|token)"
# serverTLSSecret and serverCASecret name a Secret.
_CAMEL = r"\w*(?:Password|Passphrase|(?<!TLS)(?<!CA)Secret|SecretAccessKey|ApiKey|Token)"
# A literal: no path, no variable, no call, no flag, no reference of Vector's to a file (SECRET[...]). `random` and
# the like are how the bootstrap Job comes by a value, and not the value.
_NO_LITERAL = r"(?!(?:true|false|null|none|random|signing-key|given|copied)\b|SECRET\[)"
_LITERAL = _NO_LITERAL + r"[^\s\"'/$%(<{\[|>&*!~,:;#][^\s\"'(${]*"
KEYED = re.compile(
    rf"\s*(?:- )?(?:[{{,]\s*)?[\"']?(?:(?i:{_NAME})|{_CAMEL})[\"']?\s*[:=]\s*[\"']?{_LITERAL}[\"']?[\s,;}}]*"
)
ENVIRONMENT = re.compile(
    rf"- name: (?i:\w*(?:PASSWORD|PASSPHRASE|SECRET|TOKEN|API_?KEY|ACCESS_KEY))\n\s+value: [\"']?{_LITERAL}"
)


def check(tree: Tree) -> Iterator[Finding]:
    """Objects by kind, then every text by what it holds."""
    for entry in tree.of_kind("Secret"):
        if entry.doc.get("data") or entry.doc.get("stringData"):
            yield tree.finding(entry, "secret-material", "expected no data in git; it is made in the cluster")
    for path, text in tree.texts.items():
        for line, kind in material(text):
            message = f"line {line}: {kind}; expected no secret in git: revoke it, then name it and mount it"
            yield Finding(f"{tree.root}/{path}", "secret-material", message)


def material(text: str) -> Iterator[tuple[int, str]]:
    """Line and kind of what looks secret."""
    for kind, pattern in PATTERNS.items():
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, kind
    for match in ENVIRONMENT.finditer(text):
        yield text.count("\n", 0, match.start()) + 2, "a literal in an environment variable for a secret"
    lower = text.lower()
    if WORDS.search(lower):
        for number, (line, plain) in enumerate(zip(text.split("\n"), lower.split("\n"), strict=True), 1):
            likely = "pass" in plain or "secret" in plain or "token" in plain or "key" in plain
            if likely and KEYED.fullmatch(line):
                yield number, "a literal where a password, secret or key belongs"
