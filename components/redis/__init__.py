"""Redis, where there are workers. One Pod without a volume: what passes through it is worth nothing a
minute later, Synapse knows a single address, and reconnects (no Sentinel, no Cluster: Synapse has neither)."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import config_map, service
from matrixfleet.kubernetes.pods import configuration, container, deployment, pod_template, probe, scratch, secret_files
from matrixfleet.model.choices import IpFamily
from matrixfleet.model.types import bytes_of
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.families import any_addresses
from matrixfleet.templates import read, render

FOLDER, RUN = "/etc/redis", "/run/redis"


@component("workload/redis")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Configuration, Service, Deployment; nothing for a tenant of one process."""
    if "redis" not in plan.workloads:
        return
    memory = bytes_of(plan.tenant.redis.resources.memory)
    addresses = " ".join(any_addresses(plan.cluster.network))
    files = {
        "redis.conf": render(__file__, "redis.conf.j2", run=RUN, memory=memory * 3 // 4, addresses=addresses),
        "configure.sh": read(__file__, "configure.sh"),
    }
    yield config_map(plan, "redis", files)
    found = service(plan, "redis")
    if plan.cluster.network.ip_family is IpFamily.DUAL:
        # Synapse looks for IPv4 addresses of this name alone (Twisted, ThreadedResolver), whatever comes first here.
        found["spec"] |= {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]}
    yield found
    # Two at once would split what processes hear of each other.
    yield deployment(plan, "redis", template(plan, files), strategy={"type": "Recreate"})


def template(plan: TenantPlan, files: dict[str, str]) -> Object:
    """The Pod, ready when Redis answers who knows the password."""
    config, run = configuration(plan, "redis", FOLDER), scratch("run", RUN, "16Mi", memory=True)
    secret = secret_files(plan.secret("workers"))
    password = plan.secret("workers").path("redis_password")
    ping = f'REDISCLI_AUTH="$(cat {password})" redis-cli ping | grep -qx PONG'
    answers = {"exec": {"command": ["sh", "-c", ping]}}
    configure = container(
        plan, "redis", "configuration", ["sh", f"{FOLDER}/configure.sh", password], [config, run, secret]
    )
    redis = container(
        plan,
        "redis",
        "redis",
        ["redis-server", f"{RUN}/redis.conf"],
        [run, secret],
        ports={"redis": plan.workloads["redis"].ports["redis"]},
        startupProbe=probe(2, 30, 2, **answers),
        readinessProbe=probe(5, 3, 2, **answers),
        livenessProbe=probe(10, 3, 5, **answers),
    )
    exporters = [exporter(plan)] if "exporter" in plan.workloads["redis"].containers else []
    return pod_template(plan, "redis", [redis, *exporters], [config, run, secret], init=[configure], reads=files)


def exporter(plan: TenantPlan) -> Object:
    """Its numbers. The exporter has no option for a file with the bare password."""
    password = {"name": plan.secret("workers").name, "key": "redis_password"}
    return container(
        plan,
        "redis",
        "exporter",
        ["/redis_exporter"],
        [],
        env=[{"name": "REDIS_PASSWORD", "valueFrom": {"secretKeyRef": password}}],
        ports={"metrics": plan.workloads["redis"].ports["metrics"]},
        livenessProbe=probe(30, 3, 5, httpGet={"path": "/", "port": "metrics"}),
    )
