"""Rebuild the stored CRD schemas: `python -m matrixfleet.checks.schemas.fetch`.

A maintainer's tool. It reads each project's CRDs from the Go module the project publishes, so it needs
Go on PATH. Versions are pinned in SOURCES; to move one, change it here, run this and read the diff.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import yaml

Json = dict[str, Any]

CRDS = Path(__file__).parent / "crds"


class Source(NamedTuple):
    """A Go module, and the file or folder in it that holds CRDs."""

    module: str
    version: str
    path: str


SOURCES = (
    Source("github.com/argoproj/argo-cd/v3", "v3.5.7", "manifests/crds/"),
    Source("github.com/cert-manager/cert-manager", "v1.20.2", "deploy/crds/"),
    Source("github.com/cloudnative-pg/cloudnative-pg", "v1.30.0", "config/crd/bases/"),
    Source("github.com/cloudnative-pg/plugin-barman-cloud", "v0.14.0", "config/crd/bases/"),
    Source("github.com/envoyproxy/gateway", "v1.9.1", "charts/gateway-helm/charts/crds/crds/generated/"),
    Source("github.com/external-secrets/external-secrets", "v0.19.2", "config/crds/bases/"),
    Source("github.com/prometheus-operator/prometheus-operator", "v0.85.0", "example/prometheus-operator-crd/"),
    Source(
        "github.com/traefik/traefik/v3",
        "v3.7.13",
        "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
    ),
    Source("istio.io/api", "v1.31.4", "kubernetes/customresourcedefinitions.gen.yaml"),
    Source("sigs.k8s.io/gateway-api", "v1.6.3", "config/crd/standard/"),
)

# By group, because both Istio and the Gateway API have a Gateway.
KINDS: dict[str, tuple[str, ...]] = {
    "argoproj.io": ("Application", "AppProject"),
    "barmancloud.cnpg.io": ("ObjectStore",),
    "cert-manager.io": ("Certificate", "ClusterIssuer", "Issuer"),
    "external-secrets.io": ("ClusterSecretStore", "ExternalSecret", "PushSecret", "SecretStore"),
    "gateway.envoyproxy.io": ("ClientTrafficPolicy",),
    "gateway.networking.k8s.io": (
        "BackendTLSPolicy",
        "Gateway",
        "GatewayClass",
        "HTTPRoute",
        "ReferenceGrant",
    ),
    "monitoring.coreos.com": (
        "Alertmanager",
        "AlertmanagerConfig",
        "PodMonitor",
        "Probe",
        "Prometheus",
        "PrometheusRule",
        "ServiceMonitor",
    ),
    "networking.istio.io": (
        "DestinationRule",
        "EnvoyFilter",
        "Gateway",
        "ServiceEntry",
        "Sidecar",
        "VirtualService",
    ),
    "postgresql.cnpg.io": ("Backup", "Cluster", "Database", "Pooler", "ScheduledBackup"),
    "security.istio.io": ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"),
    "telemetry.istio.io": ("Telemetry",),
    "traefik.io": (
        "IngressRoute",
        "IngressRouteTCP",
        "IngressRouteUDP",
        "Middleware",
        "MiddlewareTCP",
        "ServersTransport",
        "TLSOption",
    ),
}

# A list of what to keep, not of what to drop: prose and extensions that appear later stay out by themselves.
KEPT = (
    "enum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "required",
    "uniqueItems",
)
# Other formats either say nothing checkable (int64) or mean something else to Kubernetes than to JSON Schema.
FORMATS = ("byte", "date-time", "ipv4", "ipv6")
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]

STRINGS = {"additionalProperties": {"type": "string"}, "type": "object"}
OWNER = {
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"type": "string"},
        "blockOwnerDeletion": {"type": "boolean"},
        "controller": {"type": "boolean"},
        "kind": {"type": "string"},
        "name": {"type": "string"},
        "uid": {"type": "string"},
    },
    "required": ["apiVersion", "kind", "name", "uid"],
    "type": "object",
}
# What a manifest may set; the server fills in the rest of ObjectMeta.
METADATA = {
    "additionalProperties": False,
    "properties": {
        "annotations": STRINGS,
        "finalizers": {"items": {"type": "string"}, "type": "array"},
        "labels": STRINGS,
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "ownerReferences": {"items": OWNER, "type": "array"},
    },
    "type": "object",
}


class FetchError(Exception):
    """A reason to stop that the maintainer can act on."""


class _Loader(yaml.SafeLoader):
    pass


# YAML 1.1 gives a bare "=" a type of its own, which the loader lacks; Prometheus matchers list it in an enum.
_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


def download(source: Source) -> Path:
    """The module's zip in Go's module cache."""
    # Outside any module, so that no go.mod is read or changed.
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["go", "mod", "download", "-json", f"{source.module}@{source.version}"],
            cwd=folder,
            env=os.environ | {"GOFLAGS": "-mod=mod"},
            capture_output=True,
            text=True,
        )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"Error": done.stderr.strip()}
    if "Zip" not in answer:
        reason = str(answer.get("Error", "")).splitlines() or ["go gave no reason"]
        raise FetchError(f"cannot download {source.module}@{source.version}: {reason[0]}")
    return Path(answer["Zip"])


def read_crds(archive: zipfile.ZipFile, source: Source) -> Iterator[tuple[str, Json]]:
    """Each CRD under the source's path, with the name of its file in the module."""
    prefix = f"{source.module}@{source.version}/"
    for name in archive.namelist():
        if name.startswith(prefix + source.path) and name.endswith((".yaml", ".yml")):
            for document in yaml.load_all(archive.read(name), Loader=_Loader):
                if document and document.get("kind") == "CustomResourceDefinition":
                    yield name.removeprefix(prefix), document


def translate(node: Json, outer: Json | None = None) -> Json:
    """Plain JSON Schema that says what the CRD's schema says to Kubernetes.

    In allOf, anyOf, oneOf and not, a schema only adds conditions on fields that are declared outside it, so
    there it must not refuse the others. There, and only there, `outer` is given: those fields' defaults.
    """
    out = {key: node[key] for key in KEPT if key in node}
    if node.get("format") in FORMATS:
        out["format"] = node["format"]
    inside: Json | None = None if outer is None else {}
    defaults = _defaults(node) | (outer or {})
    if "properties" in node:
        out["properties"] = {name: translate(child, inside) for name, child in node["properties"].items()}
    if "items" in node:
        out["items"] = translate(node["items"], inside)
    if "not" in node:
        out["not"] = translate(node["not"], defaults)
    for key in ("allOf", "anyOf", "oneOf"):
        if key in node:
            out[key] = [translate(child, defaults) for child in node[key]]
    _set_type(node, out)
    _set_additional(node, out, inside)
    _set_required(out, defaults)
    return out


def _defaults(node: Json) -> Json:
    properties = node.get("properties", {})
    return {name: child["default"] for name, child in properties.items() if "default" in child}


def _set_type(node: Json, out: Json) -> None:
    types = [node["type"]] if "type" in node else []
    if node.get("x-kubernetes-int-or-string"):
        types = ["integer", "string"]
        if out.get("anyOf") == INT_OR_STRING:
            del out["anyOf"]
    # The server drops a null from a field that has a default, and then applies the default.
    if types and (node.get("nullable") or "default" in node):
        types.append("null")
        if "enum" in out and None not in out["enum"]:
            out["enum"] = [*out["enum"], None]
    if types:
        out["type"] = types[0] if len(types) == 1 else types


def _set_additional(node: Json, out: Json, inside: Json | None) -> None:
    additional = node.get("additionalProperties")
    is_open = node.get("x-kubernetes-preserve-unknown-fields") or node.get("x-kubernetes-embedded-resource")
    if isinstance(additional, dict):
        out["additionalProperties"] = translate(additional, inside)
    elif additional is not None:
        out["additionalProperties"] = additional
    elif inside is None and "properties" in node and not is_open:
        out["additionalProperties"] = False


def _set_required(out: Json, defaults: Json) -> None:
    """Make the schema, meant for an object with its defaults applied, say the same of one without them."""
    required = [name for name in out.pop("required", ()) if name not in defaults]
    for name, condition in out.get("properties", {}).items():
        # An absent field stands for its default, so a condition that the default breaks needs another value.
        if name in defaults and not jsonschema_rs.is_valid(condition, defaults[name]):
            required.append(name)
    if required:
        out["required"] = required


def strict_schema(schema: Json) -> Json:
    """The schema of a whole object as it stands in a manifest: with known metadata, and without a status."""
    out = translate(schema)
    properties = out["properties"]
    properties.pop("status", None)
    properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": METADATA}
    required = set(out.get("required", ())) - {"status"} | {"apiVersion", "kind", "metadata"}
    return out | {"required": sorted(required)}


def stored_files(archive: zipfile.ZipFile, source: Source) -> Iterator[tuple[str, str]]:
    """Each file to store from this source, as its name under crds/ and its text."""
    groups = set()
    for file, crd in read_crds(archive, source):
        spec = crd["spec"]
        group, kind = spec["group"], spec["names"]["kind"]
        if kind not in KINDS.get(group, ()):
            continue
        groups.add(group)
        for version in spec["versions"]:
            if version["served"]:
                stored = {
                    "source": {"module": source.module, "version": source.version, "file": file},
                    "schema": strict_schema(version["schema"]["openAPIV3Schema"]),
                }
                text = json.dumps(stored, sort_keys=True, separators=(",", ":"))
                yield f"{group}/{kind}_{version['name']}.json", text + "\n"
    for name, text in notices(archive, source):
        for group in sorted(groups):
            yield f"{group}/{name}", text


def notices(archive: zipfile.ZipFile, source: Source) -> Iterator[tuple[str, str]]:
    """The module's licence and notice, which have to go where its schemas go."""
    prefix = f"{source.module}@{source.version}/"
    for name in archive.namelist():
        stem = name.removeprefix(prefix).partition(".")[0]
        if stem in ("LICENSE", "NOTICE"):
            yield stem, archive.read(name).decode()


def collect() -> dict[str, str]:
    """Every file to store, by its name under crds/; FetchError if a kind of KINDS is nowhere."""
    files: dict[str, str] = {}
    for source in SOURCES:
        with zipfile.ZipFile(download(source)) as archive:
            files |= stored_files(archive, source)
    found = {name.rpartition("_")[0] for name in files}
    missing = {f"{group}/{kind}" for group, kinds in KINDS.items() for kind in kinds} - found
    if missing:
        raise FetchError(f"not served by any source: {', '.join(sorted(missing))}")
    return files


def main() -> int:
    if not shutil.which("go"):
        print("fetch: needs Go on PATH, to read CRDs from Go modules", file=sys.stderr)
        return 2
    try:
        files = collect()
    except FetchError as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 2
    for folder in CRDS.glob("*/"):
        shutil.rmtree(folder)
    for name, text in files.items():
        path = CRDS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"wrote {len(files)} files, {sum(map(len, files.values())):,} characters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
