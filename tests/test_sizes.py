"""docs/sizes.md says what the sizes are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from fleets import TOP
from matrixfleet.cli.explain import explain_key
from matrixfleet.model import Fleet
from matrixfleet.model.types import bytes_of
from matrixfleet.plan.edge import router_limits_of
from test_plan import changed, plan

SIZES = ("small", "medium", "large", "xlarge")
TEXT = (TOP / "docs/sizes.md").read_text()
ROWS = {
    cells[0]: (dict(zip(SIZES, cells[1:5], strict=True)), cells[5])
    for line in TEXT.splitlines()
    if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 6 and not line.startswith("|---")
}
KEYS = [row.strip("`") for row in ROWS if row.startswith("`")]
WORKERS_ALIKE = re.compile(r"workers\.(?!generic)\w+\.(\w+\.)?resources\.")


def sized(fleet: Fleet, size: str) -> Fleet:
    """A target that says nothing of its own that a size says."""
    fleet = changed(fleet, (("matrix", "size"), size))
    for key in ("media", "database", "synapse"):
        fleet = changed(fleet, (("matrix", key), {}))
    return fleet


def leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path


def test_the_table_is_read() -> None:
    assert len(KEYS) > 20 and "key" in ROWS


@pytest.mark.parametrize("size", SIZES)
def test_every_number_is_as_told(size: str, fleet: Fleet) -> None:
    tenant = plan(sized(fleet, size)).tenant
    for key in KEYS:
        here: Any = tenant
        for part in key.split("."):
            here = getattr(here, part)
        told = ROWS[f"`{key}`"][0][size]
        assert float(here) == float(told) if isinstance(here, float | int) else here == told, key


@pytest.mark.parametrize("size", SIZES)
def test_every_number_of_a_size_is_told(size: str, fleet: Fleet) -> None:
    said = set(leaves(fleet.platform("eu1.platform").sizes[size]))
    # The other workers' resources follow the generic ones', and a pool's least its most.
    untold = {key for key in said - set(KEYS) if not WORKERS_ALIKE.match(key)}
    untold -= {"synapse.connection_pool.min", "redis.resources.cpu"}
    assert not {key for key in untold if not key.startswith("workers.stream_writers")}


def test_connections_through_a_router(fleet: Fleet) -> None:
    for size in SIZES:
        limits = router_limits_of(plan(sized(fleet, size)).tenant.router.resources)
        assert str(limits.connections) == ROWS["network: connections through a router"][0][size]


def test_every_number_has_a_source() -> None:
    explained = set(re.findall(r"(?m)^- \*\*\[(\w+)\]\*\*", TEXT))
    for row, (_, source) in ROWS.items():
        if row != "key":
            assert (named := set(re.findall(r"\[(\w+)\]", source))) and named <= explained, row
    assert explained == {name for _, source in ROWS.values() for name in re.findall(r"\[(\w+)\]", source)}


def test_sizes_grow(fleet: Fleet) -> None:
    tenants = [plan(sized(fleet, size)).tenant for size in SIZES]
    for key in ("database.resources.memory", "media.cache"):
        numbers = []
        for here in tenants:
            for part in key.split("."):
                here = getattr(here, part)
            numbers.append(bytes_of(here))  # type: ignore[arg-type]
        assert numbers == sorted(numbers) and len(set(numbers)) == len(numbers), key


def test_who_says_a_number_is_explained() -> None:
    said = explain_key(TOP, "eu1.matrix-ha", "matrix.workers.generic")
    assert "inventory/classes/size/large.yml" in said and "inventory/classes/pattern/high-availability.yml" in said
