"""The canary: every five minutes somebody logs in, writes and reads, as people do, by the tenant's own router."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import config_map
from matrixfleet.kubernetes.pods import configuration, container, cron_job, pod_template, secret_files
from matrixfleet.model.choices import State
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.backup import spread
from matrixfleet.plan.probes import CANARY
from matrixfleet.templates import read

FOLDER = "/etc/canary"
LONGEST = 240
"""Seconds until the kubelet ends a Pod of it: one that hangs would keep the next from starting."""


@component("workload/canary")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Its script and its CronJob, where the tenant has one."""
    if CANARY not in plan.workloads:
        return
    files = {"canary.py": read(__file__, "canary.py")}
    yield config_map(plan, CANARY, files)
    secret = plan.secret(CANARY)
    mounts = [configuration(plan, CANARY, FOLDER), secret_files(secret)]
    router = f"http://{plan.address('router')}:{plan.workloads['router'].ports['http']}"
    command = ["python", "-B", f"{FOLDER}/canary.py", router, CANARY, secret.path("password")]
    pod = container(plan, CANARY, CANARY, command, mounts)
    ends = {"restartPolicy": "Never", "activeDeadlineSeconds": LONGEST}
    template = pod_template(plan, CANARY, [pod], mounts, reads=files, **ends)
    schedule = f"{spread(plan.name, CANARY, 5)}-59/5 * * * *"
    yield cron_job(plan, CANARY, template, schedule, suspend=plan.tenant.state is State.STOPPED)
