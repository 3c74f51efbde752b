"""Each file holds one object, under a name that says which, and no object stands in two files.

Controllers make longer names of a name, and labels and host names of those, which end at 63: a StatefulSet's
and a DaemonSet's Pods carry controller-revision-hash `<name>-<10 characters>`, a Deployment's ReplicaSets and
a CronJob's Jobs are called alike. Argo CD also reads .yml, .json and .jsonnet, and no rule would see those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from matrixfleet.checks.tree import ARGOCD, POD_KINDS, Entry, Finding, Tree

PARTS = ("bootstrap", "fence", "shared", "workload")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
FORMS = dict.fromkeys((*POD_KINDS, "CronJob", "Namespace"), LABEL)
FORMS["Service"] = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LIMITS = {"StatefulSet": 52, "DaemonSet": 52, "Deployment": 52, "CronJob": 52}
# They go where Argo CD lives, which may be one hub for many clusters.
HUB = ("Application", "AppProject")


def check(tree: Tree) -> Iterator[Finding]:
    """Files, then objects."""
    for path in tree.texts:
        if path.endswith((".yml", ".json", ".jsonnet")) and read_by_argocd(path.split("/")):
            message = "expected a name that ends with .yaml: Argo CD reads this file, no rule does"
            yield Finding(f"{tree.root}/{path}", "objects", message)
    yield from (tree.finding(entry, "objects", message) for entry, message in faults(tree))


def read_by_argocd(parts: list[str]) -> bool:
    """Whether a file lies in a folder that an Application reads."""
    return parts[1:2] == [ARGOCD] or bool(set(parts[2:3]) & set(PARTS))


def placed(parts: list[str]) -> bool:
    """Whether a path is one of an object's."""
    return len(parts) == 3 if parts[1:2] == [ARGOCD] else len(parts) > 3 and parts[2] in PARTS


def faults(tree: Tree) -> Iterator[tuple[Entry, str]]:
    """File names, names, objects that are there twice."""
    seen: dict[tuple[str, ...], Entry] = {}
    for entry in tree.objects:
        parts, file = entry.path.split("/"), f"{entry.kind.lower()}-{entry.name}.yaml"
        if not placed(parts) or parts[-1] != file:
            yield entry, f"expected in <cluster>/<target>/<{'|'.join(PARTS)}>/.../{file}, or <cluster>/{ARGOCD}/{file}"
        form, limit = FORMS.get(entry.kind, SUBDOMAIN), LIMITS.get(entry.kind, 63)
        if not form.fullmatch(entry.name):
            yield entry, f"expected a name that fits {form.pattern}, got {entry.name!r}"
        if len(entry.name) > limit:
            yield entry, f"expected a name of {limit} characters or fewer, got {len(entry.name)}"
        where = "" if entry.kind in HUB else entry.cluster
        first = seen.setdefault((where, entry.group, entry.kind, entry.namespace, entry.name), entry)
        if first is not entry:
            yield entry, f"is in {tree.root}/{first.path} already; expected one file"
