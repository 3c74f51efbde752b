"""Walking a text for secrets that a key tells of: YAML and JSON, in each other and in base64, and lines of any kind.

Nothing is built from YAML here but nodes, and each node is seen once: an alias costs nothing, whatever it stands for.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import yaml

from matrixfleet.leaks.words import RANDOM, WORDS, is_random, is_value, public, strong, these, wants

DEEPEST = 100
"""Levels of nesting: libyaml's tree is built by recursion, and ends the process where the stack does."""
_LAYERS = 5
_VALUES = these(
    "value values data text content literal string raw inline plain plaintext default stringData current old new"
)
_NAMES = ("name", "key", "variable", "var", "envName", "env")
_REFERENCES = frozenset(
    ("secretKeyRef", "configMapKeyRef", "remoteRef", "secretRef", "fieldRef", "valueFrom", "resourceFieldRef")
)
_FLAG = re.compile(r"--?([A-Za-z][\w.-]*)")
_LINE = re.compile(
    r"""\s*(?:export\s+|set\s+|local\s+|readonly\s+|ENV\s+|-\s+|[{,]\s*)*["']?([\w./-]+)["']?\s*(?:=>|:=|[:=])\s*(.+)"""
)
_KEY = re.compile(r"""[\s{,-]*["']?([\w.-]+)["']?\s*[:=]""")
_INLINE = re.compile(r"""["']?([A-Za-z][\w./-]*)["']?(?:\s+(?:was|is))?\s*[:=]+\s*["']?([^\s"',;)}\]]+)""")
_FLAGGED = re.compile(r"""(?<!\S)--?([A-Za-z][\w.-]*)(?:=|\s+)["']?([^\s"'$<{(-][^\s"']*)""")
_SPACED = re.compile(r"""(?i)\b(\w*(?:password|passwd|passphrase|secret|token))\s+["']?([^\s"',;:)]+)""")
_COMMENT = re.compile(r"(?:^|\s)#(.*)")
_ENCODED = re.compile(r"[A-Za-z0-9+/_\s-]{16,}={0,2}\s*")
_PUBLIC_BLOCK = re.compile(
    r"-----BEGIN (?:[A-Z0-9 ]*CERTIFICATE(?: REQUEST)?|X509 CRL|[A-Z0-9 ]*PUBLIC KEY(?: BLOCK)?|(?:DH|EC) PARAMETERS|"
    r"PGP SIGNATURE|PKCS7|CMS)-----.*?-----END [A-Z0-9 ]+-----",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that looks secret. Its value is for comparing, and never shown."""

    line: int
    key: str
    kind: str
    value: str = field(repr=False)

    @property
    def shown_key(self) -> str:
        """The key, without the secret that it may be itself."""
        key = self.key.partition(self.value)[0].rstrip(".") if self.value else self.key
        return "".join(each if each.isprintable() else "?" for each in key)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value or key, as a program reads it, and the lines on which it is written."""

    text: str
    key: str
    first: int
    last: int


class TooDeep(Exception):
    """A text that nests deeper than anybody writes."""

    def __init__(self, line: int) -> None:
        self.line = line
        super().__init__(f"nested deeper than {DEEPEST} levels")


def compose(text: str) -> list[yaml.Node]:
    """The documents of a YAML or JSON text as nodes. Raises TooDeep and yaml.YAMLError."""
    depth = 0
    # Events first: libyaml tells them one after the other, however deep.
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
            if depth > DEEPEST:
                raise TooDeep(event.start_mark.line + 1 if event.start_mark else 0)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
    return [node for node in yaml.compose_all(text, Loader=yaml.CSafeLoader) if node is not None]


class Walk:
    """One text, walked: the leaks that keys tell of, and every scalar, for whoever knows more shapes."""

    def __init__(self, text: str, *, structured: bool) -> None:
        self.leaks: list[Leak] = []
        self.scalars: list[Scalar] = []
        self._seen: set[tuple[int, str, bool]] = set()
        self._kept: list[yaml.Node] = []
        # A byte that is no UTF-8 is no part of a secret, and no parser takes it.
        text = text.encode("utf-8", "replace").decode()
        if not (structured and self._structure(text, lambda line: line, "", 0)):
            self._text(text, lambda line: line, "", 0)

    def _structure(self, text: str, line: Callable[[int], int], key: str, layer: int) -> bool:
        """Whether a text is YAML or JSON with keys in it, which are walked."""
        try:
            nodes = compose(text)
        except yaml.YAMLError:
            return False
        if not any(isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) for node in nodes):
            return False
        self._kept.extend(nodes)
        for node in nodes:
            self._node(node, line, key, "", layer, known=False)
        for number, each in enumerate(text.split("\n"), 1):
            self._comment(each, line(number), key)
        return True

    def _node(
        self, node: yaml.Node, line: Callable[[int], int], key: str, wanted: str, layer: int, *, known: bool
    ) -> None:
        mark = (id(node), wanted, known)
        if mark in self._seen:
            return
        self._seen.add(mark)
        if isinstance(node, yaml.ScalarNode):
            self._scalar(node, line, key, wanted, layer, known=known)
        elif isinstance(node, yaml.SequenceNode):
            flagged = ""
            for index, item in enumerate(node.value):
                self._node(item, line, f"{key}[{index}]", wanted or flagged, layer, known=known)
                flag = _FLAG.fullmatch(item.value) if isinstance(item, yaml.ScalarNode) else None
                flagged = wants(flag[1]) if flag else ""
        elif isinstance(node, yaml.MappingNode):
            self._mapping(node, line, key, wanted, layer, known=known)

    def _mapping(
        self, node: yaml.MappingNode, line: Callable[[int], int], key: str, wanted: str, layer: int, *, known: bool
    ) -> None:
        pairs = [
            (str(name.value) if isinstance(name, yaml.ScalarNode) else "", name, value) for name, value in node.value
        ]
        plain = {name: value for name, _, value in pairs}
        kind = plain.get("kind")
        if isinstance(kind, yaml.ScalarNode) and kind.value == "Secret":
            for part in ("data", "stringData"):
                held = plain.get(part)
                if isinstance(held, yaml.MappingNode) and held.value:
                    found = held.value[0][1]
                    self._found(
                        line(held.start_mark.line + 1),
                        f"{key}.{part}",
                        "a Secret with data",
                        str(getattr(found, "value", "")),
                    )
        # {name: PGPASSWORD, value: ...}: the one says what the other is.
        named = next((plain[name].value for name in _NAMES if isinstance(plain.get(name), yaml.ScalarNode)), "")
        for name, at, value in pairs:
            bare = name.lstrip("~=")
            below = f"{key}.{bare}" if key else bare
            self._node(at, line, key, "", layer, known=True)
            if bare in _REFERENCES:
                inner = ""
            elif bare in _VALUES:
                inner = wanted or wants(str(named))
            else:
                inner = wants(bare)
            if " " in bare and inner and not (isinstance(value, yaml.ScalarNode) and strong(str(value.value))):
                # "The token: it is in the store": prose, and no key.
                inner = ""
            self._node(value, line, below, inner, layer, known=known or public(bare))

    def _scalar(
        self, node: yaml.ScalarNode, line: Callable[[int], int], key: str, wanted: str, layer: int, *, known: bool
    ) -> None:
        text = str(node.value)
        start, end = node.start_mark, node.end_mark
        block = node.style in ("|", ">")
        first = line(start.line + 1)
        last = line(max(start.line, end.line - 1 if block or end.column == 0 else end.line) + 1)
        if node.tag == "tag:yaml.org,2002:binary":
            text = _decoded(text) or text
        self.scalars.append(Scalar(text, key, first, max(first, last)))
        if wanted and is_value(wanted, text) and not text.lstrip().startswith(("-----BEGIN CERT", "-----BEGIN PUBLIC")):
            kind = (
                "a literal where a password belongs" if wanted == "password" else f"a literal where a {wanted} belongs"
            )
            self._found(first, key, kind, text)
        elif len(text) > 5:
            inner: Callable[[int], int] = (
                (lambda number: line(start.line + 1 + number)) if node.style == "|" else (lambda _: first)
            )
            self._text(text, inner, key, layer, known=known)

    def _text(self, text: str, line: Callable[[int], int], key: str, layer: int, *, known: bool = False) -> None:
        """A string, or a file that has no structure of its own."""
        nested = False
        if layer < _LAYERS:
            if ("\n" in text or ":" in text or text[:1] in "{[") and (WORDS.search(text) or "\\" in text):
                nested = self._nested(text, line, key, layer)
            if _ENCODED.fullmatch(text) and (decoded := _decoded(text)):
                self.scalars.append(Scalar(decoded, key, line(1), line(1)))
                if "-----BEGIN CERTIFICATE" not in decoded:
                    self._text(decoded, lambda _: line(1), key, layer + 1, known=known)
                return
        if WORDS.search(text):
            for number, each in enumerate(text.split("\n"), 1):
                if WORDS.search(each):
                    for kind, value in assignments(each):
                        self._found(line(number), key, kind, value)
        if not known and not nested:
            self._random(text, line, key)

    def _nested(self, text: str, line: Callable[[int], int], key: str, layer: int) -> bool:
        """Whether a string is YAML or JSON, which is walked."""
        if text[:1] in "{[":
            try:
                text = json.dumps(json.loads(text), indent=0) if "\n" not in text and "\\" in text else text
            except (ValueError, RecursionError):
                return False
        elif "\n" not in text and ": " not in text:
            return False
        try:
            return self._structure(text, line, key, layer + 1)
        except TooDeep:
            return False

    def _random(self, text: str, line: Callable[[int], int], key: str) -> None:
        if "-----BEGIN" in text:
            text = _PUBLIC_BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
        for match in RANDOM.finditer(text):
            before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            name = _KEY.match(before)
            if is_random(match[0], before[-12:]) and not (name and public(name[1])):
                self._found(line(text.count("\n", 0, match.start()) + 1), key, "a random value", match[0])

    def _comment(self, text: str, line: int, key: str) -> None:
        """What a line of YAML says after a #, which no parser hands on."""
        comment = _COMMENT.search(text)
        if comment and (WORDS.search(comment[1]) or RANDOM.search(comment[1])):
            for kind, value in assignments(comment[1]):
                self._found(line, key, kind, value)
            self._random(comment[1], lambda _: line, key)

    def _found(self, line: int, key: str, kind: str, value: str) -> None:
        self.leaks.append(Leak(line, key, kind, value))


def assignments(text: str) -> Iterator[tuple[str, str]]:
    """Kind and value of each secret that a line of some configuration, script or prose sets."""
    line = text.strip().rstrip(",;")
    whole = _LINE.fullmatch(line)
    if whole and (wanted := wants(whole[1])):
        value = whole[2].strip()
        quoted = value[:1] in "\"'" and len(value) > 1 and value[-1] == value[0]
        value = value[1:-1] if quoted else re.sub(r"\s+[#;].*", "", value)
        if (quoted or " " not in value) and is_value(wanted, value):
            yield f"a literal where a {wanted} belongs", value
            return
    for pattern in (_FLAGGED, _INLINE, _SPACED):
        for match in pattern.finditer(line):
            wanted = wants(match[1])
            value = match[2].rstrip(".,")
            if wanted and is_value(wanted, value) and (strong(value) or (pattern is _FLAGGED and wanted != "key")):
                yield f"a literal where a {wanted} belongs", value


def _decoded(text: str) -> str:
    """What a text says in base64, where that is text."""
    packed = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        raw = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
        said = raw.decode("utf-8")
    except (binascii.Error, ValueError):
        return ""
    return said if said.isprintable() or all(each.isprintable() or each in "\n\r\t" for each in said) else ""
