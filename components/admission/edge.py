"""The way in: hosts, classes, routes and certificates."""

import json
from collections.abc import Iterator

from matrixfleet.kubernetes.objects import HOSTS, SEVERAL
from matrixfleet.model.choices import Edge
from matrixfleet.plan import PlatformPlan

from .policy import SAID, TRACKING, Policy, cel, of_tenants, tenant


def host_variables(plan: PlatformPlan) -> dict[str, str]:
    """The namespace's hosts. In one of several tenants each has its own, and who is not known (cert-manager's solver)
    those of all."""
    own = f"variables.application == '{plan.cluster.name}-' + key.substring({len(HOSTS) + 1})"
    return {
        "said": "namespaceObject != null && has(namespaceObject.metadata.annotations)"
        " ? namespaceObject.metadata.annotations : {}",
        "application": f"{SAID}[?'{TRACKING}'].orValue('').split(':')[0]",
        "hosts": f"!('{SEVERAL}' in variables.said)"
        f" ? ('{HOSTS}' in variables.said ? variables.said['{HOSTS}'].split(',') : [])"
        f" : variables.said.filter(key, key.startsWith('{HOSTS}.') && (variables.application == '' || {own}))"
        ".map(key, variables.said[key]).join(',').split(',')",
    }


def policies(plan: PlatformPlan) -> Iterator[Policy]:
    """Of every kind of edge: a project admits only the kinds of its own."""
    yield from hosts(plan)
    yield from classes(plan)
    yield from shapes(plan)


def hosts(plan: PlatformPlan) -> Iterator[Policy]:
    """Whatever brings traffic or a public certificate for a host: the host is the namespace's own."""
    yield Policy(
        "ingress-hosts",
        "networking.k8s.io",
        "v1",
        ("ingresses",),
        {
            "has(object.spec.rules) && object.spec.rules.all(rule,"
            " has(rule.host) && rule.host in variables.hosts)": "a host of it is not this namespace's",
            "!has(object.spec.tls) || object.spec.tls.all(entry, !has(entry.hosts)"
            " || entry.hosts.all(host, host in variables.hosts))": "a TLS host of it is not this namespace's",
            "!has(object.spec.defaultBackend)": "it takes every host that nobody else has (defaultBackend)",
        },
        host_variables(plan),
    )
    yield Policy(
        "gateway-hosts",
        "gateway.networking.k8s.io",
        "v1",
        ("gateways",),
        {
            "object.spec.listeners.all(listener, !has(listener.hostname)"
            " || listener.hostname in variables.hosts)": "a listener's host is not this namespace's"
        },
        host_variables(plan),
    )
    yield Policy(
        "httproute-hosts",
        "gateway.networking.k8s.io",
        "v1",
        ("httproutes",),
        {
            "has(object.spec.hostnames) && size(object.spec.hostnames) > 0"
            " && object.spec.hostnames.all(host, host in variables.hosts)": "a host of it is not this namespace's"
        },
        host_variables(plan),
    )
    issuers = sorted({each.name for each in (plan.cluster.issuers.web, plan.cluster.issuers.dns) if each})
    yield Policy(
        "certificate-hosts",
        "cert-manager.io",
        "v1",
        ("certificates",),
        {
            "variables.own || (has(object.spec.issuerRef.kind) && object.spec.issuerRef.kind == 'ClusterIssuer'"
            " && (!has(object.spec.issuerRef.group) || object.spec.issuerRef.group == 'cert-manager.io')"
            f" && object.spec.issuerRef.name in {cel(issuers)})": "its issuer is neither its namespace's nor the cluster's",
            "variables.own || !has(object.spec.ipAddresses) && !has(object.spec.uris) && !has(object.spec.emailAddresses)"
            " && !has(object.spec.otherNames) && !has(object.spec.literalSubject)"
            " && !(has(object.spec.isCA) && object.spec.isCA)": "it asks the cluster's issuer for more than hosts",
            "variables.own || has(object.spec.dnsNames)"
            " && object.spec.dnsNames.all(host, host in variables.hosts)"
            " && (!has(object.spec.commonName) || object.spec.commonName in variables.hosts)": (
                "a public name of it is not this namespace's"
            ),
        },
        host_variables(plan)
        | {
            "own": "(!has(object.spec.issuerRef.kind) || object.spec.issuerRef.kind == 'Issuer')"
            " && (!has(object.spec.issuerRef.group) || object.spec.issuerRef.group == 'cert-manager.io')"
        },
    )


def classes(plan: PlatformPlan) -> Iterator[Policy]:
    """Classes of the edge: those that the cluster's class names."""
    edge = json.dumps(plan.cluster.edge.class_name)
    annotation = "'kubernetes.io/ingress.class'"
    yield Policy(
        "ingress-class",
        "networking.k8s.io",
        "v1",
        ("ingresses",),
        {
            # Google's controller reads the annotation alone.
            f"has(object.spec.ingressClassName) ? object.spec.ingressClassName == {edge}"
            f" : has(object.metadata.annotations) && {annotation} in object.metadata.annotations"
            f" && object.metadata.annotations[{annotation}] == {edge}": (
                f"its class is not {plan.cluster.edge.class_name}"
            )
        },
    )
    yield Policy(
        "gateway-class",
        "gateway.networking.k8s.io",
        "v1",
        ("gateways",),
        {f"object.spec.gatewayClassName == {edge}": f"its class is not {plan.cluster.edge.class_name}"},
    )


def shapes(plan: PlatformPlan) -> Iterator[Policy]:
    """What a tenant's routes and issuers say beside hosts."""
    conditions = of_tenants(plan)
    # Traefik joins a path into a rule of its own between backquotes; others into a configuration.
    yield Policy(
        "tenants-ingresses",
        "networking.k8s.io",
        "v1",
        ("ingresses",),
        {
            "!has(object.spec.rules) || object.spec.rules.all(rule, !has(rule.http) || rule.http.paths.all(one,"
            " has(one.path) && one.path.matches('^/[A-Za-z0-9/_.~-]*$') && one.pathType in ['Prefix', 'Exact']"
            " && has(one.backend.service)))": "a path or backend of it is not a plain one",
        },
        {},
        None,
        conditions,
    )
    yield Policy(
        "tenants-issuers",
        "cert-manager.io",
        "v1",
        ("issuers",),
        {
            "(has(object.spec.ca) || has(object.spec.selfSigned)) && !has(object.spec.acme) && !has(object.spec.vault)"
            " && !has(object.spec.venafi)": "it signs otherwise than with a key of its namespace"
        },
        {},
        None,
        conditions,
    )
    gateway = plan.cluster.edge.gateway
    parent = (
        f"has(parent.namespace) && parent.namespace == {cel(gateway.namespace)} && parent.name == {cel(gateway.name)}"
        if gateway
        else "!has(parent.namespace) && parent.name == variables.tenant + '-edge'"
    )
    yield Policy(
        "tenants-httproutes",
        "gateway.networking.k8s.io",
        "v1",
        ("httproutes",),
        {
            "has(object.spec.parentRefs) && object.spec.parentRefs.all(parent,"
            f" (!has(parent.kind) || parent.kind == 'Gateway') && {parent})": "its Gateway is not the one of this tenant's edge",
            "!has(object.spec.rules) || object.spec.rules.all(rule, (!has(rule.backendRefs)"
            " || rule.backendRefs.all(one, !has(one.namespace) && (!has(one.kind) || one.kind == 'Service')"
            " && one.name.startsWith(variables.tenant + '-') && !has(one.filters)))"
            " && (!has(rule.filters) || rule.filters.all(one, one.type == 'RequestRedirect'"
            " && !has(one.requestRedirect.hostname))))": "it leads elsewhere than to this tenant's Services",
        },
        tenant(plan),
        None,
        conditions,
    )
    if plan.cluster.edge.controller is Edge.TRAEFIK:
        yield Policy(
            "tenants-middlewares",
            "traefik.io",
            "v1alpha1",
            ("middlewares",),
            {
                "has(object.spec.redirectScheme) && !has(dyn(object.spec).forwardAuth) && !has(dyn(object.spec).chain)"
                " && !has(dyn(object.spec).errors) && !has(dyn(object.spec).plugin)": "it does more than lead to HTTPS"
            },
            {},
            None,
            conditions,
        )
    if plan.istio is not None or plan.cluster.edge.controller is Edge.ISTIO:
        yield from mesh(plan)


def mesh(plan: PlatformPlan) -> Iterator[Policy]:
    """Istio tells every sidecar of the mesh what a namespace says, unless it says otherwise (exportTo)."""
    conditions, api = of_tenants(plan), "networking.istio.io"
    domain, around = plan.cluster.network.domain, [plan.cluster.edge.peers[0].namespace or ""]
    gateway = plan.cluster.edge.gateway
    around += [gateway.namespace] if gateway else []
    # Where it routes to: a Service of a namespace of this tenant's, or of the platform's.
    local = f"variables.places.exists(place, host.endsWith('.' + place + '.svc.{domain}'))"
    yield Policy(
        "tenants-destinationrules",
        api,
        "v1",
        ("destinationrules",),
        {
            "has(object.spec.exportTo) && object.spec.exportTo == ['.']": "sidecars of others would hear of it (exportTo)"
        },
        {},
        None,
        conditions,
        ((api, "v1", ("serviceentries",)),),
    )
    gateways = cel([f"{gateway.namespace}/{gateway.name}"]) if gateway else "[variables.tenant + '-edge']"
    yield Policy(
        "tenants-virtualservices",
        api,
        "v1",
        ("virtualservices",),
        {
            f"has(object.spec.exportTo) && object.spec.exportTo.all(one, one == '.' || one in {cel(around)})": (
                "sidecars of others would hear of it (exportTo)"
            ),
            f"has(object.spec.gateways) && object.spec.gateways.all(one, one in {gateways})": (
                "its Gateway is not the one of this tenant's edge"
            ),
            "has(object.spec.hosts) && object.spec.hosts.all(host, host in variables.hosts)": (
                "a host of it is not this namespace's"
            ),
            "has(object.spec.http) && !has(object.spec.tls) && !has(object.spec.tcp) && object.spec.http.all(rule,"
            " !has(rule.mirror) && !has(rule.mirrors) && !has(rule.delegate) && (!has(rule.route)"
            f" || rule.route.map(to, to.destination.host).all(host, {local})))": "it leads elsewhere than to this tenant's Services",
        },
        host_variables(plan) | tenant(plan, parts=True),
        None,
        conditions,
    )
    yield Policy(
        "tenants-istio-gateways",
        api,
        "v1",
        ("gateways",),
        {
            "has(object.spec.servers) && object.spec.servers.all(server, server.hosts.all(host,"
            " host.split('/').size() == 2 && host.split('/')[0] == object.metadata.namespace"
            " && (host.split('/')[1] in variables.hosts)))": "a host of it is not this namespace's",
            "object.spec.servers.all(server, !has(server.tls) || !has(server.tls.credentialName)"
            " || server.tls.credentialName.startsWith(variables.tenant + '-'))": "it serves with a certificate of another (credentialName)",
        },
        host_variables(plan) | tenant(plan),
        None,
        conditions,
    )
