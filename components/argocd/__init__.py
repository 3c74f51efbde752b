"""The tenant as Argo CD sees it: a project and an Application for each part. Drawn last, since a project admits the
kinds that the other components drew, and no other."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.argocd import FOLDER, application, folder, project
from matrixfleet.kubernetes.emit import Object
from matrixfleet.plan import NamespacePlan, TenantPlan

PARTS = {
    "fence": "Walls of {}: namespaces, quota, network policies, roles; its people change none of it.",
    "workload": "What {} runs, in its own namespaces.",
    "shared": "What {} has of what its platform shares.",
}


@component(FOLDER)
def main(plan: TenantPlan | NamespacePlan) -> Iterator[Object]:
    """The walls and what runs inside them are two Applications: a workload that was tampered with cannot
    move its walls. What it may read in the platform's namespaces is a third. No order is promised between
    them; what needs the other waits for it."""
    for part, description in PARTS.items():
        if part not in plan.drawn:
            continue
        name = plan.application if part == "workload" else f"{plan.application}-{part}"
        yield project(
            plan,
            name,
            description.format(plan.name),
            kinds=plan.drawn[part],
            namespaces=sorted(plan.places[part]),
        )
        yield application(
            plan,
            name,
            folder(plan, f"{plan.path}/{part}"),
            project_name=name,
            namespace=plan.namespace if plan.namespace in plan.places[part] else min(plan.places[part]),
            # Walls stay around what is kept, until a person deletes the namespace. With them its Application
            # would wait for that, and the root, which waits for what it prunes, would sync no other tenant.
            owns=part != "fence",
        )
