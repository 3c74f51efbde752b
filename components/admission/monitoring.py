"""What Prometheus scrapes and Alertmanager sends because of a tenant: of that tenant, and under its name alone."""

from collections.abc import Iterator

from matrixfleet.model.choices import Metrics
from matrixfleet.plan import PlatformPlan

from .edge import host_variables
from .policy import Policy, cel, of_tenants, tenant

API = "monitoring.coreos.com"
LABELS = ["job", "server_name", "stopped", "standby", "index"]
"""That a tenant's monitors set beside `tenant`."""
TENANT = "one.action == 'replace' && one.targetLabel == 'tenant' && has(one.replacement)"
TENANT += " && one.replacement == variables.tenant && !has(one.sourceLabels) && !has(one.regex)"


def policies(plan: PlatformPlan) -> Iterator[Policy]:
    """Where prometheus-operator is; projects refuse its kinds elsewhere."""
    if plan.cluster.metrics is not Metrics.PROMETHEUS_OPERATOR:
        return
    yield pod_monitors(plan)
    yield probes(plan)
    yield receivers(plan)


def pod_monitors(plan: PlatformPlan) -> Policy:
    """Its own Pods, each number under its own name: the last relabeling wins, so every one is held. A label that Pods or
    numbers bring (honorLabels, podTargetLabels, metricRelabelings) could be another's name."""
    endpoints = "object.spec.podMetricsEndpoints.all(end, "
    every = "end.relabelings.all(one, has(one.action) && has(one.targetLabel)"
    return Policy(
        "tenants-podmonitors",
        API,
        "v1",
        ("podmonitors",),
        {
            "!has(object.spec.namespaceSelector)": "it selects Pods of other namespaces (namespaceSelector)",
            "has(object.spec.selector.matchLabels) && object.spec.selector.matchLabels.exists(key,"
            " (key == 'app.kubernetes.io/instance' && object.spec.selector.matchLabels[key] == variables.tenant)"
            " || (key.startsWith('cnpg.io/') && object.spec.selector.matchLabels[key].startsWith(variables.tenant + '-')))": (
                "its selector may find Pods of another tenant"
            ),
            f"{endpoints}has(end.relabelings) && end.relabelings.exists_one(one, {TENANT})"
            f" && {every} && one.action == 'replace'"
            f" && (one.targetLabel in {cel(LABELS)} || ({TENANT}))))": (
                "what it scrapes is not labelled as this tenant's, and no more (relabelings)"
            ),
            f"{endpoints}has(end.followRedirects) && !end.followRedirects)": (
                "its Pods could lead Prometheus to others' (followRedirects)"
            ),
            f"{endpoints}!has(end.honorLabels) || !end.honorLabels)": "Pods could say another's labels (honorLabels)",
            f"{endpoints}!has(end.metricRelabelings))": "it relabels what was scraped (metricRelabelings)",
            f"{endpoints}!has(end.proxyUrl) && !has(end.bearerTokenSecret) && !has(end.authorization)"
            " && !has(end.basicAuth) && !has(end.oauth2) && !has(end.tlsConfig)"
            " && !has(end.proxyFromEnvironment) && !has(end.proxyConnectHeader)) && !has(object.spec.scrapeClass)": (
                "it sends Secrets, Prometheus's own (scrapeClass) among them, or by a proxy"
            ),
            "!has(object.spec.podTargetLabels) && !has(object.spec.jobLabel) && !has(object.spec.attachMetadata)": (
                "labels of Pods or nodes would become those of its numbers (podTargetLabels, jobLabel, attachMetadata)"
            ),
        },
        tenant(plan),
        None,
        of_tenants(plan),
    )


def probes(plan: PlatformPlan) -> Policy:
    """Its own hosts, by the cluster's prober."""
    return Policy(
        "tenants-probes",
        API,
        "v1",
        ("probes",),
        {
            f"object.spec.prober.url == {cel(plan.prober)} && !has(object.spec.prober.proxyUrl)"
            " && !has(object.spec.prober.proxyFromEnvironment) && !has(object.spec.prober.proxyConnectHeader)"
            " && !has(object.spec.params)"
            " && has(object.spec.prober.path) && object.spec.prober.path == '/probe'": (
                "its prober is not the cluster's"
            ),
            "!has(object.spec.targets.ingress) && has(object.spec.targets.staticConfig)": (
                "it finds its targets itself (ingress)"
            ),
            "has(object.spec.targets.staticConfig) && has(object.spec.targets.staticConfig.labels)"
            " && 'tenant' in object.spec.targets.staticConfig.labels"
            " && object.spec.targets.staticConfig.labels['tenant'] == variables.tenant"
            f" && object.spec.targets.staticConfig.labels.all(key, key in {cel([*LABELS, 'tenant', 'check'])})"
            " && !has(object.spec.targets.staticConfig.relabelingConfigs) && !has(object.spec.metricRelabelings)": (
                "what it finds is not labelled as this tenant's, and no more"
            ),
            "has(object.spec.targets.staticConfig) && object.spec.targets.staticConfig.static.all(one,"
            " one.replace('https://', '').split('/')[0].split(':')[0] in variables.hosts"
            " || one.matches('^https://[a-z0-9.-]+(:[0-9]+)?/[.]well-known/matrix/(client|server)$'))": (
                "a target of it is not this namespace's host"
            ),
            "!has(object.spec.bearerTokenSecret) && !has(object.spec.authorization) && !has(object.spec.basicAuth)"
            " && !has(object.spec.oauth2) && !has(object.spec.tlsConfig) && !has(object.spec.scrapeClass)": (
                "it sends Secrets, Prometheus's own (scrapeClass) among them"
            ),
        },
        host_variables(plan) | tenant(plan),
        None,
        of_tenants(plan),
    )


def receivers(plan: PlatformPlan) -> Policy:
    """Its own alerts come in, and only they are silenced. A route below another gets what that one lets in."""
    mine = "exists(one, one.name == 'tenant' && one.value == variables.tenant && has(one.matchType) && one.matchType == '=')"
    return Policy(
        "tenants-alertmanagerconfigs",
        API,
        "v1alpha1",
        ("alertmanagerconfigs",),
        {
            f"!has(object.spec.route) || (has(object.spec.route.matchers) && object.spec.route.matchers.{mine})": (
                "alerts of others would come in (route.matchers)"
            ),
            f"!has(object.spec.inhibitRules) || object.spec.inhibitRules.all(rule, has(rule.sourceMatch)"
            f" && rule.sourceMatch.{mine} && has(rule.targetMatch) && rule.targetMatch.{mine})": (
                "it would silence alerts of others (inhibitRules)"
            ),
        },
        tenant(plan),
        None,
        of_tenants(plan),
    )
