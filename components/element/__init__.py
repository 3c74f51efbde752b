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
from matrixfleet.plan import TenantPlan
from matrixfleet.templates import render

FOLDER = "/etc/element"


@component("workload/element")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Configuration, Service, Deployment; nothing where the tenant has no Element host."""
    if "element" not in plan.workloads:
        return
    files = {
        "nginx.conf": render(__file__, "nginx.conf.j2", folder=FOLDER, port=port(plan)),
        "headers.conf": render(__file__, "headers.conf.j2", policy=content_policy(plan)),
        "config.json": json.dumps(config(plan), indent=2) + "\n",
        "manifest.json": json.dumps(manifest(plan), indent=2) + "\n",
    }
    yield config_map(plan, "element", files)
    yield service(plan, "element", annotations=backend_annotations(plan, "element"))
    yield deployment(plan, "element", template(plan, files), strategy=ROLLING)


def port(plan: TenantPlan) -> int:
    """Where nginx listens."""
    return plan.workloads["element"].ports["http"]


def config(plan: TenantPlan) -> dict[str, Any]:
    """config.json (element-web, docs/config.md). Integrations and analytics are off unless named."""
    branding = plan.tenant.element.branding
    integrations = plan.tenant.element.integrations
    look = {
        "auth_header_logo_url": branding.logo,
        "welcome_background_url": branding.welcome_background,
        "auth_footer_links": [{"text": text, "url": url} for text, url in branding.footer_links.items()],
    }
    themes = [{"name": theme.name, "is_dark": theme.is_dark, "colors": dict(theme.colors)} for theme in branding.themes]
    return {
        "default_server_config": {
            "m.homeserver": {
                "base_url": f"https://{plan.tenant.hosts.matrix}",
                "server_name": plan.tenant.server_name,
            }
        },
        "disable_custom_urls": True,
        "disable_guests": not plan.tenant.synapse.guests,
        "brand": branding.brand,
        "branding": {key: value for key, value in look.items() if value},
        "default_theme": branding.default_theme,
        "setting_defaults": {"custom_themes": themes, **account_features(plan)},
        "integrations_ui_url": integrations.ui_url if integrations else None,
        "integrations_rest_url": integrations.rest_url if integrations else None,
        "integrations_widgets_urls": [f"{integrations.rest_url}/widgets"] if integrations else [],
        "show_labs_settings": False,
        "map_style_url": None,
    }


def account_features(plan: TenantPlan) -> dict[str, bool]:
    """What Element offers of accounts: registration where a token opens it, and no lost passwords where
    there are none."""
    auth = plan.tenant.auth
    features = {"UIFeature.registration": auth.registration.tokens}
    if not auth.password:
        features["UIFeature.passwordReset"] = False
    return features


def manifest(plan: TenantPlan) -> dict[str, Any]:
    """The installed app (PWA): the tenant's name and colour, the icons that Element ships."""
    branding = plan.tenant.element.branding
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


def content_policy(plan: TenantPlan) -> str:
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


def template(plan: TenantPlan, files: dict[str, str]) -> Object:
    """An nginx Pod, healthy when it serves the page itself."""
    mounts = [configuration(plan, "element", FOLDER), scratch("tmp", "/tmp", "64Mi")]
    page = {"httpGet": {"path": "/", "port": "http"}}
    nginx = container(
        plan,
        "element",
        "nginx",
        ["nginx", "-c", f"{FOLDER}/nginx.conf", "-e", "/dev/stderr", "-g", "daemon off;"],
        mounts,
        ports=plan.workloads["element"].ports,
        startupProbe=probe(2, 30, 2, **page),
        readinessProbe=probe(5, 2, 2, **page),
        livenessProbe=probe(15, 3, 2, **page),
        lifecycle={"preStop": {"sleep": {"seconds": 5}}},
    )
    return pod_template(plan, "element", [nginx], mounts, reads=files, terminationGracePeriodSeconds=30)
