"""Argo CD's own objects: an Application is its target's and syncs its own folder, a project admits no more than that.

The root's project admits both kinds, so what lies in the folder that it reads would else be believed. Held are those that
a root has applied: what a person makes beside them is that person's. Where a hub syncs other clusters, it holds theirs too.
"""

from collections.abc import Iterator, Mapping

from matrixfleet.kubernetes.operators import operators_of
from matrixfleet.model.fleet import PLATFORM, SHARED_NAMESPACE
from matrixfleet.plan import PlatformPlan

from .kinds import admitted
from .policy import APPLICATION, SAID, TRACKING, Policy, cel

GROUP, VERSION = "argoproj.io", "v1alpha1"
SYNC_OPTIONS = ["ServerSideApply=true", "FailOnSharedResource=true"]


def policies(plan: PlatformPlan) -> Iterator[Policy]:
    """For every cluster that this Argo CD may sync, told apart by the root that applied an object."""
    plans = {f"{each.cluster.name}-root": each for each in (plan, *map(PlatformPlan, plan.target.synced))}
    where = {"kubernetes.io/metadata.name": plan.cluster.argocd.namespace}
    roots = {"roots": f"{SAID}[?'{TRACKING}'].orValue('').split(':')[0] in {cel(sorted(plans))}"}
    common = {
        "cluster": f"{cel({root: each.cluster.name for root, each in plans.items()})}[{APPLICATION}]",
        "name": "object.metadata.name",
        "own": "variables.name.startsWith(variables.cluster + '-')"
        " ? variables.name.substring(size(variables.cluster) + 1) : ''",
        "part": "variables.own.endsWith('-fence') ? 'fence' : variables.own.endsWith('-shared') ? 'shared' : 'workload'",
        "target": "variables.part == 'workload' ? variables.own"
        " : variables.own.substring(0, size(variables.own) - size(variables.part) - 1)",
        "charts": cel(dict(charts(plans.values()))) if dict(charts(plans.values())) else "{'': dyn('')}",
    }
    yield applications(plans, where, roots, common)
    yield projects(plans, where, roots, common)


def charts(plans: object) -> Iterator[tuple[str, object]]:
    """Sources of managed operators, by Application."""
    for plan in plans:  # type: ignore[attr-defined]
        for each in operators_of(plan):
            yield f"{plan.cluster.name}-{each.called}", each.source


def applications(
    plans: Mapping[str, PlatformPlan], where: Mapping[str, str], roots: Mapping[str, str], common: Mapping[str, str]
) -> Policy:
    """In the project of its own name, from one source, which is its part's folder or its operator's chart as compiled."""
    said = {
        each.cluster.name: {
            "repoURL": each.cluster.argocd.repository,
            "targetRevision": each.cluster.argocd.revision,
            "server": each.cluster.argocd.server,
        }
        for each in plans.values()
    }
    source = (
        "{'repoURL': dyn(variables.argocd.repoURL), 'targetRevision': dyn(variables.argocd.targetRevision),"
        " 'path': dyn(variables.path), 'directory': dyn({'recurse': dyn(true)})}"
    )
    return Policy(
        "application-project",
        GROUP,
        VERSION,
        ("applications",),
        {
            "variables.own != '' && variables.own != 'root' && object.spec.project == object.metadata.name": (
                "its project is not its own"
            ),
            "!has(object.spec.sources) && !has(object.spec.sourceHydrator) && has(object.spec.source)": (
                "it has another number of sources than one"
            ),
            "has(object.spec.source) && (variables.name in variables.charts"
            " ? dyn(object.spec.source) == dyn(variables.charts[variables.name])"
            f" : dyn(object.spec.source) == dyn({source}))": "its source is not the folder, or the chart, that is its own",
            "has(object.spec.destination.server) && object.spec.destination.server == variables.argocd.server"
            " && !has(object.spec.destination.name)": "its destination is not its cluster",
            "!has(object.spec.syncPolicy) || (!has(object.spec.syncPolicy.managedNamespaceMetadata)"
            " && (!has(object.spec.syncPolicy.syncOptions) || object.spec.syncPolicy.syncOptions.all(one,"
            f" one in {cel(SYNC_OPTIONS)} || (one == 'CreateNamespace=true' && variables.name in variables.charts))))": (
                "it would be synced otherwise (syncPolicy)"
            ),
            # The controller writes its own source into each sync that it begins.
            "!has(object.operation) || !has(object.operation.sync)"
            " || (oldObject != null && has(oldObject.operation) && object.operation == oldObject.operation)"
            " || (!has(object.operation.sync.manifests) && !has(object.operation.sync.sources)"
            " && (!has(object.operation.sync.source) || dyn(object.operation.sync.source) == dyn(object.spec.source)))": (
                "it asks for a sync of something else (operation)"
            ),
        },
        {
            **common,
            "argocd": f"dyn({cel(said)}[variables.cluster])",
            "path": "'compiled/' + variables.cluster + '/' + variables.target + '/' + variables.part",
        },
        where,
        # The controller writes an Application's status every few seconds: what says the same as before is let pass.
        {
            **roots,
            "changes": "oldObject == null || object.spec != oldObject.spec"
            " || (has(object.operation) && (!has(oldObject.operation) || object.operation != oldObject.operation))"
            f" || {SAID}[?'{TRACKING}'].orValue('') != (has(oldObject.metadata.annotations)"
            f" ? oldObject.metadata.annotations[?'{TRACKING}'].orValue('') : '')",
        },
    )


def projects(
    plans: Mapping[str, PlatformPlan], where: Mapping[str, str], roots: Mapping[str, str], common: Mapping[str, str]
) -> Policy:
    """From this repository alone, to its target's namespaces, with kinds that are compiled for tenants. The platform's own
    admit more, by name."""
    platform = [f"{PLATFORM}{part}" for part in ("", "-fence")]
    said = {
        each.cluster.name: {
            "repository": each.cluster.argocd.repository,
            "server": each.cluster.argocd.server,
            "shared": lent(each),
        }
        for each in plans.values()
    }
    elsewhere = {each.cluster.name: dict(each.target.elsewhere) or {"": ""} for each in plans.values()}
    repositories = {name: [source["repoURL"]] for name, source in charts(plans.values())}  # type: ignore[index]
    places = {f"{each.cluster.name}-{one.called}": one.places for each in plans.values() for one in operators_of(each)}
    kinds = {part: admitted(part) for part in ("workload", "fence", "shared")}
    here = (
        "(variables.target in variables.elsewhere ? string(variables.elsewhere[variables.target]) : variables.target)"
    )
    return Policy(
        "project-admits",
        GROUP,
        VERSION,
        ("appprojects",),
        {
            "variables.own != '' && variables.own != 'root'": "it is not a target's of its cluster",
            "has(object.spec.sourceRepos) && dyn(object.spec.sourceRepos) == dyn(variables.repositories)": (
                "it admits another repository than its own"
            ),
            "!has(object.spec.roles) && !has(object.spec.sourceNamespaces) && !has(object.spec.destinationServiceAccounts)": (
                "it lets others in (roles, sourceNamespaces, destinationServiceAccounts)"
            ),
            "has(object.spec.destinations) && object.spec.destinations.all(one, !has(one.name) && has(one.server)"
            " && one.server == variables.argocd.server && has(one.namespace)"
            " && (variables.platforms ? one.namespace.matches('^[a-z0-9-]+$')"
            " : variables.charted ? one.namespace in dyn(variables.places)[variables.name] : one.namespace in variables.mine))": (
                "it admits a namespace or a cluster that is not its target's"
            ),
            "variables.platforms || variables.charted || !has(object.spec.namespaceResourceWhitelist)"
            " || object.spec.namespaceResourceWhitelist.all(one, (has(one.group) ? one.group : '') + '/' + one.kind"
            f" in {cel(kinds)}[variables.part])": "it admits a kind that is not compiled for tenants",
            "has(object.spec.namespaceResourceWhitelist)": "it admits every kind",
            "variables.platforms || variables.charted || !has(object.spec.clusterResourceWhitelist)"
            " || object.spec.clusterResourceWhitelist.all(one, variables.part == 'fence' && one.kind == 'Namespace'"
            " && (!has(one.group) || one.group == '') && has(one.name) && one.name in variables.mine)": (
                "it admits what lives in no namespace"
            ),
            "!has(object.spec.clusterResourceWhitelist) || object.spec.clusterResourceWhitelist.all(one,"
            " !one.kind.contains('*') && (!has(one.group) || !one.group.contains('*')))": (
                "it admits every kind of what lives in no namespace"
            ),
        },
        {
            **common,
            "argocd": f"dyn({cel(said)}[variables.cluster])",
            "elsewhere": f"dyn({cel(elsewhere)}[variables.cluster])",
            "platforms": f"variables.own in {cel(platform)}",
            "charted": "variables.name in variables.charts",
            "places": cel(places) if places else "{'': dyn([''])}",
            "repositories": "variables.charted"
            f" ? dyn({cel(repositories) if repositories else chr(123) + chr(125)})[variables.name]"
            " : dyn([string(variables.argocd.repository)])",
            "mine": "variables.part == 'shared' ? variables.argocd.shared"
            f" : [{here}, {here} + '-turn', variables.target + '-turn']",
        },
        where,
        roots,
    )


def lent(plan: PlatformPlan) -> list[str]:
    """Namespaces of the platform's in which tenants have something."""
    edge = plan.cluster.edge.certificate_namespace
    return [SHARED_NAMESPACE, f"{SHARED_NAMESPACE}-turn", *([edge] if edge else [])]
