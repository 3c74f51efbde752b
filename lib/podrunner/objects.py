"""Plain Kubernetes objects (dicts as YAML has them), and the Pods that should be for them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
CONTROLLERS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


class Unsupported(Exception):
    """An object asks for what this node cannot give."""


@dataclass(frozen=True)
class Pod:
    """A Pod that should be: its identity, and the spec of its template."""

    namespace: str
    name: str
    owner: tuple[str, str]
    """Kind and name of what made it."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Object = field(hash=False)
    uid: str = ""
    """An API server's; a Pod without one is known by its key."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def host_network(self) -> bool:
        return bool(self.spec.get("hostNetwork"))

    @property
    def restart_policy(self) -> str:
        return str(self.spec.get("restartPolicy", "Always"))

    @property
    def grace(self) -> float:
        return float(self.spec.get("terminationGracePeriodSeconds", 30))

    @property
    def containers(self) -> list[Object]:
        return list(self.spec["containers"])

    @property
    def init_containers(self) -> list[Object]:
        return list(self.spec.get("initContainers", []))

    def matches(self, selector: Mapping[str, Any] | None) -> bool:
        return matches(selector, self.labels)


class Objects:
    """Objects by kind, namespace and name; a later one replaces an earlier one."""

    def __init__(self, objects: Iterable[Object] = ()) -> None:
        self._all: dict[tuple[str, str, str], Object] = {}
        for one in objects:
            self.add(one)

    def add(self, one: Object) -> None:
        self._all[identity(one)] = one

    def remove(self, kind: str, namespace: str, name: str) -> None:
        self._all.pop((kind, namespace, name), None)

    def of_kind(self, *kinds: str, namespace: str | None = None) -> Iterator[Object]:
        for (kind, where, _), one in sorted(self._all.items(), key=lambda item: item[0]):
            if kind in kinds and namespace in (None, where):
                yield one

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        return self._all.get((kind, namespace, name))

    def need(self, kind: str, namespace: str, name: str) -> Object:
        found = self.get(kind, namespace, name)
        if found is None:
            raise LookupError(f"{kind} {namespace}/{name} is not there")
        return found

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)


def identity(one: Object) -> tuple[str, str, str]:
    """Kind, namespace ("" where it has none) and name."""
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def read(*folders: Path) -> list[Object]:
    """Every object of the YAML files below some folders, in the order of their paths."""
    found: list[Object] = []
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")):
            found += [one for one in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if one]
    return found


def pods_of(one: Object) -> list[Pod]:
    """The Pods that a workload wants on this one node; none for other kinds."""
    kind, _, name = identity(one)
    if kind == "Pod":
        return [_pod(one, one, name)]
    if kind not in CONTROLLERS:
        return []
    spec = one["spec"]
    if kind == "StatefulSet":
        return [_of_stateful_set(one, ordinal) for ordinal in range(spec.get("replicas", 1))]
    count = {"DaemonSet": 1, "Job": spec.get("parallelism", 1)}.get(kind, spec.get("replicas", 1))
    return [_pod(one, spec["template"], f"{name}-{number}") for number in range(count)]


def _of_stateful_set(one: Object, ordinal: int) -> Pod:
    """A Pod with the set's own name and number, in its own domain, with claims of its own."""
    name = f"{one['metadata']['name']}-{ordinal}"
    template = copy.deepcopy(one["spec"]["template"])
    template["spec"].setdefault("hostname", name)
    template["spec"].setdefault("subdomain", one["spec"].get("serviceName", ""))
    volumes = template["spec"].setdefault("volumes", [])
    for claim in one["spec"].get("volumeClaimTemplates", []):
        called = claim["metadata"]["name"]
        volumes.append({"name": called, "persistentVolumeClaim": {"claimName": f"{called}-{name}"}})
    labels = template["metadata"].setdefault("labels", {})
    labels |= {"statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": str(ordinal)}
    return _pod(one, template, name)


def _pod(owner: Object, template: Object, name: str) -> Pod:
    metadata = template.get("metadata", {})
    return Pod(
        namespace=owner["metadata"].get("namespace", "default"),
        name=name,
        owner=(owner["kind"], owner["metadata"]["name"]),
        labels=dict(metadata.get("labels", {})),
        annotations=dict(metadata.get("annotations", {})),
        spec=template["spec"],
        uid=template.get("metadata", {}).get("uid", ""),
    )


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects: an empty one selects all, none selects nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_expression(one, labels) for one in selector.get("matchExpressions", []))


def _expression(one: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = one["key"], one["operator"], one.get("values", [])
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    raise Unsupported(f"operator {operator!r} of a label selector")


def number_of(port: int | str, containers: Iterable[Object], protocol: str = "TCP") -> int | None:
    """The number of a port that may be a container port's name."""
    if isinstance(port, int):
        return port
    for container in containers:
        for one in container.get("ports", []):
            if one.get("name") == port and one.get("protocol", "TCP") == protocol:
                return int(one["containerPort"])
    return None
