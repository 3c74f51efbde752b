"""Secrets that a cluster makes for itself: a Job that creates what is absent and overwrites nothing."""

import json
from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object, content_hash
from matrixfleet.kubernetes.objects import config_map, make
from matrixfleet.kubernetes.pods import configuration, container, pod_template, scratch
from matrixfleet.plan import Plan
from matrixfleet.templates import read


@component("workload/bootstrap")
def main(plan: Plan) -> Iterator[Object]:
    """The script with its list of secrets, and the Job; nothing where Secrets come from a store."""
    if "bootstrap" not in plan.workloads:
        return
    files = {"bootstrap.py": read(__file__, "bootstrap.py"), "secrets.json": wanted(plan)}
    yield config_map(plan, "bootstrap", files)
    yield job(plan, files)


def wanted(plan: Plan) -> str:
    """What the script is to make, and what it is to find."""
    return json.dumps([secret.recipe for secret in plan.secrets], indent=2) + "\n"


def job(plan: Plan, files: dict[str, str]) -> Object:
    """The Job. A Job's template cannot change, so its name carries its content: a change makes a new
    one. No ttlSecondsAfterFinished: Argo CD would make a vanished Job again, for ever."""
    mounts = [configuration(plan, "bootstrap", "/etc/bootstrap"), scratch("tmp", "/tmp", "16Mi")]
    template = pod_template(
        plan,
        "bootstrap",
        [container(plan, "bootstrap", "bootstrap", ["python", "/etc/bootstrap/bootstrap.py"], mounts)],
        mounts,
        reads=files,
        token=True,
        restartPolicy="OnFailure",
    )
    # Its Role comes with another Application and may come later: try again for hours before giving up.
    spec = {"backoffLimit": 50, "template": template}
    return make(
        plan,
        "Job",
        "bootstrap",
        api="batch/v1",
        name=f"{plan.called('bootstrap')}-{content_hash(spec)}",
        wave=plan.workloads["bootstrap"].wave,
        spec=spec,
    )
