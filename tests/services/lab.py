"""A tenant of the reference fleet's cluster that logs in at an OpenID provider alone and has a face of its own, and
the provider: fixtures of several files."""

import json

import pytest
from harness import bring_up, publish, secret, variant

from fleetnode import certificates, overlays

NAME = "lab"
SERVER_NAME = "lab.example.org"
URL = f"https://matrix.{SERVER_NAME}"
SSO, ADDRESS, PORT = "sso.example.org", "10.96.7.8", 8443
ISSUER = f"https://{SSO}/realms/lab"
SECRET = "only-the-two-of-them-know"
LABELS = {"app": "provider"}
TENANT = f"""\
classes:
  - pattern.single-tenant
  - feature.closed-federation
parameters:
  matrix:
    size: small
    server_name: {SERVER_NAME}
    hosts:
      matrix: matrix.{SERVER_NAME}
      element: chat.{SERVER_NAME}
    element:
      branding:
        brand: Laboratory
        accent: "#123456"
        logo: https://chat.{SERVER_NAME}/logo.svg
        footer_links: {{Privacy: "https://lab.example.org/privacy"}}
        themes: [{{name: Deep, is_dark: true, colors: {{accent-color: "#123456"}}}}]
        default_theme: custom-Deep
    auth:
      kind: oidc
      password: false
      providers:
        lab:
          preset: keycloak
          issuer: {ISSUER}
          client_id: matrix
          backchannel_logout: true
          reach: [{{namespace: sso, pods: {{app: provider}}, port: {PORT}}}]
"""


@pytest.fixture(scope="session")
def provider(node, world):
    """The provider, where its public name leads back into the cluster."""
    where = {"namespace": "sso", "name": "provider"}
    certificate = {
        "kind": "Certificate",
        "metadata": where,
        "spec": {
            "secretName": "provider-tls",
            "dnsNames": [SSO],
            "usages": ["server auth"],
            "issuerRef": {"kind": "ClusterIssuer", "name": "world"},
        },
    }
    certificates.issue([certificate], node.objects, world)
    client = {
        "client_id": "matrix",
        "client_secret": SECRET,
        "redirect_uris": [f"{URL}/_synapse/client/oidc/callback"],
        "backchannel_logout_uri": f"{URL}/_synapse/client/oidc/backchannel_logout",
        "backchannel_logout_session_required": True,
    }
    environment = {"ISSUER": ISSUER, "CLIENT": json.dumps(client), "NODE_EXTRA_CA_CERTS": "/tls/ca.crt"}
    container = {
        "name": "provider",
        "image": "fleetnode/node",
        "command": ["node", "/opt/node/scripts/provider.mjs"],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "ports": [{"name": "https", "containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": "https"}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}],
    }
    pod = {
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secretName": "provider-tls"}}],
    }
    ports = [{"port": 443, "targetPort": "https"}]
    service = {"kind": "Service", "metadata": where, "spec": {"clusterIP": ADDRESS, "selector": LABELS, "ports": ports}}
    publish(node, {SSO: ADDRESS})
    node.wait_ready(30, node.apply([service, {"kind": "Pod", "metadata": {**where, "labels": LABELS}, "spec": pod}]))
    yield node.runs["sso/provider"]
    for kind in ("Pod", "Service"):
        node.remove(kind, "sso", "provider")


@pytest.fixture(scope="session")
def lab(node, world, provider, tmp_path_factory):
    """A tenant of the reference fleet's cluster that logs in there alone."""
    folder = variant(tmp_path_factory.mktemp("fleet"), NAME, TENANT)
    node.objects.add(secret(NAME, f"{NAME}-oidc-lab-1", {"client_secret": SECRET}))
    return bring_up(node, world, folder, (*overlays.SINGLE_TENANT, overlays.trusting(world.pem)))
