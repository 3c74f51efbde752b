"""Where images are pinned: rows of release classes, and base images of Dockerfiles. Found, compared and rewritten.

Files are edited at the place of a digest alone, so that comments, order and quotes stay as somebody wrote them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from matrixfleet.errors import Fault, FleetError
from matrixfleet.inventory import Key, Source
from matrixfleet.inventory.source import dotted
from matrixfleet.model import Fleet, Image

DOCKERFILES = "images/**/Dockerfile*"
RENEW = "matrix-fleet images --renew"
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_REFERENCE = re.compile(
    r"(?P<repository>[a-z0-9][\w.-]*(?::\d+)?(?:/[a-z0-9][a-z0-9._-]*)*):(?P<tag>\w[\w.-]{0,127})"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_INSTRUCTION = re.compile(r"\s*(?P<name>[A-Za-z]+)\s+(?P<rest>.*)")
_HEREDOC = re.compile(r"<<-?([\"']?)(\w+)\1")
_FROM = re.compile(r"(?:--\S+\s+)*(?P<image>\S+)(?:\s+[Aa][Ss]\s+(?P<stage>\S+))?\s*$")
_ARGUMENT = re.compile(r"(?P<name>\w+)=(?P<quote>[\"']?)(?P<image>[^\"'\s]*)(?P=quote)\s*$")
_COPIED = re.compile(r"(?:--|,)from=(?P<image>[^\s,]+)")
_VARIABLE = re.compile(r"\"?\$\{?(\w+)\}?\"?")


@dataclass(frozen=True, slots=True)
class Pin:
    """One place that names an image by its tag, and where its digest is or belongs."""

    path: Path
    file: str
    """The path below the repository's top."""
    line: int
    key: str
    """The dotted key of a row, or the instruction of a Dockerfile."""
    row: str
    """The image's name in the release; "" for a base image."""
    repository: str
    tag: str
    digest: str | None
    start: int
    """Where the digest's text begins in the file, in characters."""
    end: int
    before: str = ""
    """Text that a digest needs before it, where there is none yet."""
    after: str = ""

    @property
    def reference(self) -> str:
        """Repository and tag."""
        return f"{self.repository}:{self.tag}"

    def fault(self, message: str) -> Fault:
        """A fault at this place."""
        return Fault(self.file, self.line, self.key, message)


def pins_of(top: Path, fleet: Fleet) -> list[Pin]:
    """Every place, of releases first. Raises FleetError for one whose digest could not be written."""
    found = [_row(fleet.source, platform, key, image) for platform, key, image in _rows(fleet)]
    return list(dict.fromkeys(_good([*found, *_bases_below(top)])))


def disagreements(top: Path, fleet: Fleet) -> Iterator[Fault]:
    """Digests that cannot all be right: a base image that is not its row's, a row with the digest of another tag.
    Raises FleetError for a base image that cannot be pinned."""
    digests: dict[str, set[str]] = {}
    for _, _, image in _rows(fleet):
        digests.setdefault(f"{image.repository}:{image.tag}", set()).add(image.digest or "no digest")
    for pin in _good(_bases_below(top)):
        wanted, got = digests.get(pin.reference), pin.digest or "no digest"
        if wanted and got not in wanted:
            message = f"expected {' or '.join(sorted(wanted))}, as the release has it for {pin.reference}, got {got}"
            yield pin.fault(f"{message}; run {RENEW}")
    yield from _inherited(fleet)


def _rows(fleet: Fleet) -> Iterator[tuple[str, Key, Image]]:
    """Each image of each release that a platform offers, with its key."""
    for platform in dict.fromkeys(fleet.platform_name(name) for name in fleet.names):
        for release, content in fleet.platform(platform).releases.items():
            for name, image in content.images:
                yield platform, ("releases", release, "images", name), image


def _bases_below(top: Path) -> Iterator[Pin | Fault]:
    for path in sorted(top.glob(DOCKERFILES)):
        yield from _bases(path, str(path.relative_to(top)))


def _good(found: Iterable[Pin | Fault]) -> list[Pin]:
    """The places. Raises FleetError with all faults among them."""
    found = list(found)
    faults = [one for one in found if isinstance(one, Fault)]
    if faults:
        raise FleetError(faults)
    return [one for one in found if isinstance(one, Pin)]


def _inherited(fleet: Fleet) -> Iterator[Fault]:
    """A class that changes a tag, and leaves the digest of the class before it: nodes pull by the digest."""
    for platform, key, image in _rows(fleet):
        if image.digest is None:
            continue
        tags, digests = (fleet.source.said(platform, (*key, part)) for part in ("tag", "digest"))
        if not tags or not digests:
            continue
        order = [str(path.relative_to(fleet.source.inventory.parent)) for path in fleet.source.chain(platform)]
        pinned = order.index(digests[-1].file)
        meant = [one.text for one in tags if order.index(one.file) <= pinned]
        if meant and tags[-1].text != meant[-1]:
            where = f"{digests[-1].file}:{digests[-1].line}"
            message = f"expected a digest beside this tag, got that of {meant[-1]} from {where}; run {RENEW}"
            yield Fault(tags[-1].file, tags[-1].line, dotted((*key, "tag")), message)


def write(pins: Iterable[Pin], digests: Mapping[str, str]) -> list[str]:
    """Write digests by reference. Returns a line for each change. Either every file is written, or none is."""
    places: dict[tuple[Path, int], Pin] = {}
    for pin in pins:
        digest = digests.get(pin.reference)
        if not digest:
            continue
        # Two clusters may read one row, with another repository each: a mirror has the same bytes, or it is none.
        first = places.setdefault((pin.path.resolve(), pin.start), pin)
        if digests[first.reference] != digest:
            told = f"{digests[first.reference]} of {first.reference} and {digest} of {pin.reference}"
            raise FleetError([pin.fault(f"expected one digest for this place, got {told}; nothing is written")])
    # From the end of a file on, so that the places before keep theirs.
    order = sorted(places.items(), key=lambda one: one[0], reverse=True)
    changes = [(path, pin) for (path, _), pin in order if digests[pin.reference] != pin.digest]
    texts: dict[Path, str] = {}
    for path, pin in changes:
        text = texts.get(path) or _text(path)
        texts[path] = text[: pin.start] + pin.before + digests[pin.reference] + pin.after + text[pin.end :]
    _replace(texts)
    return [
        str(pin.fault(f"{pin.reference}: {pin.digest or 'no digest'} -> {digests[pin.reference]}"))
        for _, pin in reversed(changes)
    ]


def _replace(texts: Mapping[Path, str]) -> None:
    """Put new files in the place of old ones, all or none."""
    fresh = {path: path.with_name(f".{path.name}.new") for path in texts}
    done: dict[Path, str] = {}
    try:
        for path, new in fresh.items():
            with new.open("w", encoding="utf-8", newline="") as file:
                file.write(texts[path])
                file.flush()
                os.fsync(file.fileno())
            new.chmod(path.stat().st_mode & 0o7777)
        for path, new in fresh.items():
            done[path] = _text(path)
            new.replace(path)
    except OSError as error:
        for path, text in done.items():
            if not fresh[path].exists():
                with path.open("w", encoding="utf-8", newline="") as file:
                    file.write(text)
        message = f"not written, and nothing else was: {error.strerror}"
        raise FleetError([Fault(str(error.filename or ""), 0, "", message)]) from error
    finally:
        for new in fresh.values():
            new.unlink(missing_ok=True)


def _text(path: Path) -> str:
    """A file's text with its own line ends."""
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def _row(source: Source, platform: str, key: Key, image: Image) -> Pin | Fault:
    """The place of a row: the last file that sets its tag, or a digest after that."""
    tags = source.nodes(platform, (*key, "tag"))
    if not tags:
        message = f"expected tag below this key in a file, got it by reference; {RENEW} could not write its digest"
        return Fault(source.shown(platform), 1, dotted(key), message)
    order = source.chain(platform)
    path, name, value = tags[-1]
    digests = [one for one in source.nodes(platform, (*key, "digest")) if order.index(one[0]) >= order.index(path)]
    if digests:
        path, name, value = digests[-1]
    text = _text(path)
    starts = [0, *(match.end() for match in _BREAK.finditer(text))]
    first, end = (starts[mark.line] + mark.column for mark in (value.start_mark, value.end_mark))
    before = after = ""
    if digests and first == end:
        # `digest:` with nothing after it.
        first = end = text.index(":", starts[name.end_mark.line] + name.end_mark.column) + 1
        before = " "
    elif not digests:
        block = next(value for found, _, value in source.nodes(platform, key) if found == path)
        indent = " " * name.start_mark.column
        newline = next(iter(_BREAK.findall(text)), "\n")
        if isinstance(block, yaml.MappingNode) and block.flow_style:
            before = ", digest: "
        elif isinstance(value, yaml.ScalarNode) and value.style in ("|", ">"):
            # A block scalar ends where the next line begins.
            before, after = f"{indent}digest: ", newline
        else:
            line_end = _BREAK.search(text, end)
            end = line_end.start() if line_end else len(text)
            before = f"{newline}{indent}digest: "
        first = end
    return Pin(
        path,
        str(path.relative_to(source.inventory.parent)),
        name.start_mark.line + 1,
        dotted(key),
        str(key[-1]),
        image.repository,
        image.tag,
        image.digest,
        first,
        end,
        before,
        after,
    )


@dataclass(frozen=True, slots=True)
class _Instruction:
    """A Dockerfile's instruction with the lines that it goes on over."""

    name: str
    text: str
    start: int
    line: int


def _instructions(text: str) -> Iterator[_Instruction]:
    """Instructions of a Dockerfile, without comments and the text of here-documents; continued lines are one."""
    position, open_at, parts, ends = 0, (0, 0), "", [""]
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        here, position = position, position + len(line)
        bare = line.strip()
        if ends[0]:
            if bare == ends[0]:
                ends = ends[1:]
            continue
        if bare.startswith("#") or (not bare and not parts):
            parts += " " * len(line) if parts else ""
            continue
        if not parts:
            open_at = (here, number)
        parts += line
        if bare.endswith("\\"):
            continue
        match = _INSTRUCTION.match(parts.replace("\\\n", "  ").replace("\\\r\n", "   "))
        if match:
            yield _Instruction(match["name"].upper(), match["rest"], open_at[0] + match.start("rest"), open_at[1])
        ends = [*(word for _, word in _HEREDOC.findall(parts)), ""]
        parts = ""


def _bases(path: Path, file: str) -> Iterator[Pin | Fault]:
    """Images that a Dockerfile is built from: its bases, and what it copies or mounts from."""
    text = _text(path)
    stages = {"scratch"}
    arguments: dict[str, tuple[_Instruction, re.Match[str]]] = {}
    for one in _instructions(text):
        if one.name == "ARG":
            match = _ARGUMENT.match(one.text)
            if match:
                arguments[match["name"]] = (one, match)
            continue
        match = _FROM.match(one.text) if one.name == "FROM" else None
        found = [match] if match else list(_COPIED.finditer(one.text)) if one.name in ("COPY", "RUN", "ADD") else []
        for image in found:
            named, place = image["image"], one.start + image.start("image")
            variable = _VARIABLE.fullmatch(named)
            if named.lower() in stages or named.isdigit():
                continue
            if variable and variable[1] in arguments:
                given, default = arguments[variable[1]]
                named, place = default["image"], given.start + default.start("image")
            whole = _REFERENCE.fullmatch(named)
            if whole is None:
                message = f"expected REGISTRY/PATH:TAG, whole or as the default of an ARG, got {named}"
                yield Fault(file, one.line, one.name, f"{message}; its digest could not be written")
                continue
            start, end = place + whole.end("tag"), place + len(named)
            repository, tag, digest = whole["repository"], whole["tag"], whole["digest"]
            yield Pin(path, file, one.line, one.name, "", repository, tag, digest, start, end, "@")
        if match and match["stage"]:
            stages.add(match["stage"].lower())
