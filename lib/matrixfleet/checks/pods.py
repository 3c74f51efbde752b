"""What several rules ask about Pods: what they name, who makes that, and what selects them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from matrixfleet.checks.tree import Entry, Json, Pod, Tree, matches

T = TypeVar("T")
RELAY = re.compile(r"^(min-port|max-port)=(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reference:
    """An object that another one names, in its own namespace."""

    by: str
    """Where it is named: "volume media", "container synapse: env PGPASSWORD"."""
    kind: str
    name: str
    files: Mapping[str, str] = field(default_factory=dict)
    """Keys that are named, each with the file it becomes; none where the whole object is meant."""
    optional: bool = False


MAIN = "synapse.app.homeserver"
"""The program of a main process."""


def references(pod: Pod) -> Iterator[Reference]:
    """Everything a Pod needs by name."""
    if "serviceAccountName" in pod.spec:
        yield Reference("serviceAccountName", "ServiceAccount", pod.spec["serviceAccountName"])
    for secret in pod.spec.get("imagePullSecrets", []):
        yield Reference("imagePullSecrets", "Secret", secret["name"], {".dockerconfigjson": ""})
    for volume in pod.volumes.values():
        yield from volume_references(volume)
    for container in pod.containers:
        yield from environment_references(container)


def volume_references(volume: Json) -> Iterator[Reference]:
    """What a volume is filled from."""
    by = f"volume {volume['name']}"
    if "persistentVolumeClaim" in volume:
        yield Reference(by, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    for source in [volume, *(volume.get("projected") or {}).get("sources", [])]:
        for key, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
            if key in source:
                said = source[key]
                files = {item["key"]: item["path"] for item in said.get("items", [])}
                name = said.get("secretName") or said.get("name", "")
                yield Reference(by, kind, name, files, said.get("optional", False))


def environment_references(container: Json) -> Iterator[Reference]:
    """What a container's environment is filled from."""
    for variable in container.get("env", []):
        said = variable.get("valueFrom") or {}
        for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if key in said:
                by = f"container {container['name']}: env {variable['name']}"
                wanted, optional = {said[key]["key"]: ""}, said[key].get("optional", False)
                yield Reference(by, kind, said[key]["name"], wanted, optional)
    for said in container.get("envFrom", []):
        for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if key in said:
                by, optional = f"container {container['name']}: envFrom", said[key].get("optional", False)
                yield Reference(by, kind, said[key]["name"], {}, optional)


def relays(tree: Tree, pod: Pod) -> Iterator[tuple[int, int]]:
    """First and last UDP port of each range that a Pod's configuration has it relay on."""
    for volume in pod.spec.get("volumes", []):
        name = volume.get("configMap", {}).get("name", "")
        config = tree.find(pod.entry.cluster, "ConfigMap", pod.entry.namespace, name)
        for text in (config.doc.get("data") or {}).values() if config else []:
            relay = dict(RELAY.findall(text))
            if len(relay) == 2:
                yield int(relay["min-port"]), int(relay["max-port"])


def maker(tree: Tree, entry: Entry, reference: Reference) -> tuple[Entry, set[str]] | None:
    """Who makes what an object names, and with which keys; None where nobody does."""
    if reference.kind == "Secret":
        return tree.produced_secrets.get((entry.cluster, entry.namespace, reference.name))
    found = tree.find(entry.cluster, reference.kind, entry.namespace, reference.name)
    if found is None:
        return None
    return found, {*(found.doc.get("data") or {}), *(found.doc.get("binaryData") or {})}


def selects(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Whether a selector of matchLabels and matchExpressions selects labels."""
    tests = {
        "In": lambda key, values: labels.get(key) in values,
        "NotIn": lambda key, values: labels.get(key) not in values,
        "Exists": lambda key, values: key in labels,
        "DoesNotExist": lambda key, values: key not in labels,
    }
    return matches(selector.get("matchLabels") or {}, labels) and all(
        tests[said["operator"]](said["key"], said.get("values") or [])
        for said in selector.get("matchExpressions") or []
    )


def stopped(tree: Tree, target: str) -> bool:
    """Whether a target runs no main process: stopped, or not a tenant at all."""
    return not any(
        entry.target == target and entry.spec.get("replicas", 1) > 0
        for entry in tree.of_kind("Deployment", "StatefulSet")
        if MAIN in repr(entry.spec.get("template"))
    )


def selector_of(entry: Entry) -> Json | None:
    """What an object selects by; None for one that selects nothing, such as a Job."""
    said: Json | None = entry.spec.get("selector")
    return {"matchLabels": said} if said and entry.kind == "Service" else said


class Selection(Generic[T]):
    """Things by their labels, so that a selector does not look at each thing of a namespace that many
    tenants share."""

    def __init__(self, things: Iterable[tuple[Entry, Json, T]]) -> None:
        self._by_place: dict[tuple[str, str], list[tuple[Json, T]]] = {}
        self._by_label: dict[tuple[str, str, str, str], list[tuple[Json, T]]] = {}
        for entry, labels, thing in things:
            place = (entry.cluster, entry.namespace)
            self._by_place.setdefault(place, []).append((labels, thing))
            for key, value in labels.items():
                self._by_label.setdefault((*place, key, value), []).append((labels, thing))

    @classmethod
    def of_pods(cls, tree: Tree) -> Selection[Pod]:
        """Pod templates by the labels of their Pods."""
        return Selection((pod.entry, pod.labels, pod) for pod in tree.pods)

    @classmethod
    def of_services(cls, tree: Tree) -> Selection[Entry]:
        """Services by their own labels, as a ServiceMonitor finds them."""
        return Selection((entry, entry.labels, entry) for entry in tree.of_kind("Service"))

    def by(self, entry: Entry) -> list[T]:
        """What an object selects: in its own namespace, or for a monitor in those that it names."""
        selector = selector_of(entry)
        if selector is None:
            return []
        places = (entry.spec.get("namespaceSelector") or {}).get("matchNames") or [entry.namespace]
        found = []
        for place in places:
            labels = (selector.get("matchLabels") or {}).items()
            lists = [self._by_label.get((entry.cluster, place, key, value), []) for key, value in labels]
            few = min(lists or [self._by_place.get((entry.cluster, place), [])], key=len)
            found += [thing for labels_of, thing in few if selects(selector, labels_of)]
        return found
