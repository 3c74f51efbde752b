"""compiled/ as rules see it: objects that were read back, whoever made them."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from matrixfleet.model import Fleet

Json = dict[str, Any]
ARGOCD = "argocd"
"""The folder beside the targets' of a cluster, with the Argo CD objects of all of them."""
POD_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What a rule found."""

    path: str
    """Below the repository's top; the file that must change."""
    rule: str
    """The rule's id."""
    message: str
    """The object, what is wrong with it, what was expected."""
    line: int = 0
    """In a file of the inventory, counted from 1; 0 where the whole file is meant."""
    key: str = ""
    """The inventory's key that decides, or ""."""

    def __str__(self) -> str:
        where = self.path + (f":{self.line}" if self.line else "")
        return f"{where}: {self.key + ': ' if self.key else ''}{self.message} [{self.rule}]"


@dataclass(frozen=True)
class Entry:
    """One object and the file that holds it."""

    path: str
    """Below compiled/: cluster/target/part/..., or cluster/argocd/..."""
    doc: Json

    @property
    def target(self) -> str:
        """As Kapitan names it: "eu1.acme". Argo CD objects of all targets lie in one folder, and say whose they are."""
        cluster, folder = [*self.path.split("/"), ""][:2]
        return f"{cluster}.{self.labels.get('app.kubernetes.io/instance', '') if folder == ARGOCD else folder}"

    @property
    def part(self) -> str:
        """argocd, fence, shared, workload, bootstrap."""
        folder, part = [*self.path.split("/"), "", ""][1:3]
        return ARGOCD if folder == ARGOCD else part

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.doc.get("kind", ""))

    @property
    def group(self) -> str:
        """Its API group; "" for the core."""
        return str(self.doc.get("apiVersion", "")).rpartition("/")[0]

    @property
    def metadata(self) -> Json:
        """Its metadata."""
        return self.doc.get("metadata") or {}

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.metadata.get("name", ""))

    @property
    def namespace(self) -> str:
        """Its namespace; "" for what lives in none."""
        return str(self.metadata.get("namespace", ""))

    @property
    def labels(self) -> Json:
        """Its labels."""
        return self.metadata.get("labels") or {}

    @property
    def annotations(self) -> Json:
        """Its annotations."""
        return self.metadata.get("annotations") or {}

    @property
    def spec(self) -> Json:
        """Its spec."""
        return self.doc.get("spec") or {}

    @property
    def wave(self) -> int:
        """Argo CD's sync wave; 0 unless said, as Argo CD takes it (a rule refuses what is no number)."""
        said = str(self.annotations.get("argocd.argoproj.io/sync-wave", 0))
        return int(said) if said.lstrip("-").isdigit() else 0

    @property
    def cluster(self) -> str:
        """The cluster's folder."""
        return self.path.split("/")[0]

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}"


@dataclass(frozen=True)
class Pod:
    """A Pod template and the workload that holds it."""

    entry: Entry

    @property
    def template(self) -> Json:
        """The template."""
        spec = self.entry.spec
        if self.entry.kind == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        return spec["template"]  # type: ignore[no-any-return]

    @property
    def spec(self) -> Json:
        """The Pod's spec."""
        return self.template["spec"]  # type: ignore[no-any-return]

    @property
    def labels(self) -> Json:
        """The Pod's labels."""
        return self.template["metadata"].get("labels") or {}

    @property
    def annotations(self) -> Json:
        """The Pod's annotations."""
        return self.template["metadata"].get("annotations") or {}

    @property
    def containers(self) -> list[Json]:
        """Init containers and containers."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def volumes(self) -> dict[str, Json]:
        """Volumes by name, a StatefulSet's claims among them."""
        found = {volume["name"]: volume for volume in self.spec.get("volumes", [])}
        for claim in self.entry.spec.get("volumeClaimTemplates", []):
            found[claim["metadata"]["name"]] = {"name": claim["metadata"]["name"], "claimTemplate": claim}
        return found

    @property
    def host_network(self) -> bool:
        """Whether it is on the node's own network, under no NetworkPolicy."""
        return bool(self.spec.get("hostNetwork"))


ORDERS = ("ExternalSecret", "VaultStaticSecret")
"""Kinds that have an operator fetch a Secret from a store."""


def ordered_secret(entry: Entry) -> tuple[str, set[str]]:
    """Name and keys of the Secret that an order brings. A VaultStaticSecret brings all that is there but for
    its `includes`, each a pattern of one key."""
    if entry.kind == "ExternalSecret":
        name = (entry.spec.get("target") or {}).get("name", entry.name)
        return name, {one["secretKey"] for one in entry.spec.get("data") or ()}
    destination = entry.spec.get("destination") or {}
    includes = (destination.get("transformation") or {}).get("includes") or ()
    return destination.get("name", ""), {one.strip("^$").replace("[.]", ".") for one in includes}


def matches(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Whether matchLabels selects labels; an empty selector selects all."""
    return all(labels.get(key) == value for key, value in selector.items())


def made_in(secret: Mapping[str, Any]) -> list[str]:
    """Namespaces in which a bootstrap Job sees to a Secret of its list: of one that is copied, all but the
    first, whose owner makes it."""
    namespaces: list[str] = secret["namespaces"]
    return namespaces[1:] if "copied" in secret["keys"].values() else namespaces


@dataclass
class Tree:
    """A compiled tree."""

    entries: dict[str, Entry]
    """Objects by path below compiled/."""
    texts: dict[str, str]
    """Every file's text by path below compiled/, objects included."""
    fleet: Fleet | None = None
    """The inventory, for the rules that hold compiled/ against what was said."""
    broken: list[Finding] = field(default_factory=list)
    """Files that hold no object."""
    root: str = "compiled"
    """How messages name the folder."""

    @classmethod
    def read(cls, folder: Path, fleet: Fleet | None = None, targets: set[str] | None = None) -> Tree:
        """From a folder; only some targets' where those are named."""
        texts = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                below = path.relative_to(folder)
                if targets is None or ".".join(below.parts[:2]) in targets:
                    texts[str(below)] = path.read_text(encoding="utf-8")
        return cls.of(texts, fleet)

    @classmethod
    def of(cls, texts: dict[str, str], fleet: Fleet | None = None) -> Tree:
        """From texts by path."""
        texts = {posixpath.normpath(path): text for path, text in texts.items()}
        tree = cls({}, texts, fleet)
        for path, text in texts.items():
            if path.endswith(".yaml"):
                tree._add(path, text)
        return tree

    def _add(self, path: str, text: str) -> None:
        try:
            documents = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
            # PyYAML's constructors raise Python's own errors: of a month 13, of a number that is none.
            said = " ".join(str(error).split())
            self.broken.append(Finding(f"{self.root}/{path}", "object", f"YAML syntax: {said}"))
            return
        if len(documents) != 1 or not isinstance(documents[0], dict):
            self.broken.append(
                Finding(f"{self.root}/{path}", "object", f"expected one object, got {len(documents)} documents")
            )
            return
        self.entries[path] = Entry(path, documents[0])

    # Changed copies, for tests that break a rule.

    def edited(self, path: str, change: Callable[[Json], None]) -> Tree:
        """A copy in which one object is changed."""
        doc = copy.deepcopy(self.entries[path].doc)
        change(doc)
        return self.having(path, doc)

    def having(self, path: str, doc: Json) -> Tree:
        """A copy with one object more, or another in its place."""
        from matrixfleet.kubernetes.emit import to_yaml

        texts = {**self.texts, path: to_yaml(doc)}
        return Tree({**self.entries, path: Entry(path, doc)}, texts, self.fleet)

    def without(self, path: str) -> Tree:
        """A copy that lacks a file."""
        entries = {key: entry for key, entry in self.entries.items() if key != path}
        return Tree(entries, {key: text for key, text in self.texts.items() if key != path}, self.fleet)

    # What rules ask for.

    @cached_property
    def objects(self) -> list[Entry]:
        """Every object."""
        return list(self.entries.values())

    def of_kind(self, *kinds: str) -> list[Entry]:
        """Objects of some kinds."""
        return [entry for kind in kinds for entry in self._by_kind.get(kind, [])]

    def placed(self, kind: str, cluster: str, namespace: str) -> list[Entry]:
        """Objects of a kind in one namespace."""
        return self._by_kind_and_place.get((kind, cluster, namespace), [])

    @cached_property
    def _by_kind_and_place(self) -> dict[tuple[str, str, str], list[Entry]]:
        found: dict[tuple[str, str, str], list[Entry]] = {}
        for entry in self.objects:
            found.setdefault((entry.kind, entry.cluster, entry.namespace), []).append(entry)
        return found

    @cached_property
    def _by_kind(self) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for entry in self.objects:
            found.setdefault(entry.kind, []).append(entry)
        return found

    def find(self, cluster: str, kind: str, namespace: str, name: str) -> Entry | None:
        """One object of a cluster."""
        return self._index.get((cluster, kind, namespace, name))

    @cached_property
    def _index(self) -> dict[tuple[str, str, str, str], Entry]:
        return {(entry.cluster, entry.kind, entry.namespace, entry.name): entry for entry in self.objects}

    @cached_property
    def pods(self) -> list[Pod]:
        """Every workload's Pod template."""
        return [Pod(entry) for entry in self.of_kind(*POD_KINDS)]

    def pods_in(self, cluster: str, namespace: str) -> list[Pod]:
        """The Pod templates of one namespace."""
        return self._pods_by_place.get((cluster, namespace), [])

    @cached_property
    def _pods_by_place(self) -> dict[tuple[str, str], list[Pod]]:
        found: dict[tuple[str, str], list[Pod]] = {}
        for pod in self.pods:
            found.setdefault((pod.entry.cluster, pod.entry.namespace), []).append(pod)
        return found

    @cached_property
    def produced_secrets(self) -> dict[tuple[str, str, str], tuple[Entry, set[str]]]:
        """Secrets that something makes, by cluster, namespace and name: who makes them (its wave counts)
        and with which keys. Made by the bootstrap Job's list, by orders to a store, and by Certificates."""
        found: dict[tuple[str, str, str], tuple[Entry, set[str]]] = {}
        for pod in self.pods:
            if pod.entry.kind != "Job":
                continue
            for volume in pod.volumes.values():
                name = (volume.get("configMap") or {}).get("name", "")
                config = self.find(pod.entry.cluster, "ConfigMap", pod.entry.namespace, name)
                listed = config and (config.doc.get("data") or {}).get("secrets.json")
                for secret in yaml.safe_load(listed) if listed else ():
                    for namespace in made_in(secret):
                        key = (pod.entry.cluster, namespace, secret["name"])
                        found[key] = (pod.entry, set(secret["keys"]))
        for entry in self.of_kind(*ORDERS):
            name, keys = ordered_secret(entry)
            found[entry.cluster, entry.namespace, name] = (entry, keys)
        for entry in self.of_kind("Certificate"):
            found[entry.cluster, entry.namespace, entry.spec["secretName"]] = (
                entry,
                self._certificate_keys(entry),
            )
        return found

    def _certificate_keys(self, entry: Entry) -> set[str]:
        """An ACME authority gives its chain and no ca.crt; an authority of our own gives that too."""
        issuer = entry.spec.get("issuerRef") or {}
        if issuer.get("kind") == "Issuer":
            made = self.find(entry.cluster, "Issuer", entry.namespace, issuer.get("name", ""))
            if made is not None and made.spec.keys() & {"ca", "selfSigned"}:
                return {"tls.crt", "tls.key", "ca.crt"}
        return {"tls.crt", "tls.key"}

    def finding(self, entry: Entry, rule: str, message: str) -> Finding:
        """A finding about an object."""
        return Finding(f"{self.root}/{entry.path}", rule, f"{entry}: {message}")


Rule = Callable[[Tree], Iterator[Finding]]
