"""CloudNativePG's objects of tenants: their own server, or their own database on the platform's."""

from collections.abc import Iterator

from matrixfleet.kubernetes.pods import INHERITED
from matrixfleet.model.fleet import PLATFORM, SHARED_NAMESPACE
from matrixfleet.plan import PlatformPlan
from matrixfleet.plan.names import component_name

from .policy import Policy, cel, of_tenants, tenant

API = "postgresql.cnpg.io"


def policies(plan: PlatformPlan) -> Iterator[Policy]:
    """Where the operator is."""
    if plan.cluster.operators.cloudnative_pg is None:
        return
    conditions = of_tenants(plan)
    word = "'synapse_' + variables.tenant.replace('-', '_')"
    yield Policy(
        "tenants-databases",
        API,
        "v1",
        ("databases",),
        {
            f"object.metadata.namespace == {cel(SHARED_NAMESPACE)}"
            f" && object.spec.cluster.name == {cel(component_name(PLATFORM, 'postgresql'))}": (
                "its server is not the one that tenants share"
            ),
            f"object.metadata.name == variables.tenant + '-postgresql' && object.spec.name == {word}"
            f" && object.spec.owner == {word}": "it is another's database, or has another's owner",
            "has(object.spec.databaseReclaimPolicy) && object.spec.databaseReclaimPolicy == 'retain'"
            " && has(object.spec.ensure) && object.spec.ensure == 'present'": "it would be dropped",
            "has(object.spec.template) && object.spec.template == 'template0'": (
                "it would be a copy of another database (template)"
            ),
            "!has(object.spec.extensions) && !has(object.spec.schemas) && !has(dyn(object.spec).fdws)"
            " && !has(dyn(object.spec).servers) && !has(object.spec.tablespace)": (
                "it has extensions, schemas, foreign servers or a tablespace"
            ),
        },
        tenant(plan, parts=True),
        None,
        conditions,
    )
    yield Policy(
        "tenants-clusters",
        API,
        "v1",
        ("clusters",),
        {
            "object.metadata.name == variables.tenant + '-postgresql'": "it is not called as this tenant's is",
            "!has(object.spec.enableSuperuserAccess) || !object.spec.enableSuperuserAccess": (
                "its superuser could log in (enableSuperuserAccess)"
            ),
            # The operator would make objects with them, which say another Application.
            "!has(object.spec.inheritedMetadata) || !has(object.spec.inheritedMetadata.annotations)"
            f" || object.spec.inheritedMetadata.annotations.all(key, key in {cel(list(INHERITED))})": (
                "what the operator makes of it would have annotations of its own (inheritedMetadata)"
            ),
            "(!has(object.spec.monitoring) || !has(object.spec.monitoring.enablePodMonitor)"
            " || !object.spec.monitoring.enablePodMonitor)"
            " && (!has(object.spec.managed) || !has(object.spec.managed.services))"
            " && !has(object.spec.serviceAccountTemplate)": (
                "the operator would make a PodMonitor, Services or a ServiceAccount as it says"
            ),
            "!has(object.spec.backup) || !has(object.spec.backup.barmanObjectStore)": (
                "it archives in a way of its own (backup.barmanObjectStore)"
            ),
            "!has(object.spec.externalClusters) || object.spec.externalClusters.all(one,"
            " !has(one.connectionParameters) && !has(one.barmanObjectStore) && has(one.plugin)"
            " && has(one.plugin.parameters) && 'barmanObjectName' in one.plugin.parameters"
            " && one.plugin.parameters['barmanObjectName'] == object.metadata.name)": (
                "it follows a server by another way than its own archive (externalClusters)"
            ),
        },
        tenant(plan),
        None,
        conditions,
    )
    yield Policy(
        "tenants-poolers",
        API,
        "v1",
        ("poolers",),
        {
            "object.spec.cluster.name == variables.tenant + '-postgresql'": "its server is not this tenant's",
            "(!has(object.spec.monitoring) || !has(object.spec.monitoring.enablePodMonitor)"
            " || !object.spec.monitoring.enablePodMonitor) && !has(object.spec.serviceTemplate)": (
                "the operator would make a PodMonitor or a Service as it says"
            ),
        },
        tenant(plan),
        None,
        conditions,
    )
    yield Policy(
        "tenants-objectstores",
        "barmancloud.cnpg.io",
        "v1",
        ("objectstores",),
        {
            "has(object.spec.configuration.s3Credentials)"
            " && !(has(object.spec.configuration.s3Credentials.inheritFromIAMRole)"
            " && object.spec.configuration.s3Credentials.inheritFromIAMRole)"
            " && !has(object.spec.configuration.azureCredentials) && !has(object.spec.configuration.googleCredentials)": (
                "it would log in as the node, and not with this tenant's keys"
            ),
        },
        {},
        None,
        conditions,
    )
