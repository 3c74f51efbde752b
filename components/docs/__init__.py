"""The tenant on one page, with its real names: for whoever is on call and has never seen it."""

import json
from collections.abc import Iterator

from matrixfleet.drawing import Text, component
from matrixfleet.plan import TenantPlan
from matrixfleet.templates import render


@component("docs")
def main(plan: TenantPlan) -> Iterator[Text]:
    """README.md."""
    bodies = {name: json.dumps(content) for name, content in plan.well_known.items()}
    yield Text("README.md", render(__file__, "README.md.j2", plan=plan, well_known=bodies))
