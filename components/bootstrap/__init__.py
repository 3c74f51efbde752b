"""Secrets that a cluster makes for itself: a Job that creates what is absent and overwrites nothing."""

import json
from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import config_map
from matrixfleet.kubernetes.pods import configuration, container, job, pod_template, scratch
from matrixfleet.plan import Plan
from matrixfleet.templates import read


@component("workload/bootstrap")
def main(plan: Plan) -> Iterator[Object]:
    """The script with its list of secrets, and the Job; nothing where Secrets come from a store."""
    if "bootstrap" not in plan.workloads:
        return
    files = {"bootstrap.py": read(__file__, "bootstrap.py"), "secrets.json": wanted(plan)}
    yield config_map(plan, "bootstrap", files)
    yield maker(plan, files)


def wanted(plan: Plan) -> str:
    """What the script is to make, and what it is to find."""
    return json.dumps([secret.recipe for secret in plan.secrets], indent=2) + "\n"


def maker(plan: Plan, files: dict[str, str]) -> Object:
    """The Job that makes what is absent."""
    mounts = [configuration(plan, "bootstrap", "/etc/bootstrap"), scratch("tmp", "/tmp", "16Mi", memory=True)]
    template = pod_template(
        plan,
        "bootstrap",
        [container(plan, "bootstrap", "bootstrap", ["python", "/etc/bootstrap/bootstrap.py"], mounts)],
        mounts,
        reads=files,
        token=True,
        restartPolicy="OnFailure",
    )
    return job(plan, "bootstrap", template)
