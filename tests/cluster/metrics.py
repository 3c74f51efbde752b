"""For the metrics-server: an aggregated API that says how busy Pods are. Nothing runs in them, so it says what a test tells it.

Without it an autoscaler knows nothing, and Argo CD calls it Degraded.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from api import Object
from plane import Plane

GROUP, VERSION, NAME, PLACE = "metrics.k8s.io", "v1beta1", "metrics-server", "kube-system"
RESOURCE = {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}
CALM = 0.3
"""Of what is requested, where a test says nothing."""


class Metrics:
    """How busy the Pods of one cluster are."""

    def __init__(self, plane: Plane, address: str) -> None:
        """address: one that no other server of this namespace has; the API takes no loopback address for an endpoint"""
        assert plane.api
        self.plane, self.api, self.address = plane, plane.api, address
        self.busy: dict[str, float] = {}
        """By the component of a Pod's labels: its part of the CPU that it requests."""

    def start(self) -> None:
        """Serve it, and tell the API server."""
        files, host = self.plane.certificates, f"{NAME}.{PLACE}.svc"
        files.sign("metrics", [host])
        subprocess.run(["ip", "address", "replace", f"{self.address}/32", "dev", "lo"], check=True)
        server = ThreadingHTTPServer((self.address, 443), type("Handler", (Handler,), {"metrics": self}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.file("metrics.crt"), files.file("metrics.key"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        named = {"name": NAME, "namespace": PLACE}
        ports = [{"name": "https", "protocol": "TCP", "port": 443}]
        self.api.apply({"apiVersion": "v1", "kind": "Service", "metadata": named, "spec": {"ports": ports}})
        self.api.apply({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": ports,
            "metadata": {**named, "labels": {"kubernetes.io/service-name": NAME}},
            "endpoints": [{"addresses": [self.address], "conditions": {"ready": True}}],
        })  # fmt: skip
        ca = base64.b64encode((files.folder / "ca.crt").read_bytes()).decode()
        self.api.apply({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"{VERSION}.{GROUP}"},
            "spec": {"group": GROUP, "version": VERSION, "groupPriorityMinimum": 100, "versionPriority": 100,
                     "caBundle": ca, "service": {**named, "port": 443}},
        })  # fmt: skip

    def of(self, namespace: str, labels: str) -> list[Object]:
        """What the Pods of a namespace use."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        found = []
        for pod in self.api.list("v1", "Pod", namespace, labels):
            part = self.busy.get(pod["metadata"]["labels"].get("app.kubernetes.io/component", ""), CALM)
            containers = [
                {"name": each["name"], "usage": {"cpu": f"{int(cpu(each) * part)}m", "memory": "1Mi"}}
                for each in pod["spec"]["containers"]
            ]
            metadata = {name: pod["metadata"][name] for name in ("name", "namespace", "labels")}
            found.append({"metadata": metadata, "timestamp": now, "window": "30s", "containers": containers})
        return found


def cpu(container: Object) -> int:
    """Millicores that it requests."""
    said = str(container.get("resources", {}).get("requests", {}).get("cpu", "0"))
    return int(said.removesuffix("m")) if said.endswith("m") else int(float(said) * 1000)


class Handler(BaseHTTPRequestHandler):
    """The two questions that are asked."""

    metrics: Metrics

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        parts = path.strip("/").split("/")
        group = f"{GROUP}/{VERSION}"
        if parts[:3] != ["apis", GROUP, VERSION]:
            said, status = {"kind": "Status", "status": "Failure", "code": 404}, 404
        elif len(parts) == 3:
            said, status = (
                {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": [RESOURCE]},
                200,
            )
        else:
            labels = urllib.parse.parse_qs(query).get("labelSelector", [""])[0]
            items = self.metrics.of(parts[4], labels)
            said, status = {"kind": "PodMetricsList", "apiVersion": group, "metadata": {}, "items": items}, 200
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
