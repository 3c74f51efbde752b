"""What the world sees, asked from where the world would: an exporter on the platform that tries public addresses, and
what it tries for each tenant."""

from collections.abc import Iterator

import yaml

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object, to_yaml
from matrixfleet.kubernetes.objects import config_map, make, service
from matrixfleet.kubernetes.pods import ROLLING, configuration, container, deployment, pod_template, probe
from matrixfleet.model.choices import State
from matrixfleet.plan import Plan, TenantPlan, waves
from matrixfleet.plan.families import probed_first
from matrixfleet.templates import read

FOLDER = "/etc/blackbox"


@component("workload/probes")
def main(plan: Plan) -> Iterator[Object]:
    """The platform's exporter, or a tenant's Probes; nothing where no prometheus-operator reads them."""
    if "probes" in plan.workloads:
        files = {"blackbox.yml": to_yaml(questions(plan))}
        yield config_map(plan, "probes", files)
        yield service(plan, "probes")
        yield deployment(plan, "probes", template(plan, files), strategy=ROLLING)
    if isinstance(plan, TenantPlan):
        for check in plan.checks:
            yield tried(plan, check.name, check.module, check.targets)


def questions(plan: Plan) -> Object:
    """blackbox.yml, by the address family that the cluster has a way for."""
    asked: Object = yaml.safe_load(read(__file__, "blackbox.yml"))
    for module in asked["modules"].values():
        module.setdefault(module["prober"], {})["preferred_ip_protocol"] = probed_first(plan.cluster.network)
    return asked


def template(plan: Plan, files: dict[str, str]) -> Object:
    """The exporter's Pod."""
    mounts = [configuration(plan, "probes", FOLDER)]
    healthy = {"httpGet": {"path": "/-/healthy", "port": "metrics"}}
    exporter = container(
        plan,
        "probes",
        "blackbox",
        ["/bin/blackbox_exporter", f"--config.file={FOLDER}/blackbox.yml"],
        mounts,
        ports=plan.workloads["probes"].ports,
        readinessProbe=probe(5, 3, 2, **healthy),
        livenessProbe=probe(15, 3, 2, **healthy),
    )
    return pod_template(plan, "probes", [exporter], mounts, reads=files)


def tried(plan: TenantPlan, name: str, module: str, targets: tuple[str, ...]) -> Object:
    """One kind of question, with the labels that all series of a tenant have."""
    labels = {"tenant": plan.name, "server_name": plan.tenant.server_name, "check": name}
    if plan.tenant.state is State.STOPPED:
        # What is meant to be down is no alert.
        labels["stopped"] = "true"
    thing = make(
        plan,
        "Probe",
        "metrics",
        api="monitoring.coreos.com/v1",
        name=plan.called(f"probe-{name}"),
        wave=waves.FRONT,
        spec={
            "jobName": "probe",
            "interval": "60s",
            "scrapeTimeout": "20s",
            "prober": {"url": plan.prober, "scheme": "http", "path": "/probe"},
            "module": module,
            "targets": {"staticConfig": {"static": list(targets), "labels": labels}},
        },
    )
    thing["metadata"]["labels"] |= plan.cluster.monitoring.labels
    return thing
