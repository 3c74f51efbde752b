"""Element Web: nginx that serves files, with the tenant's configuration, branding and headers."""

import json
from collections.abc import Iterator
from typing import Any

from matrixfleet.drawing import component
from matrixfleet.kubernetes.edges import backend_annotations
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import config_map, service
from matrixfleet.kubernetes.pods import (
    ROLLING,
    configuration,
    container,
    deployment,
    pod_template,
    probe,
    scratch,
)
from matrixfleet.plan import Plan
from matrixfleet.plan.edge import keep_alive_of, leave_after
from matrixfleet.plan.element import Web
from matrixfleet.plan.families import nginx_listen
from matrixfleet.templates import render

FOLDER = "/etc/element"
STATUS = 8081
"""Where nginx tells its numbers, on the Pod's own loopback."""


@component("workload/element")
def main(plan: Plan) -> Iterator[Object]:
    """Configuration, Service, Deployment; nothing where the target has no Element host."""
    web = plan.web
    if web is None:
        return
    addresses = nginx_listen(plan.cluster.network, port(plan))
    keep_alive = keep_alive_of(plan.cluster.edge.controller)
    files = {
        "nginx.conf": render(
            __file__, "nginx.conf.j2", folder=FOLDER, addresses=addresses, status=STATUS, keep_alive=keep_alive
        ),
        "headers.conf": render(__file__, "headers.conf.j2", policy=content_policy()),
        "config.json": json.dumps(config(web), indent=2) + "\n",
        "manifest.json": json.dumps(manifest(web), indent=2) + "\n",
    }
    yield config_map(plan, "element", files)
    yield service(plan, "element", annotations=backend_annotations(plan, "element"))
    yield deployment(plan, "element", template(plan, files), strategy=ROLLING)


def port(plan: Plan) -> int:
    """Where nginx listens."""
    return plan.workloads["element"].ports["http"]


def config(web: Web) -> dict[str, Any]:
    """config.json (element-web, docs/config.md). Integrations and analytics are off unless named."""
    branding, integrations = web.spec.branding, web.spec.integrations
    look = {
        "auth_header_logo_url": branding.logo,
        "welcome_background_url": branding.welcome_background,
        "auth_footer_links": [{"text": text, "url": url} for text, url in branding.footer_links.items()],
    }
    themes = [{"name": theme.name, "is_dark": theme.is_dark, "colors": dict(theme.colors)} for theme in branding.themes]
    features = {"UIFeature.registration": web.registration}
    if not web.password_reset:
        features["UIFeature.passwordReset"] = False
    return {
        "default_server_config": {"m.homeserver": {"base_url": web.base_url, "server_name": web.server_name}},
        "disable_custom_urls": not web.other_servers,
        "disable_guests": not web.guests,
        "brand": branding.brand,
        "branding": {key: value for key, value in look.items() if value},
        "default_theme": branding.default_theme,
        "setting_defaults": {"custom_themes": themes, **features},
        "integrations_ui_url": integrations.ui_url if integrations else None,
        "integrations_rest_url": integrations.rest_url if integrations else None,
        "integrations_widgets_urls": [f"{integrations.rest_url}/widgets"] if integrations else [],
        "show_labs_settings": False,
        "map_style_url": None,
    }


def manifest(web: Web) -> dict[str, Any]:
    """The installed app (PWA): the tenant's name and colour, the icons that Element ships."""
    branding = web.spec.branding
    icons = [
        {"src": f"/vector-icons/{size}.png", "sizes": f"{size}x{size}", "type": "image/png"} for size in (120, 180, 512)
    ]
    return {
        "name": branding.brand,
        "short_name": branding.brand,
        "display": "standalone",
        "start_url": "/",
        "scope": "/",
        "theme_color": branding.accent,
        "background_color": "#ffffff",
        "icons": icons,
    }


def content_policy() -> str:
    """Content-Security-Policy: scripts from here alone; talk to any HTTPS server, since rooms, media and
    widgets live on many; framed by nobody else."""
    rules = {
        "default-src": "'none'",
        "script-src": "'self' 'wasm-unsafe-eval'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' https: blob: data:",
        "media-src": "'self' https: blob: data:",
        "font-src": "'self' data:",
        "connect-src": "'self' https: wss: blob: data:",
        "frame-src": "'self' https: blob: data:",
        "worker-src": "'self' blob:",
        "manifest-src": "'self'",
        "form-action": "'self' https:",
        "base-uri": "'self'",
        "object-src": "'none'",
        "frame-ancestors": "'self'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def template(plan: Plan, files: dict[str, str]) -> Object:
    """An nginx Pod, healthy when it serves the page itself."""
    mounts = [configuration(plan, "element", FOLDER), scratch("tmp", "/tmp", "64Mi")]
    leave = leave_after(plan.cluster.edge.controller)
    page = {"httpGet": {"path": "/", "port": "http"}}
    nginx = container(
        plan,
        "element",
        "nginx",
        ["nginx", "-c", f"{FOLDER}/nginx.conf", "-e", "/dev/stderr", "-g", "daemon off;"],
        mounts,
        ports={"http": port(plan)},
        startupProbe=probe(2, 30, 2, **page),
        readinessProbe=probe(5, 2, 2, **page),
        livenessProbe=probe(15, 3, 2, **page),
        lifecycle={"preStop": {"sleep": {"seconds": leave}}},
    )
    exporters = [exporter(plan)] if "exporter" in plan.workloads["element"].containers else []
    return pod_template(
        plan, "element", [nginx, *exporters], mounts, reads=files, terminationGracePeriodSeconds=leave + 25
    )


def exporter(plan: Plan) -> Object:
    """Its numbers: connections and requests, which is all that nginx tells."""
    return container(
        plan,
        "element",
        "exporter",
        ["/usr/bin/nginx-prometheus-exporter", f"--nginx.scrape-uri=http://127.0.0.1:{STATUS}/stub_status"],
        [],
        ports={"metrics": plan.workloads["element"].ports["metrics"]},
        livenessProbe=probe(30, 3, 5, httpGet={"path": "/", "port": "metrics"}),
    )
