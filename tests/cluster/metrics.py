"""The resource metrics API (metrics.k8s.io), for the real autoscaler: what Pods use is what a test says they use.

kwok's Pods use nothing, and without this API every HorizontalPodAutoscaler is Degraded.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from api import Api, Object, until

GROUP = "metrics.k8s.io"
ADDRESS = "192.0.2.1"
"""Of this machine (run.py); the API server takes no endpoint on loopback."""


class Metrics:
    """Serves one cluster. `load` is the CPU of each of a component's containers, in millicores; 1 unless said."""

    def __init__(self, api: Api, certificate: str, key: str, port: int) -> None:
        self.api, self.load = api, dict[tuple[str, str], int]()
        handler = type("Served", (Handler,), {"metrics": self})
        server = ThreadingHTTPServer((ADDRESS, port), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.register(port)

    def register(self, port: int) -> None:
        """Tell the API server, and wait until it answers for it."""
        place = {"name": "metrics", "namespace": "kube-system"}
        ports = [{"name": "https", "port": port, "protocol": "TCP"}]
        self.api.apply({"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": {"ports": ports}})
        labels = {"labels": {"kubernetes.io/service-name": "metrics"}}
        self.api.apply({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": place | labels, "ports": ports,
            "addressType": "IPv4", "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        })  # fmt: skip
        service = {"name": "metrics", "namespace": "kube-system", "port": port}
        self.api.apply({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"v1beta1.{GROUP}"},
            "spec": {"group": GROUP, "version": "v1beta1", "service": service, "insecureSkipTLSVerify": True,
                     "groupPriorityMinimum": 100, "versionPriority": 100},
        })  # fmt: skip
        until("metrics are served", lambda: self.api.request("GET", f"/apis/{GROUP}/v1beta1/pods"), 60)

    def pods(self, namespace: str | None, labels: str) -> list[Object]:
        """What each running Pod uses."""
        found = []
        for pod in self.api.list("v1", "Pod", namespace, labels):
            if pod["status"].get("phase") == "Running":
                metadata = pod["metadata"]
                component = metadata.get("labels", {}).get("app.kubernetes.io/component", "")
                cpu = self.load.get((metadata["namespace"], component), 1)
                used = [
                    {"name": one["name"], "usage": {"cpu": f"{cpu}m", "memory": "1Mi"}}
                    for one in pod["spec"]["containers"]
                ]
                found.append({
                    "kind": "PodMetrics", "apiVersion": f"{GROUP}/v1beta1", "window": "15s", "containers": used,
                    "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "labels": metadata.get("labels", {})},
                    "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                })  # fmt: skip
        return found


class Handler(BaseHTTPRequestHandler):
    """The three paths of the API that anybody asks for."""

    protocol_version = "HTTP/1.1"
    metrics: Metrics

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if parts[-1] == "pods":
            namespace = parts[4] if len(parts) == 6 else None
            labels = parse_qs(url.query).get("labelSelector", [""])[0]
            items = self.metrics.pods(namespace, labels)
            self.answer({"kind": "PodMetricsList", "apiVersion": f"{GROUP}/v1beta1", "metadata": {}, "items": items})
        elif parts == ["apis", GROUP, "v1beta1"]:
            kinds = [
                {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}
            ]
            self.answer(
                {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/v1beta1", "resources": kinds}
            )
        else:
            self.answer({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}, 404)

    def answer(self, body: Any, status: int = 200) -> None:
        """JSON."""
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
