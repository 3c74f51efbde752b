"""A real Traefik as the edge. Its Kubernetes provider needs an API server: here the compiled Ingresses, Middlewares
and ServersTransports are told to it as files instead, so what is not proved is how Traefik reads those objects."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from podrunner.network import DOMAIN
from podrunner.objects import Object, Objects, Unsupported, identity

NAMESPACE = "traefik"
ANNOTATION = "traefik.ingress.kubernetes.io/"
LABELS = {"app.kubernetes.io/name": "traefik"}


def edge(objects: Iterable[Object], store: Objects) -> list[Object]:
    """Traefik's objects for all Ingresses of its class; `store` has the Secrets of their certificates."""
    there = Objects(objects)
    ingresses = [one for one in there.of_kind("Ingress") if one["spec"].get("ingressClassName") == "traefik"]
    files = {"traefik.yaml": json.dumps(_static()), "routes.yaml": json.dumps(_dynamic(ingresses, there), indent=1)}
    secrets = _certificates(ingresses, store)
    return [
        {"kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"kubernetes.io/metadata.name": NAMESPACE}}},
        {"kind": "ConfigMap", "metadata": {"name": "traefik", "namespace": NAMESPACE}, "data": files},
        secrets,
        {
            "kind": "Deployment",
            "metadata": {"name": "traefik", "namespace": NAMESPACE},
            "spec": {"replicas": 1, "template": {"metadata": {"labels": LABELS}, "spec": _pod()}},
        },
        {
            "kind": "Service",
            "metadata": {"name": "traefik", "namespace": NAMESPACE},
            "spec": {
                "type": "LoadBalancer",
                "selector": LABELS,
                "ports": [
                    {"name": "web", "port": 80, "targetPort": "web"},
                    {"name": "websecure", "port": 443, "targetPort": "websecure"},
                ],
            },
        },
    ]


def hosts_of(objects: Iterable[Object]) -> list[str]:
    """Every name that the Ingresses answer to."""
    found = {rule["host"] for one in objects if one["kind"] == "Ingress" for rule in one["spec"]["rules"]}
    return sorted(found)


def _pod() -> Object:
    container = {
        "name": "traefik",
        "image": "docker.io/library/traefik:v3",
        "command": ["traefik", "--configFile=/etc/traefik/traefik.yaml"],
        "ports": [
            {"name": "web", "containerPort": 8000},
            {"name": "websecure", "containerPort": 8443},
            {"name": "ping", "containerPort": 8080},
        ],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": "ping"}, "periodSeconds": 1},
        "securityContext": {"readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "configuration", "mountPath": "/etc/traefik", "readOnly": True},
            {"name": "certificates", "mountPath": "/certificates", "readOnly": True},
        ],
    }
    return {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
        "terminationGracePeriodSeconds": 10,
        "containers": [container],
        "volumes": [
            # Certificates first: Traefik reads them when the configuration changes.
            {"name": "certificates", "secret": {"secretName": "traefik-certificates", "defaultMode": 0o440}},
            {"name": "configuration", "configMap": {"name": "traefik"}},
        ],
    }


def _static() -> Object:
    return {
        "entryPoints": {
            "web": {"address": ":8000"},
            "websecure": {"address": ":8443"},
            "traefik": {"address": ":8080"},
        },
        "ping": {},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "providers": {"file": {"filename": "/etc/traefik/routes.yaml"}},
        "log": {"level": "INFO", "noColor": True},
        "accessLog": {"format": "json"},
    }


def _dynamic(ingresses: Iterable[Object], objects: Objects) -> Object:
    """Routers, services, middlewares and transports in the words of Traefik's file provider."""
    routers: dict[str, Any] = {}
    services: dict[str, Any] = {}
    certificates: dict[str, Any] = {}
    for ingress in ingresses:
        _, namespace, name = identity(ingress)
        annotations = _annotations(ingress)
        for tls in ingress["spec"].get("tls", []):
            stem = f"/certificates/{namespace}.{tls['secretName']}"
            certificates[stem] = {"certFile": f"{stem}.crt", "keyFile": f"{stem}.key"}
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                called = f"{namespace}-{backend['name']}"
                services[called] = _service(namespace, backend, objects)
                router: dict[str, Any] = {"rule": _rule(rule["host"], path), "service": called}
                if "router.entrypoints" in annotations:
                    router["entryPoints"] = annotations["router.entrypoints"].split(",")
                if annotations.get("router.tls") == "true":
                    router["tls"] = {}
                if "router.middlewares" in annotations:
                    router["middlewares"] = [
                        one.partition("@")[0] for one in annotations["router.middlewares"].split(",")
                    ]
                routers[f"{namespace}-{name}-{len(routers)}"] = router
    middlewares = {_qualified(one): one["spec"] for one in objects.of_kind("Middleware")}
    transports = {_qualified(one): one["spec"] for one in objects.of_kind("ServersTransport")}
    http = {"routers": routers, "services": services, "middlewares": middlewares, "serversTransports": transports}
    return {
        "http": {key: value for key, value in http.items() if value},
        "tls": {"certificates": list(certificates.values())},
    }


def _annotations(one: Object) -> dict[str, str]:
    """Traefik's own, without their prefix. Raises Unsupported for one that is not told on."""
    known = {"router.entrypoints", "router.tls", "router.middlewares", "service.serverstransport"}
    annotations = one["metadata"].get("annotations", {})
    found = {key.removeprefix(ANNOTATION): value for key, value in annotations.items() if key.startswith(ANNOTATION)}
    if unknown := set(found) - known:
        raise Unsupported(f"{one['kind']} {one['metadata']['name']}: annotation {ANNOTATION}{min(unknown)}")
    return found


def _qualified(one: Object) -> str:
    return f"{one['metadata']['namespace']}-{one['metadata']['name']}"


def _rule(host: str, path: Object) -> str:
    """As Traefik's provider spells an Ingress: `Prefix` ends at a path's element, as Kubernetes says."""
    where = path.get("path", "/")
    if path["pathType"] == "Exact":
        return f"Host(`{host}`) && Path(`{where}`)"
    if where == "/":
        return f"Host(`{host}`) && PathPrefix(`/`)"
    return f"Host(`{host}`) && (Path(`{where}`) || PathPrefix(`{where.rstrip('/')}/`))"


def _service(namespace: str, backend: Object, objects: Objects) -> Object:
    service = objects.need("Service", namespace, backend["name"])
    port = backend["port"]
    number = port.get("number") or next(
        one["port"] for one in service["spec"]["ports"] if one.get("name") == port["name"]
    )
    balancer: dict[str, Any] = {"servers": [{"url": f"http://{backend['name']}.{namespace}.{DOMAIN}:{number}"}]}
    transport = _annotations(service).get("service.serverstransport")
    if transport:
        balancer["serversTransport"] = transport.partition("@")[0]
    return {"loadBalancer": balancer}


def _certificates(ingresses: Iterable[Object], store: Objects) -> Object:
    """All certificates of the Ingresses in one Secret: Traefik itself reads those of every namespace."""
    data = {}
    for ingress in ingresses:
        _, namespace, _ = identity(ingress)
        for tls in ingress["spec"].get("tls", []):
            secret = store.need("Secret", namespace, tls["secretName"])
            data[f"{namespace}.{tls['secretName']}.crt"] = secret["data"]["tls.crt"]
            data[f"{namespace}.{tls['secretName']}.key"] = secret["data"]["tls.key"]
    return {"kind": "Secret", "metadata": {"name": "traefik-certificates", "namespace": NAMESPACE}, "data": data}
