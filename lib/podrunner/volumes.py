"""A Pod's volumes as directories of this machine, with the owners and modes that the kubelet gives."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from podrunner.objects import Object, Objects, Pod, Unsupported

PUBLISHED_MODE = 0o644


class Volumes:
    """Makes the volumes of Pods below one directory; claims outlive Pods, all else is the Pod's own."""

    def __init__(self, directory: Path, objects: Objects, status: dict[str, dict[str, str]], owned: bool) -> None:
        """`status` has each Pod's `status.*` fields by key; without `owned` no owner is set (it takes root)."""
        self.directory = directory
        self.objects = objects
        self.status = status
        self.owned = owned
        self.rewrite: Callable[[Pod, bytes], bytes] = lambda pod, content: content
        """What becomes of a ConfigMap's file on its way into a Pod."""
        self.token: Callable[[Pod, Object], bytes] = _no_token
        """A token of the Pod's ServiceAccount, as the volume's source asks for it: an API server's to give."""
        self._lock = threading.Lock()

    def publish(self, pod: Pod) -> dict[str, Path]:
        """Where each volume lies, by name. Raises LookupError for what it names and is not there (yet)."""
        with self._lock:
            return {volume["name"]: self._one(pod, volume) for volume in pod.spec.get("volumes", [])}

    def refresh(self, pod: Pod) -> None:
        """Write ConfigMaps and Secrets again as they are now; the kubelet does so within a minute or two."""
        with self._lock:
            self._refresh(pod)

    def _refresh(self, pod: Pod) -> None:
        for volume in pod.spec.get("volumes", []):
            if {"configMap", "secret", "projected", "downwardAPI"} & set(volume):
                self._one(pod, volume)

    def place(self, pod: Pod, volume: Object) -> Path:
        """Where a volume lies, whether it is there yet or not."""
        if "hostPath" in volume:
            return Path(str(volume["hostPath"]["path"]))
        if "persistentVolumeClaim" in volume:
            return self.directory / "claims" / pod.namespace / str(volume["persistentVolumeClaim"]["claimName"])
        return self.directory / "pods" / pod.namespace / pod.name / "volumes" / str(volume["name"])

    def _one(self, pod: Pod, volume: Object) -> Path:
        where = self.place(pod, volume)
        if "hostPath" in volume:
            return where
        where.mkdir(parents=True, exist_ok=True)
        if "persistentVolumeClaim" in volume:
            return self._writable(where, pod)
        if "ephemeral" in volume:
            return self._writable(where, pod)
        if "emptyDir" in volume:
            if self.owned and volume["emptyDir"].get("medium") == "Memory" and not where.is_mount():
                size = volume["emptyDir"].get("sizeLimit")
                options = ["-o", f"size={size.removesuffix('i').lower()}"] if size else []
                subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(where)], check=True)
            return self._writable(where, pod)
        files, mode = self._files(pod, volume)
        for path, (content, own_mode) in files.items():
            self._write(where / path, content, own_mode or mode, pod)
        return where

    def _files(self, pod: Pod, volume: Object) -> tuple[dict[str, tuple[bytes, int | None]], int]:
        """Contents and modes of a volume that the kubelet writes, and the mode of the rest."""
        if "projected" in volume:
            files: dict[str, tuple[bytes, int | None]] = {}
            for source in volume["projected"]["sources"]:
                (kind, spec), *_ = source.items()
                files |= self._source(pod, kind, spec)
            return files, volume["projected"].get("defaultMode", PUBLISHED_MODE)
        for kind in ("configMap", "secret", "downwardAPI"):
            if kind in volume:
                return self._source(pod, kind, volume[kind]), volume[kind].get("defaultMode", PUBLISHED_MODE)
        raise Unsupported(f"Pod {pod.key}: volume {volume['name']}: {', '.join(set(volume) - {'name'})}")

    def _source(self, pod: Pod, kind: str, spec: Object) -> dict[str, tuple[bytes, int | None]]:
        if kind == "downwardAPI":
            return {one["path"]: (self.field(pod, one["fieldRef"]).encode(), one.get("mode")) for one in spec["items"]}
        if kind == "serviceAccountToken":
            return {spec["path"]: (self.token(pod, spec), None)}
        name = str(spec.get("secretName") or spec.get("name"))
        kinds = {"configMap": "ConfigMap", "secret": "Secret"}
        if kind not in kinds:
            raise Unsupported(f"Pod {pod.key}: a volume's source {kind}")
        found = self.objects.get(kinds[kind], pod.namespace, name)
        if found is None:
            if spec.get("optional"):
                return {}
            raise LookupError(f"{kinds[kind]} {pod.namespace}/{name} is not there")
        content = content_of(found)
        if kind == "configMap":
            content = {key: self.rewrite(pod, value) for key, value in content.items()}
        if "items" not in spec:
            return {key: (value, None) for key, value in content.items()}
        missing = [one["key"] for one in spec["items"] if one["key"] not in content]
        if missing:
            raise LookupError(f"{kinds[kind]} {pod.namespace}/{name} has no {', '.join(missing)}")
        return {one["path"]: (content[one["key"]], one.get("mode")) for one in spec["items"]}

    def _write(self, path: Path, content: bytes, mode: int, pod: Pod) -> None:
        """Replaced as a whole, so that no reader sees half; a Pod's fsGroup may read what the kubelet writes."""
        group = _group(pod)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_bytes(content)
        if self.owned:
            os.chown(fresh, 0, group if group is not None else 0)
            mode = mode | 0o440 if group is not None else mode
        fresh.chmod(mode if self.owned else mode & 0o700)
        fresh.rename(path)

    def _writable(self, where: Path, pod: Pod) -> Path:
        if self.owned:
            group = _group(pod)
            before = where.stat()
            os.chown(where, before.st_uid, group if group is not None else 0)
            where.chmod(0o2777 if group is not None else 0o777)
            if group is not None and before.st_gid != group:
                # As the kubelet: all of the volume becomes the group's, where its top is not yet.
                for path in where.rglob("*"):
                    if not path.is_symlink():
                        os.chown(path, -1, group)
                        path.chmod(path.stat().st_mode | (0o2070 if path.is_dir() else 0o060))
        return where

    def field(self, pod: Pod, reference: Object) -> str:
        """The value of a downward API field."""
        path = reference["fieldPath"]
        plain: dict[str, Any] = {
            "metadata.name": pod.name,
            "metadata.namespace": pod.namespace,
            "metadata.uid": pod.uid or pod.key,
            "spec.serviceAccountName": pod.spec.get("serviceAccountName", "default"),
            **self.status.get(pod.key, {}),
        }
        for kind, values in (("labels", pod.labels), ("annotations", pod.annotations)):
            if path.startswith(f"metadata.{kind}['"):
                return values.get(path[len(f"metadata.{kind}['") : -2], "")
        if path not in plain:
            raise Unsupported(f"Pod {pod.key}: fieldPath {path}")
        return str(plain[path])


def _no_token(pod: Pod, spec: Object) -> bytes:
    raise Unsupported(f"Pod {pod.key}: a token of its ServiceAccount: no API server is here")


def content_of(one: Object) -> dict[str, bytes]:
    """A ConfigMap's or a Secret's values."""
    encoded = one.get("binaryData", {}) if one["kind"] == "ConfigMap" else (one.get("data") or {})
    plain = (one.get("data") or {}) if one["kind"] == "ConfigMap" else one.get("stringData", {})
    return {key: base64.b64decode(value) for key, value in encoded.items()} | {
        key: value.encode() for key, value in plain.items()
    }


def _group(pod: Pod) -> int | None:
    group = pod.spec.get("securityContext", {}).get("fsGroup")
    return int(group) if group is not None else None
