from collections.abc import Callable

from matrixfleet.checks import Tree
from matrixfleet.checks.tree import Json
from rules.breaking import PROD, Break


def job(**spec: object) -> Callable[[Tree], Tree]:
    """The Secrets' Job with another spec; None takes a key away."""

    def change(tree: Tree) -> Tree:
        (path,) = (entry.path for entry in tree.of_kind("Job") if entry.path.startswith(f"{PROD}/workload/bootstrap/"))

        def edit(doc: Json) -> None:
            doc["spec"] = {key: value for key, value in {**doc["spec"], **spec}.items() if value is not None}

        return tree.edited(path, edit)

    return change


BREAKS = [
    Break(
        "a Job that changes under its name",
        job(parallelism=2),
        "expected a name that ends with -c",
    ),
    Break(
        "a Job that vanishes",
        job(ttlSecondsAfterFinished=60),
        "has ttlSecondsAfterFinished, expected none: Argo CD would make it again",
    ),
    Break(
        "a Job that gives up early",
        job(backoffLimit=None),
        "expected a backoffLimit, got none",
    ),
    Break(
        "a Job that restarts for ever",
        job(template={"spec": {"containers": [], "restartPolicy": "Always"}}),
        "expected restartPolicy OnFailure or Never, got Always",
    ),
]
