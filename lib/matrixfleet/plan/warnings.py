"""What compiles and should not stay: told each time, and never a reason to stop."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from matrixfleet.errors import Fault
from matrixfleet.model import Fleet, Image
from matrixfleet.model.choices import Edge
from matrixfleet.plan.without_effect import without_effect


def warnings_of(fleet: Fleet) -> Iterator[Fault]:
    """Warnings of a fleet that can be read: of its releases, then by target."""
    yield from dict.fromkeys(_undigested(fleet))
    yield from dict.fromkeys(_unsupported(fleet, date.today().isoformat()))
    for name in fleet.names:
        yield from without_effect(fleet, name)
        if name != fleet.platform_name(name):
            continue
        edge = fleet.platform(name).cluster.edge
        if edge.controller is Edge.GKE and edge.ssl_policy is None:
            where, hint = ("cluster", "edge", "controller"), "make an SSL policy in Google Cloud and name it"
            yield fleet.fault(name, where, f"without ssl_policy Google's load balancers speak TLS 1.0 too; {hint}")
        if edge.controller is Edge.INGRESS_NGINX:
            yield fleet.fault(
                name,
                ("cluster", "edge", "controller"),
                "ingress-nginx was archived upstream in March 2026 and gets no security fixes;"
                " docs/edges.md compares the others",
            )


def _undigested(fleet: Fleet) -> Iterator[Fault]:
    """One line per release whose images are pulled by their tags. Clusters that offer it say the same line."""
    for name in fleet.names:
        for release, content in fleet.platform(name).releases.items():
            images = [image for _, image in content.images if isinstance(image, Image)]
            bare = sum(image.digest is None for image in images)
            if bare:
                unsigned = sum(image.signature is None for image in images)
                yield fleet.fault(
                    fleet.platform_name(name),
                    ("releases", release, "images"),
                    f"{bare} of {len(images)} images have no digest and {unsigned} are not known to be signed;"
                    " matrix-fleet images --renew writes digests, docs/images.md says the rest",
                )


def _unsupported(fleet: Fleet, today: str) -> Iterator[Fault]:
    """One line per chart of a release whose program gets no mends any more."""
    for name in fleet.names:
        for release, content in fleet.platform(name).releases.items():
            for called, chart in content.charts:
                if chart.supported_until and chart.supported_until < today:
                    yield fleet.fault(
                        fleet.platform_name(name),
                        ("releases", release, "charts", called, "version"),
                        f"{chart.chart} {chart.installs} has had no support since {chart.supported_until};"
                        " choose a newer chart",
                    )
