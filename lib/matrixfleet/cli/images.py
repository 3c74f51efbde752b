"""`matrix-fleet images`: what the fleet pulls, and the digests of it, which registries are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from matrixfleet.checks import Tree
from matrixfleet.checks.pulled import charts as charts_in
from matrixfleet.checks.pulled import pulled
from matrixfleet.cli.compile import COMPILED, refuse
from matrixfleet.cli.table import table
from matrixfleet.errors import Fault, FleetError, did_you_mean
from matrixfleet.model import Fleet
from matrixfleet.registry.pins import RENEW, Pin, disagreements, pins_of, write

AT_ONCE = 4
"""Registries are asked so many questions at a time."""


@dataclass
class Pulled:
    """One image reference of the fleet."""

    names: list[str]
    """Its rows in the releases; empty for what no release has."""
    reference: str
    repository: str
    tag: str
    digest: str | None
    signature: str | None
    releases: list[str]
    targets: list[str] = field(default_factory=list)
    """Targets whose compiled objects pull it."""


@dataclass
class Chart:
    """One upstream chart that Argo CD renders."""

    chart: str
    version: str
    repository: str
    releases: list[str]
    targets: list[str] = field(default_factory=list)


@dataclass
class Base:
    """One base image of a Dockerfile of ours."""

    file: str
    line: int
    reference: str
    repository: str
    tag: str
    digest: str | None


@dataclass
class Inventory:
    """Everything that the fleet has pulled from elsewhere."""

    images: list[Pulled]
    charts: list[Chart]
    bases: list[Base]


def inventory_of(top: Path) -> Inventory:
    """What compiled objects and releases name. Raises FleetError."""
    fleet = Fleet.read(top / "inventory")
    images: dict[str, Pulled] = {}
    charts: dict[tuple[str, str, str], Chart] = {}
    for name in fleet.names:
        for release, content in fleet.platform(name).releases.items():
            for row, image in content.images:
                found = images.setdefault(
                    image.reference,
                    Pulled([], image.reference, image.repository, image.tag, image.digest, image.signature, []),
                )
                _add(found.names, row)
                _add(found.releases, release)
            for _, one in content.charts:
                key = (one.repository, one.chart, one.version)
                _add(charts.setdefault(key, Chart(one.chart, one.version, one.repository, [])).releases, release)
    tree = Tree.read(top / COMPILED, fleet)
    refuse(tree.broken)
    for entry in tree.objects:
        for reference in pulled(entry.doc):
            if reference not in images:
                repository, tag, digest = _split(reference)
                images[reference] = Pulled([], reference, repository, tag, digest, None, [])
            _add(images[reference].targets, entry.target)
        for repository, chart, version in charts_in(entry.doc) if entry.kind == "Application" else ():
            place = charts.setdefault((repository, chart, version), Chart(chart, version, repository, []))
            _add(place.targets, entry.target)
    bases = [
        Base(pin.file, pin.line, _joined(pin.reference, pin.digest), pin.repository, pin.tag, pin.digest)
        for pin in pins_of(top, fleet)
        if not pin.row
    ]
    return Inventory([images[one] for one in sorted(images)], [charts[one] for one in sorted(charts)], bases)


def _add(words: list[str], word: str) -> None:
    if word not in words:
        words.append(word)


def _joined(reference: str, digest: str | None) -> str:
    return f"{reference}@{digest}" if digest else reference


def _split(reference: str) -> tuple[str, str, str | None]:
    """Repository, tag and digest; a port of a registry is no tag."""
    name, _, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return folder + slash + last, tag, digest or None


def as_json(found: Inventory) -> str:
    """For programs."""
    return json.dumps(asdict(found), indent=2)


def as_table(found: Inventory) -> str:
    """For people."""
    rows = [("IMAGE", "REFERENCE", "DIGEST", "SIGNED", "TARGETS")]
    rows += [
        (
            ", ".join(one.names) or "-",
            f"{one.repository}:{one.tag}",
            (one.digest or "none")[: len("sha256:") + 12],
            "yes" if one.signature else "unknown",
            str(len(one.targets)),
        )
        for one in found.images
    ]
    charts = [("CHART", "VERSION", "REPOSITORY", "TARGETS")]
    charts += [(one.chart, one.version, one.repository, str(len(one.targets))) for one in found.charts]
    bases = [("BASE IMAGE OF", "REFERENCE", "DIGEST")]
    bases += [
        (f"{one.file}:{one.line}", f"{one.repository}:{one.tag}", (one.digest or "none")[: len("sha256:") + 12])
        for one in found.bases
    ]
    bare = [one.digest for one in found.images].count(None) + [one.digest for one in found.bases].count(None)
    unsigned = sum(one.signature is None for one in found.images)
    told = [
        f"{bare} of {len(found.images) + len(found.bases)} without a digest; {RENEW} asks their registries.",
        f"{unsigned} of {len(found.images)} images are not known to be signed; docs/images.md.",
        "A chart is pinned by its version. Images that it or an operator brings are not listed; docs/images.md.",
    ]
    parts = [table(part) for part in (rows, charts, bases) if len(part) > 1]
    return "\n\n".join((*parts, "\n".join(told)))


def renewed(top: Path, names: list[str]) -> str:
    """Write the digests of tags into release classes and Dockerfiles. Raises FleetError, and then wrote nothing."""
    pins = _chosen(top, names)
    digests, faults = _ask(pins)
    if faults:
        done = f"{len(digests)} of {len(digests) + len(faults)} answered"
        raise FleetError([*faults, Fault("", 0, "", f"nothing is written: {done}; name images to renew those alone")])
    lines = write(pins, {reference: digest for reference, (digest, _) in digests.items()})
    single = [f"{one}: an image of one platform" for one, (_, index) in sorted(digests.items()) if not index]
    told = f"{len(digests)} tags asked, {len(lines)} places changed" + ("; run make compile" if lines else "")
    return "\n".join((*lines, *single, told))


def checked(top: Path, names: list[str]) -> str:
    """Compare digests with what tags mean now. Raises FleetError for tags that moved or could not be asked."""
    fleet = Fleet.read(top / "inventory")
    pins = _chosen(top, names)
    pinned = [pin for pin in pins if pin.digest]
    digests, faults = _ask(pinned)
    for pin in pinned:
        now = digests.get(pin.reference, (pin.digest, True))[0]
        if now != pin.digest:
            faults.append(pin.fault(f"{pin.reference} moved: expected {pin.digest}, got {now}; {_still(pin)}"))
    faults += disagreements(top, fleet)
    if faults:
        raise FleetError(faults)
    bare = len(pins) - len(pinned)
    return f"{len(digests)} tags mean what they did" + (f"; {bare} places have no digest to compare" if bare else "")


def _still(pin: Pin) -> str:
    """Whether nodes can go on pulling what is pinned."""
    from matrixfleet.registry.client import Unanswered, ask

    try:
        ask(pin.repository, str(pin.digest))
    except Unanswered as error:
        return f"and what is pinned cannot be pulled any more ({error})"
    return "what is pinned can still be pulled"


def _chosen(top: Path, names: list[str]) -> list[Pin]:
    """The places of some images, or of all; a Dockerfile's base with the row that it is."""
    pins = pins_of(top, Fleet.read(top / "inventory"))
    known = {pin.row for pin in pins if pin.row}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise FleetError(
            Fault("", 0, "", f"no image {name!r} in a release{did_you_mean(name, sorted(known))}") for name in unknown
        )
    wanted = {pin.reference for pin in pins if not names or pin.row in names}
    return [pin for pin in pins if not names or pin.reference in wanted]


def _ask(pins: Iterable[Pin]) -> tuple[dict[str, tuple[str, bool]], list[Fault]]:
    """Each reference's digest, and whether that is an index; and a fault for each that has no answer."""
    from matrixfleet.registry.client import Answer, Unanswered, ask

    first: dict[str, Pin] = {}
    for pin in pins:
        first.setdefault(pin.reference, pin)

    def asked(pin: Pin) -> Answer | Fault:
        try:
            return ask(pin.repository, pin.tag)
        except Unanswered as error:
            return pin.fault(f"{pin.reference}: {error}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = dict(zip(first, pool.map(asked, first.values()), strict=True))
    digests = {one: (answer.digest, answer.index) for one, answer in answers.items() if isinstance(answer, Answer)}
    return digests, [answer for answer in answers.values() if isinstance(answer, Fault)]
