"""What must differ on one machine from what was compiled: a short list, each with its reason, printed at the start."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from podrunner.objects import Object


@dataclass(frozen=True)
class Overlay:
    """A change of one object, or its removal (None)."""

    what: str
    why: str
    change: Callable[[Object], Object | None]


def laid(objects: Iterable[Object], overlays: Sequence[Overlay]) -> list[Object]:
    """Copies of the objects as the overlays make them."""
    found = [copy.deepcopy(one) for one in objects]
    for overlay in overlays:
        found = [changed for one in found if (changed := overlay.change(one)) is not None]
    return found


def told(overlays: Sequence[Overlay]) -> str:
    return "\n".join(f"  {overlay.what}: {overlay.why}" for overlay in overlays)


def without(kind: str, component: str, why: str) -> Overlay:
    """Leave out the objects of one kind and component."""

    def change(one: Object) -> Object | None:
        labels = one["metadata"].get("labels", {})
        return None if (one["kind"], labels.get("app.kubernetes.io/component")) == (kind, component) else one

    return Overlay(f"no {kind} of {component}", why, change)


def appended(component: str, key: str, text: str, why: str) -> Overlay:
    """Lines at the end of one file of a component's ConfigMap."""

    def change(one: Object) -> Object:
        if one["kind"] == "ConfigMap" and key in (one.get("data") or {}) and _component(one) == component:
            one["data"][key] += text
        return one

    return Overlay(f"{component}: {text.strip()}", why, change)


def replaced(component: str, key: str, old: str, new: str, why: str) -> Overlay:
    """Other words in one file of a component's ConfigMap. Raises LookupError where the old ones are not there."""

    def change(one: Object) -> Object:
        if one["kind"] == "ConfigMap" and key in (one.get("data") or {}) and _component(one) == component:
            if old not in one["data"][key]:
                raise LookupError(
                    f"ConfigMap {one['metadata']['name']}: {key} has no {old!r}: the overlay is out of date"
                )
            one["data"][key] = one["data"][key].replace(old, new)
        return one

    return Overlay(f"{component}: {new.strip() or 'nothing'} instead of {old.strip()}", why, change)


def variable(component: str, name: str, value: str, why: str) -> Overlay:
    """Another value of an environment variable, in every container of a component."""

    def change(one: Object) -> Object:
        template = _template(one)
        if template and _component(template) == component:
            for container in template["spec"]["containers"]:
                for said in container.get("env", []):
                    if said["name"] == name:
                        said["value"] = value
        return one

    return Overlay(f"{component}: {name}={value}", why, change)


def trusting(authority: bytes) -> Overlay:
    """Synapse trusts a certificate authority (PEM) in place of the public ones."""
    key = "authority.pem"

    def change(one: Object) -> Object:
        if one["kind"] == "ConfigMap" and "homeserver.yaml" in (one.get("data") or {}):
            one["data"][key] = authority.decode()
        template = _template(one)
        for container in template["spec"]["containers"] if template else ():
            if container["name"] == "synapse":
                container.setdefault("env", []).append({"name": "SSL_CERT_FILE", "value": f"/etc/synapse/{key}"})
        return one

    why = "other servers and OpenID providers have certificates of this run's own authority, not of Let's Encrypt"
    return Overlay("synapse: SSL_CERT_FILE", why, change)


def without_container(component: str, name: str, why: str) -> Overlay:
    """Leave one container out of a component's Pods."""

    def change(one: Object) -> Object:
        template = _template(one)
        if template and _component(template) == component:
            spec = template["spec"]
            spec["containers"] = [container for container in spec["containers"] if container["name"] != name]
        return one

    return Overlay(f"{component}: no container {name}", why, change)


def without_backups(why: str) -> Overlay:
    """Leave out what backs up beside PostgreSQL and Synapse, and the keys that a person would bring."""

    def change(one: Object) -> Object:
        data = one.get("data") or {}
        if one["kind"] == "ConfigMap" and "secrets.json" in data:
            recipes = json.loads(data["secrets.json"])
            data["secrets.json"] = json.dumps([recipe for recipe in recipes if "-backup" not in recipe["name"]])
        if "postgresql.conf" in data:
            data["postgresql.conf"] = data["postgresql.conf"].replace("archive_mode = 'on'", "archive_mode = 'off'")
        if template := _template(one):
            pod = template["spec"]
            for kind in ("initContainers", "containers"):
                if kind in pod:
                    pod[kind] = [each for each in pod[kind] if each["name"] not in ("archive", "backup")]
            kept = [*pod.get("initContainers", []), *pod["containers"]]
            for each in kept:
                # What archive_command reads.
                mounts = each.get("volumeMounts", [])
                each["volumeMounts"] = [mount for mount in mounts if not mount["name"].startswith("secret-backup")]
            mounted = {mount["name"] for each in kept for mount in each.get("volumeMounts", [])}
            # A Pod waits for every Secret that it names, mounted or not.
            pod["volumes"] = [volume for volume in pod.get("volumes", []) if volume["name"] in mounted]
        return one

    return Overlay("no backups", why, change)


def trusted(authority: bytes, why: str) -> Overlay:
    """Have what backs up trust another authority too."""

    def change(one: Object) -> Object:
        data = one.get("data") or {}
        if one["kind"] == "ConfigMap" and "lib.sh" in data:
            data["authorities.crt"] = authority.decode()
            if "pgbackrest.conf" in data:
                line = "repo1-storage-ca-file=/etc/backup/authorities.crt\n"
                data["pgbackrest.conf"] = data["pgbackrest.conf"].replace("[global]\n", "[global]\n" + line)
        template = _template(one)
        for container in (
            template["spec"].get("initContainers", []) + template["spec"]["containers"] if template else ()
        ):
            if any(said["name"] == "PLACE_FIRST" for said in container.get("env", [])):
                container["env"].append({"name": "SSL_CERT_FILE", "value": "/etc/backup/authorities.crt"})
            if any(said["name"] == "WALG_S3_PREFIX" for said in container.get("env", [])):
                container["env"].append({"name": "WALG_S3_CA_CERT_FILE", "value": "/etc/backup/authorities.crt"})
        return one

    return Overlay("backups: another authority is trusted", why, change)


def scaled(component: str, replicas: int, why: str) -> Overlay:
    """Another number of Pods."""

    def change(one: Object) -> Object:
        if one["kind"] in ("Deployment", "StatefulSet") and _component(one) == component:
            one["spec"]["replicas"] = replicas
        return one

    return Overlay(f"{component}: {replicas} Pods", why, change)


def _template(one: Object) -> Object | None:
    """The template of a workload's or a CronJob's Pods. A Database of CloudNativePG has one that is PostgreSQL's."""
    spec = one.get("spec", {})
    found = spec.get("jobTemplate", {}).get("spec", spec).get("template")
    return found if isinstance(found, dict) and "containers" in found.get("spec", {}) else None


def _component(one: Object) -> str:
    return str(one["metadata"].get("labels", {}).get("app.kubernetes.io/component", ""))


BCRYPT = appended(
    "synapse", "homeserver.yaml", "bcrypt_rounds: 4\n", "hashing a password costs 0.6 s of this machine's two cores"
)
NO_BOOTSTRAP = without(
    "Job", "bootstrap", "there is no API server; its script makes the same Secrets in this node's store"
)
BACKED_UP = (BCRYPT, NO_BOOTSTRAP)
SINGLE_TENANT = (*BACKED_UP, without_backups("make test-drills proves them"))
REDUCED = (
    BCRYPT,
    NO_BOOTSTRAP,
    without_backups("make test-drills proves them"),
    # No fewer of what instance_map and stream_writers name: their streams would have no writer.
    scaled("generic", 2, "each Synapse costs 80 MiB and 3 s to start; two show that a pool is one"),
)
_NO_TLS = "the wheel's PostgreSQL is built without TLS; it listens on loopback"
DEMO = (
    BCRYPT,
    NO_BOOTSTRAP,
    without_container("postgresql", "exporter", "no Python package has it, and no Prometheus asks it"),
    without_backups("their tools are no Python packages, and there is no bucket"),
    without("Deployment", "router", "HAProxy is no Python package: you talk to Synapse itself"),
    without("Deployment", "element", "Element Web is no Python package: use any Matrix client"),
    without("DaemonSet", "turn", "Coturn is no Python package: no relay for calls"),
    replaced(
        "postgresql",
        "postgresql.conf",
        "listen_addresses = '*'",
        "listen_addresses = '0.0.0.0'",
        "one Pod, one address",
    ),
    replaced("postgresql", "postgresql.conf", "ssl = on", "ssl = off", _NO_TLS),
    replaced("postgresql", "pg_hba.conf", "hostssl", "host", _NO_TLS),
    replaced("postgresql", "pg_hba.conf", "all  cert", "all  trust", _NO_TLS),
    replaced("postgresql", "pg_hba.conf", "peer map=exporter", "reject", "no Python package has the exporter"),
    replaced(
        "postgresql",
        "pg_hba.conf",
        "peer",
        "trust",
        "the system's user is you, not postgres; the socket is yours alone",
    ),
    replaced("synapse", "homeserver.yaml", "sslmode: verify-full", "sslmode: disable", _NO_TLS),
    variable("roles", "PGSSLMODE", "disable", _NO_TLS),
)
