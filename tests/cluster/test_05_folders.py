"""A tenant's folder: each kind that it may hold, tampered with to reach beyond the tenant, is refused; as compiled it passes.

Objects are sent as Argo CD sends them, with its own tracking; that a manifest cannot say another is shown in test_05_walls.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import yaml
from api import Api, Object, Refused, until
from repository import TOP
from tampering import application_of, put, remove, tracked

from conftest import Fleet
from matrixfleet.cli.compile import read_fleet
from matrixfleet.drawing import draw_target

Change = Callable[[Object], Any]


class Attack(NamedTuple):
    """A change to a compiled object, and what the API server answers."""

    what: str
    file: str
    change: Change
    says: str
    application: str = ""
    """Whose folder it lies in; that of the file unless said."""


def renamed(change: Change) -> Change:
    """The same in an object that is not there yet: of one that is, some fields cannot change."""

    def changed(thing: Object) -> None:
        change(thing)
        thing["metadata"]["name"] += "-x"

    return changed


def both(*changes: Change) -> Change:
    """One after the other."""
    return lambda thing: [change(thing) for change in changes]


def add(*keys: str | int, to: object) -> Change:
    """Append to a list."""

    def change(thing: Object) -> None:
        here: Any = thing
        for key in keys:
            here = here[key]
        here.append(to)

    return change


# ---- Argo CD's own kinds.

APP = "eu1/argocd/application-eu1-chess-club.yaml"
CHART = "eu1/argocd/application-eu1-cert-manager.yaml"
PROJECT = "eu1/argocd/appproject-eu1-chess-club.yaml"
WALLS = "eu1/argocd/appproject-eu1-chess-club-fence.yaml"
FAR = "us1/argocd/application-us1-research.yaml"
FAR_PROJECT = "us1/argocd/appproject-us1-research.yaml"
OTHER_PROJECT = put("spec", "project", to="eu1-matrix-prod")
REPOSITORIES = [
    "https://git.example.com/platform/matrix-fleet", "https://git.example.com/platform/matrix-fleet.git/",
    "https://GIT.example.com/platform/matrix-fleet.git", "https://git.example.com:443/platform/matrix-fleet.git",
    "https://x@git.example.com/platform/matrix-fleet.git", "https://git.example.com//platform/matrix-fleet.git",
    "ssh://git@git.example.com/platform/matrix-fleet.git", "git@git.example.com:platform/matrix-fleet.git",
    "http://git.example.com/platform/matrix-fleet.git", "https://git.example.com/platform/./matrix-fleet.git",
    "https://git.example.com/platform/matrix-fleet.git?x=y", "https://git.example.com/platform/matrix%2Dfleet.git",
]  # fmt: skip
PROJECTS, SOURCE = "its project is not its own", "its source is not the folder, or the chart, that is its own"
ARGOCD = [
    *(Attack(f"another's project, from {each}", APP, both(OTHER_PROJECT, put("spec", "source", "repoURL", to=each)), PROJECTS)
      for each in ["https://git.example.com/platform/matrix-fleet.git", *REPOSITORIES]),
    *(Attack(f"its own project, from {each}", APP, put("spec", "source", "repoURL", to=each), SOURCE) for each in REPOSITORIES),
    Attack("an operator's project", APP, put("spec", "project", to="eu1-cert-manager"), PROJECTS),
    Attack("the root's project", APP, put("spec", "project", to="eu1-root"), PROJECTS),
    Attack("the default project", APP, put("spec", "project", to="default"), PROJECTS),
    Attack("the root itself", APP, both(put("metadata", "name", to="eu1-root"), put("spec", "project", to="eu1-root")), PROJECTS),
    Attack("a name of another cluster", APP, both(put("metadata", "name", to="us1-research"),
           put("spec", "project", to="us1-research")), PROJECTS),
    Attack("a name of nobody's", APP, both(put("metadata", "name", to="smuggled"), put("spec", "project", to="smuggled")), PROJECTS),
    Attack("an operator's name with a tenant's folder", APP, both(put("metadata", "name", to="eu1-cert-manager"),
           put("spec", "project", to="eu1-cert-manager")), SOURCE),
    Attack("an operator's chart with values of its own", CHART,
           put("spec", "source", "helm", "valuesObject", "extraObjects", to=["kind: ClusterRole"]), SOURCE),
    Attack("an operator's chart with values as text", CHART, put("spec", "source", "helm", "values", to="a: b"), SOURCE),
    Attack("an operator's chart with parameters", CHART,
           put("spec", "source", "helm", "parameters", to=[{"name": "image.repository", "value": "evil"}]), SOURCE),
    Attack("an operator's chart in another version", CHART, put("spec", "source", "targetRevision", to="v1.0.0"), SOURCE),
    Attack("another chart", CHART, put("spec", "source", "chart", to="other"), SOURCE),
    Attack("another repository of charts", CHART, put("spec", "source", "repoURL", to="https://charts.example.com"), SOURCE),
    Attack("several sources", APP, lambda thing: thing["spec"].update(sources=[thing["spec"].pop("source")] * 2),
           "it has another number of sources than one"),
    Attack("one source in a list", APP, lambda thing: thing["spec"].update(sources=[thing["spec"].pop("source")]),
           "it has another number of sources than one"),
    Attack("a second source beside its own", APP, lambda thing: thing["spec"].update(sources=[thing["spec"]["source"]]),
           "it has another number of sources than one"),
    Attack("a hydrator", APP, put("spec", "sourceHydrator", to={"drySource": {"repoURL": "https://git.example.com/x.git",
           "path": ".", "targetRevision": "main"}, "syncSource": {"targetBranch": "x", "path": "x"}}), "another number of sources"),
    *(Attack(f"the path {each}", APP, put("spec", "source", "path", to=each), SOURCE)
      for each in ("compiled/eu1/matrix-prod/workload", "compiled/eu1/platform/fence", "compiled/eu1/chess-club/fence", ".",
                   "compiled/eu1/chess-club/workload/../fence", "compiled/eu1/chess-club", "compiled/eu1/argocd")),
    Attack("another revision", APP, put("spec", "source", "targetRevision", to="refs/heads/mine"), SOURCE),
    Attack("Jsonnet in its folder", APP, put("spec", "source", "directory", "jsonnet", to={"libs": ["x"]}), SOURCE),
    Attack("a plugin", APP, put("spec", "source", "plugin", to={"name": "x"}), SOURCE),
    Attack("Kustomize", APP, put("spec", "source", "kustomize", to={"namePrefix": "x"}), SOURCE),
    Attack("another cluster", APP, put("spec", "destination", "server", to="https://us1.k8s.example.com:6443"), "its destination"),
    Attack("a cluster by its name", APP, put("spec", "destination", to={"name": "us1", "namespace": "chess-club"}), "its destination"),
    Attack("namespaces with labels of its own", APP, put("spec", "syncPolicy", "managedNamespaceMetadata",
           to={"labels": {"a": "b"}}), "synced otherwise (syncPolicy)"),
    Attack("replacing", APP, add("spec", "syncPolicy", "syncOptions", to="Replace=true"), "synced otherwise (syncPolicy)"),
    Attack("making namespaces", APP, add("spec", "syncPolicy", "syncOptions", to="CreateNamespace=true"), "synced otherwise"),
    Attack("a sync of manifests that it brings", APP, put("operation", to={"sync": {"manifests": ["kind: Namespace"]}}), "(operation)"),
    Attack("a sync of another source", APP, put("operation", to={"sync": {"source": {"repoURL": "https://git.example.com/x.git"}}}),
           "(operation)"),
    Attack("on a hub, another's project", FAR, put("spec", "project", to="us1-newsroom"), PROJECTS),
    Attack("on a hub, the hub's own project", FAR, put("spec", "project", to="eu1-platform"), PROJECTS),
    Attack("on a hub, another's folder", FAR, put("spec", "source", "path", to="compiled/us1/newsroom/workload"), SOURCE),
    Attack("on a hub, the hub as destination", FAR, put("spec", "destination", "server", to="https://kubernetes.default.svc"),
           "its destination is not its cluster"),
    Attack("on a hub, a project with the hub as destination", FAR_PROJECT,
           put("spec", "destinations", 0, "server", to="https://kubernetes.default.svc"), "a namespace or a cluster"),
    Attack("a project of nobody's", PROJECT, put("metadata", "name", to="smuggled"), "it is not a target's of its cluster"),
    Attack("a project of another cluster's", PROJECT, put("metadata", "name", to="us1-research"), "it is not a target's of its"),
    Attack("the root's own project, widened", PROJECT, put("metadata", "name", to="eu1-root"), "it is not a target's of its"),
    *(Attack(f"a project from {each}", PROJECT, put("spec", "sourceRepos", to=each), "another repository than its own")
      for each in (["*"], ["https://git.example.com/*"], ["https://git.example.com/platform/matrix-fleet.git", "https://x.example"], [],
                   ["https://git.example.com/platform/matrix-fleet"])),
    *(Attack(f"a project into {each}", PROJECT, put("spec", "destinations", 0, "namespace", to=each), "a namespace or a cluster")
      for each in ("*", "matrix-prod", "argocd", "kube-system", "chess-*", "!other", "fleet", "monitoring", "cert-manager", "")),
    Attack("a project into one more", PROJECT, add("spec", "destinations", to={"server": "https://kubernetes.default.svc",
           "namespace": "kube-system"}), "a namespace or a cluster"),
    Attack("a project into every cluster", PROJECT, put("spec", "destinations", 0, "server", to="*"), "a namespace or a cluster"),
    Attack("a project into a cluster by name", PROJECT, put("spec", "destinations", 0, "name", to="us1"), "a namespace or a cluster"),
    *(Attack(f"a project that admits {kind}", PROJECT, add("spec", "namespaceResourceWhitelist", to={"group": group, "kind": kind}),
             "a kind that is not compiled for tenants")
      for group, kind in (("*", "*"), ("", "*"), ("rbac.authorization.k8s.io", "Role"), ("", "Secret"), ("", "Pod"),
                          ("argoproj.io", "Application"), ("monitoring.coreos.com", "ServiceMonitor"), ("traefik.io", "IngressRoute"),
                          ("external-secrets.io", "PushSecret"), ("monitoring.coreos.com", "PrometheusRule"), ("", "Endpoints"),
                          ("discovery.k8s.io", "EndpointSlice"), ("networking.istio.io", "EnvoyFilter"))),
    Attack("a project that admits every kind by silence", PROJECT, remove("spec", "namespaceResourceWhitelist"), "every kind"),
    Attack("a project that admits a ClusterRole", PROJECT, put("spec", "clusterResourceWhitelist",
           to=[{"group": "rbac.authorization.k8s.io", "kind": "ClusterRole"}]), "what lives in no namespace"),
    Attack("a project that admits all that lives in no namespace", PROJECT, put("spec", "clusterResourceWhitelist",
           to=[{"group": "*", "kind": "*"}]), "what lives in no namespace"),
    Attack("walls that admit another Namespace", WALLS, put("spec", "clusterResourceWhitelist", 0, "name", to="matrix-prod"),
           "what lives in no namespace"),
    Attack("walls that admit every Namespace", WALLS, remove("spec", "clusterResourceWhitelist", 0, "name"), "what lives in no"),
    Attack("a project whose token anybody may have", PROJECT, put("spec", "roles", to=[{"name": "x", "policies": []}]), "lets others in"),
    Attack("a project for Applications anywhere", PROJECT, put("spec", "sourceNamespaces", to=["*"]), "lets others in"),
    Attack("a project that takes another's ServiceAccount", PROJECT, put("spec", "destinationServiceAccounts",
           to=[{"server": "*", "namespace": "*", "defaultServiceAccount": "admin"}]), "lets others in"),
    Attack("the platform's project, from anywhere", "eu1/argocd/appproject-eu1-platform.yaml",
           put("spec", "sourceRepos", to=["*"]), "another repository than its own"),
    Attack("an operator's project into kube-public", "eu1/argocd/appproject-eu1-cloudnative-pg.yaml",
           put("spec", "destinations", 0, "namespace", to="kube-public"), "a namespace or a cluster"),
]  # fmt: skip

# ---- Stores of secrets.

ORDER = "us1/research/workload/secrets/externalsecret-research-database-1.yaml"
KEY = ("spec", "data", 0, "remoteRef", "key")
MORE, FOREIGN = "more than keys by name (dataFrom)", "a key of it is not this tenant's in the store"
STORES = [
    *(Attack(f"the key {each}", ORDER, put(*KEY, to=each), FOREIGN)
      for each in ("matrix-fleet/us1/newsroom/database-1", "matrix-fleet/us1/platform/logs-1", "matrix-fleet/eu1/research/database-1",
                   "matrix-fleet/us1/research/../newsroom/database-1", "other/database-1", "matrix-fleet/us1/research-x/database-1",
                   "/matrix-fleet/us1/research/database-1", "matrix-fleet/us1/research/", "matrix-fleet/us1/research//x",
                   "matrix-fleet/us1/research/x%2f..%2fy", "matrix-fleet/us1/research/x\nmatrix-fleet/us1/newsroom/y")),
    Attack("a second key of another's", ORDER, lambda thing: thing["spec"]["data"].append(
           {"secretKey": "x", "remoteRef": {**thing["spec"]["data"][0]["remoteRef"], "key": "matrix-fleet/us1/newsroom/x"}}), FOREIGN),
    Attack("all of a key", ORDER, put("spec", "dataFrom", to=[{"extract": {"key": "matrix-fleet/us1/newsroom/database-1"}}]), MORE),
    Attack("all of its own key", ORDER, put("spec", "dataFrom", to=[{"extract": {"key": "matrix-fleet/us1/research/database-1"}}]), MORE),
    Attack("whatever is found", ORDER, put("spec", "dataFrom", to=[{"find": {"name": {"regexp": ".*"}}}]), MORE),
    Attack("a generator", ORDER, put("spec", "dataFrom", to=[{"sourceRef": {"generatorRef": {
           "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "ClusterGenerator", "name": "x"}}}]), MORE),
    Attack("a source of a key's own", ORDER, put("spec", "data", 0, "sourceRef", to={"storeRef": {"name": "other",
           "kind": "ClusterSecretStore"}}), "a source of its own (sourceRef)"),
    Attack("another store", ORDER, put("spec", "secretStoreRef", "name", to="other"), "its store is not the cluster's"),
    Attack("a store of a namespace", ORDER, put("spec", "secretStoreRef", "kind", to="SecretStore"), "its store is not the cluster's"),
    Attack("no store", ORDER, remove("spec", "secretStoreRef"), "its store is not the cluster's"),
    Attack("a Secret of another name", ORDER, put("spec", "target", "name", to="newsroom-x"), "a Secret of this tenant's name"),
    Attack("a Secret with labels of its own", ORDER, put("spec", "target", "template", to={"metadata": {
           "labels": {"grafana_datasource": "1"}}}), "a Secret of this tenant's name"),
]  # fmt: skip

# ---- Roles.

ROLE = "eu1/chess-club/fence/role-chess-club-bootstrap.yaml"
BOUND = "eu1/chess-club/fence/rolebinding-chess-club-bootstrap.yaml"
SHARED_ROLE = "ap1/tenant-a/shared/fleet/role-tenant-a-bootstrap.yaml"
SHARED_BOUND = "ap1/tenant-a/shared/fleet/rolebinding-tenant-a-bootstrap.yaml"
NEIGHBOUR = "ap1/tenant-b/fence/role-tenant-b-bootstrap.yaml"
WIDE, STRANGE = "more than create Secrets and get those that it names", "a Secret that it names is not this tenant's"
ROLES = [
    *(Attack(f"a Role that may {verb}", ROLE, put("rules", 1, "verbs", to=[verb]), WIDE)
      for verb in ("*", "list", "watch", "update", "patch", "delete", "escalate", "bind", "impersonate")),
    Attack("a Role that may get and list", ROLE, add("rules", 1, "verbs", to="list"), WIDE),
    Attack("a Role that gets every Secret", ROLE, remove("rules", 1, "resourceNames"), WIDE),
    Attack("a Role that gets no named Secret", ROLE, put("rules", 1, "resourceNames", to=[]), WIDE),
    *(Attack(f"a Role for {resource}", ROLE, put("rules", 0, "resources", to=[resource]), WIDE)
      for resource in ("*", "pods/exec", "serviceaccounts/token", "pods", "configmaps", "secrets/x")),
    Attack("a Role of another group", ROLE, put("rules", 0, "apiGroups", to=["rbac.authorization.k8s.io"]), WIDE),
    Attack("a Role of every group", ROLE, put("rules", 0, "apiGroups", to=["*"]), WIDE),
    Attack("a Role of another name", ROLE, put("metadata", "name", to="other"), "not the Role of this tenant's bootstrap Job"),
    Attack("a Role in another's namespace", ROLE, put("metadata", "namespace", to="matrix-prod"), "not the Role of this tenant's"),
    Attack("a Role in kube-system", ROLE, put("metadata", "namespace", to="kube-system"), "not the Role of this tenant's"),
    Attack("a Role in Argo CD's namespace", ROLE, put("metadata", "namespace", to="argocd"), "not the Role of this tenant's"),
    *(Attack(f"in the platform's namespace, a Role that gets {name}", SHARED_ROLE, add("rules", 0, "resourceNames", to=name), STRANGE)
      for name in ("tenant-b-database-1", "platform-backup-1", "platform-postgresql-tls", "platform-alerts-1", "tenant-a-b-database-1",
                   "tenant-a-database-1-x")),
    Attack("in the platform's namespace, a Role that creates", SHARED_ROLE, add("rules", to={"apiGroups": [""],
           "resources": ["secrets"], "verbs": ["create"]}), WIDE),
    Attack("in the platform's namespace, a Role that lists", SHARED_ROLE, put("rules", 0, "verbs", to=["get", "list"]), WIDE),
    Attack("in a namespace of several, a Role that gets a neighbour's", NEIGHBOUR, add("rules", 1, "resourceNames",
           to="tenant-a-signing-key-1"), STRANGE),
    Attack("a RoleBinding to a ClusterRole", BOUND, renamed(put("roleRef", "kind", to="ClusterRole")), "not the RoleBinding"),
    Attack("its RoleBinding to cluster-admin", BOUND, put("roleRef", to={"apiGroup": "rbac.authorization.k8s.io",
           "kind": "ClusterRole", "name": "cluster-admin"}), "it binds another Role than its own"),
    Attack("its RoleBinding to another Role", BOUND, put("roleRef", "name", to="other"), "it binds another Role than its own"),
    *(Attack(f"a RoleBinding for {subject['name']}", BOUND, put("subjects", to=[subject]), "another than this tenant's bootstrap Job")
      for subject in ({"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"},
                      {"kind": "Group", "name": "system:authenticated", "apiGroup": "rbac.authorization.k8s.io"},
                      {"kind": "ServiceAccount", "name": "default", "namespace": "chess-club"},
                      {"kind": "ServiceAccount", "name": "matrix-prod-bootstrap", "namespace": "matrix-prod"})),
    Attack("a RoleBinding for its own, of another namespace", BOUND, put("subjects", 0, "namespace", to="matrix-prod"),
           "another than this tenant's bootstrap Job"),
    Attack("in the platform's namespace, a RoleBinding for a neighbour", SHARED_BOUND, put("subjects", 0, "name",
           to="tenant-b-bootstrap"), "another than this tenant's bootstrap Job"),
]  # fmt: skip

# ---- Databases.

DATABASE = "ap1/tenant-a/shared/database-tenant-a-postgresql.yaml"
CNPG = "eu1/matrix-ha/workload/cnpg/"
SERVER, POOLER, ARCHIVE = (f"{CNPG}{name}.yaml" for name in ("cluster-matrix-ha-postgresql", "pooler-matrix-ha-pgbouncer",
                                                           "objectstore-matrix-ha-postgresql"))  # fmt: skip
ANOTHERS = "it is another's database, or has another's owner"
DATABASES = [
    Attack("another's database", DATABASE, renamed(put("spec", "name", to="synapse_tenant_b")), ANOTHERS),
    Attack("the platform's own database", DATABASE, renamed(put("spec", "name", to="platform")), ANOTHERS),
    Attack("another's owner", DATABASE, put("spec", "owner", to="synapse_tenant_b"), ANOTHERS),
    Attack("a superuser as owner", DATABASE, put("spec", "owner", to="postgres"), ANOTHERS),
    Attack("another's object", DATABASE, put("metadata", "name", to="tenant-b-postgresql"), ANOTHERS),
    Attack("a database that goes with its object", DATABASE, put("spec", "databaseReclaimPolicy", to="delete"), "it would be dropped"),
    Attack("a database that is dropped", DATABASE, put("spec", "ensure", to="absent"), "it would be dropped"),
    Attack("a copy of another's", DATABASE, put("spec", "template", to="synapse_tenant_b"), "a copy of another database"),
    Attack("another server", DATABASE, renamed(put("spec", "cluster", "name", to="tenant-b-postgresql")), "not the one that tenants share"),
    Attack("another namespace", DATABASE, put("metadata", "namespace", to="matrix-tenants"), "not the one that tenants share"),
    Attack("extensions", DATABASE, put("spec", "extensions", to=[{"name": "dblink", "ensure": "present"}]), "it has extensions"),
    Attack("schemas", DATABASE, put("spec", "schemas", to=[{"name": "x", "owner": "postgres", "ensure": "present"}]), "it has extensions"),
    Attack("a server whose superuser logs in", SERVER, put("spec", "enableSuperuserAccess", to=True), "its superuser could log in"),
    Attack("annotations on what the operator makes", SERVER, put("spec", "inheritedMetadata", "annotations",
           to={"argocd.argoproj.io/tracking-id": "eu1-platform:x"}), "annotations of its own (inheritedMetadata)"),
    Attack("a PodMonitor by the operator", SERVER, put("spec", "monitoring", to={"enablePodMonitor": True}), "make a PodMonitor"),
    Attack("Services by the operator", SERVER, put("spec", "managed", "services", to={"additional": [{"selectorType": "rw",
           "serviceTemplate": {"metadata": {"name": "x"}, "spec": {"type": "LoadBalancer"}}}]}), "make a PodMonitor, Services"),
    Attack("a ServiceAccount with a cloud's role", SERVER, put("spec", "serviceAccountTemplate", to={"metadata": {"annotations":
           {"eks.amazonaws.com/role-arn": "x"}}}), "a ServiceAccount as it says"),
    Attack("a server of another name", SERVER, renamed(lambda thing: None), "not called as this tenant's is"),
    Attack("a server that copies another", SERVER, put("spec", "externalClusters", to=[{"name": "x", "connectionParameters":
           {"host": "platform-postgresql-rw.fleet"}}]), "by another way than its own archive"),
    Attack("a server that follows another's archive", SERVER, put("spec", "externalClusters", to=[{"name": "x", "plugin": {
           "name": "barman-cloud.cloudnative-pg.io", "parameters": {"barmanObjectName": "platform-postgresql"}}}]),
           "by another way than its own archive"),
    Attack("an archive of its own way", SERVER, put("spec", "backup", to={"barmanObjectStore": {"destinationPath": "s3://x/",
           "s3Credentials": {"inheritFromIAMRole": True}}}), "it archives in a way of its own"),
    Attack("a pooler before another's", POOLER, renamed(put("spec", "cluster", "name", to="x-postgresql")), "its server is not this"),
    Attack("a pooler's PodMonitor", POOLER, put("spec", "monitoring", to={"enablePodMonitor": True}), "make a PodMonitor or a Service"),
    Attack("a pooler's Service", POOLER, put("spec", "serviceTemplate", to={"spec": {"type": "LoadBalancer"}}), "or a Service"),
    Attack("a bucket by the node's login", ARCHIVE, put("spec", "configuration", "s3Credentials", to={"inheritFromIAMRole": True}),
           "log in as the node"),
]  # fmt: skip

# ---- Namespaces.

NAMESPACE = "eu1/chess-club/fence/namespace-chess-club.yaml"
PSA = "pod-security.kubernetes.io/enforce"
PART_OF = "app.kubernetes.io/part-of"
NAMESPACES = [
    Attack("no label that policies go by", NAMESPACE, remove("metadata", "labels", PART_OF), f"(label {PART_OF}) | Pods in it could take more | a label of it is not one that is compiled"),
    Attack("another value of it", NAMESPACE, put("metadata", "labels", PART_OF, to="other"), f"(label {PART_OF}) | Pods in it could take more | a label of it is not one that is compiled"),
    Attack("no labels", NAMESPACE, remove("metadata", "labels"), f"(label {PART_OF}) | Pods in it could take more | a label of it is not one that is compiled"),
    Attack("no Pod Security", NAMESPACE, remove("metadata", "labels", PSA), "Pod Security would hold less | Pods in it could take more | a label of it is not one that is compiled"),
    Attack("Pod Security baseline", NAMESPACE, put("metadata", "labels", PSA, to="baseline"), "Pod Security would hold less | Pods in it could take more | a label of it is not one that is compiled"),
    Attack("Pod Security of an old version", NAMESPACE, put("metadata", "labels", f"{PSA}-version", to="v1.20"), "an older version of it | Pods in it could take more | a label of it is not one that is compiled"),
    Attack("Pod Security privileged", NAMESPACE, put("metadata", "labels", PSA, to="privileged"), "could take more than Pod Security | a label of it"),
    Attack("files of nodes", NAMESPACE, put("metadata", "annotations", "matrix-fleet/host-paths", to="/etc"), "it lends files of nodes"),
    Attack("several tenants, so that hosts are free", NAMESPACE, put("metadata", "annotations", "matrix-fleet/several-tenants", to="true"),
           "it says that several tenants share it"),
    Attack("another's Namespace", NAMESPACE, put("metadata", "name", to="matrix-prod"), "it is not this tenant's"),
    Attack("a new Namespace", NAMESPACE, put("metadata", "name", to="other"), "it is not this tenant's"),
    Attack("kube-system", NAMESPACE, put("metadata", "name", to="kube-system"), "it is not this tenant's"),
    Attack("a neighbour's shared Namespace", "ap1/matrix-tenants/fence/namespace-matrix-tenants.yaml", lambda thing: None,
           "it is not this tenant's", "ap1-tenant-a-fence"),
]  # fmt: skip

# ---- Monitoring.

MONITOR = "eu1/chess-club/workload/metrics/podmonitor-chess-club-router.yaml"
PROBE = "eu1/chess-club/workload/probes/probe-chess-club-probe-client.yaml"
ALERTS = "eu1/matrix-prod/workload/receivers/alertmanagerconfig-matrix-prod-alerts.yaml"
END = ("spec", "podMetricsEndpoints", 0)
LABELLED, STATIC = "labelled as this tenant's, and no more", ("spec", "targets", "staticConfig")
HIDDEN = {"name": "tenant", "value": "matrix-ha", "matchType": "="}
MONITORING = [
    Attack("Pods of every namespace", MONITOR, put("spec", "namespaceSelector", to={"any": True}), "(namespaceSelector)"),
    Attack("Pods of another namespace", MONITOR, put("spec", "namespaceSelector", to={"matchNames": ["matrix-prod"]}), "(namespaceSelector)"),
    Attack("Pods of anybody", MONITOR, put("spec", "selector", to={}), "may find Pods of another tenant"),
    Attack("a neighbour's Pods", "ap1/tenant-b/workload/metrics/podmonitor-tenant-b-router.yaml", put("spec", "selector", "matchLabels",
           "app.kubernetes.io/instance", to="tenant-a"), "may find Pods of another tenant"),
    Attack("another's name", MONITOR, put(*END, "relabelings", 1, "replacement", to="matrix-prod"), LABELLED),
    Attack("no name", MONITOR, remove(*END, "relabelings"), LABELLED),
    Attack("its own name and then another's", MONITOR, add(*END, "relabelings", to={"action": "replace", "targetLabel": "tenant",
           "replacement": "matrix-prod"}), LABELLED),
    *(Attack(f"a relabeling of {label}", MONITOR, add(*END, "relabelings", to={"action": "replace", "targetLabel": label,
             "replacement": "matrix-prod"}), LABELLED)
      for label in ("namespace", "__address__", "__metrics_path__", "__scheme__", "__param_target", "instance", "pod")),
    Attack("a label whose name is made", MONITOR, add(*END, "relabelings", to={"action": "replace", "sourceLabels": ["__meta_kubernetes_pod_name"],
           "regex": "(.).*", "targetLabel": "${1}enant", "replacement": "matrix-prod"}), LABELLED),
    *(Attack(f"a relabeling by {action}", MONITOR, add(*END, "relabelings", to={"action": action, "regex": "x_(.+)"}), LABELLED)
      for action in ("labelmap", "labeldrop", "labelkeep", "LabelMap")),
    Attack("a tenant by the Pod's own label", MONITOR, put(*END, "relabelings", 1, to={"action": "replace", "targetLabel": "tenant",
           "sourceLabels": ["__meta_kubernetes_pod_label_x"], "replacement": "chess-club"}), LABELLED),
    Attack("redirects", MONITOR, put(*END, "followRedirects", to=True), "(followRedirects)"),
    Attack("redirects by default", MONITOR, remove(*END, "followRedirects"), "(followRedirects)"),
    Attack("Prometheus's own Secrets", MONITOR, put("spec", "scrapeClass", to="admin"), "(scrapeClass)"),
    Attack("Prometheus's own Secrets for a probe", PROBE, put("spec", "scrapeClass", to="admin"), "(scrapeClass)"),
    Attack("a probe's parameters", PROBE, put("spec", "params", to=[{"name": "target", "values": ["x"]}]), "its prober is not"),
    Attack("labels that Pods say", MONITOR, put(*END, "honorLabels", to=True), "(honorLabels)"),
    Attack("a name behind the scrape", MONITOR, put(*END, "metricRelabelings", to=[{"action": "replace", "targetLabel": "tenant",
           "replacement": "matrix-prod"}]), "(metricRelabelings)"),
    Attack("labels of Pods", MONITOR, put("spec", "podTargetLabels", to=["tenant"]), "(podTargetLabels, jobLabel"),
    Attack("a job by a label", MONITOR, put("spec", "jobLabel", to="x"), "(podTargetLabels, jobLabel"),
    Attack("a proxy", MONITOR, put(*END, "proxyUrl", to="http://x.example"), "or by a proxy"),
    Attack("a Secret as a token", MONITOR, put(*END, "bearerTokenSecret", to={"name": "x", "key": "x"}), "it sends Secrets"),
    Attack("a Secret as authorization", MONITOR, put(*END, "authorization", to={"credentials": {"name": "x", "key": "x"}}), "it sends Secrets"),
    Attack("a Secret for TLS", MONITOR, put(*END, "tlsConfig", to={"ca": {"secret": {"name": "x", "key": "x"}}}), "it sends Secrets"),
    Attack("another prober", PROBE, put("spec", "prober", "url", to="matrix-prod-synapse.matrix-prod:9000"), "its prober is not"),
    Attack("another path of the prober", PROBE, put("spec", "prober", "path", to="/config"), "its prober is not"),
    Attack("another's host", PROBE, put(*STATIC, "static", to=["https://matrix.example.com/"]), "a target of it is not this"),
    Attack("an address of the cluster", PROBE, put(*STATIC, "static", to=["http://10.0.0.1:9000/metrics"]), "a target of it is not this"),
    Attack("another's host behind a name", PROBE, put(*STATIC, "static", to=["https://chat.chess.example.org@matrix.example.com/"]),
           "a target of it is not this"),
    Attack("hosts of every Ingress", PROBE, put("spec", "targets", to={"ingress": {"namespaceSelector": {"any": True}}}), "(ingress)"),
    Attack("another's name of a probe", PROBE, put(*STATIC, "labels", "tenant", to="matrix-prod"), LABELLED),
    Attack("another's namespace of a probe", PROBE, put(*STATIC, "labels", "namespace", to="matrix-prod"), LABELLED),
    Attack("a relabeling of a probe", PROBE, put(*STATIC, "relabelingConfigs", to=[{"action": "replace", "targetLabel": "tenant",
           "replacement": "matrix-prod"}]), LABELLED),
    Attack("a name behind the probe", PROBE, put("spec", "metricRelabelings", to=[{"action": "replace", "targetLabel": "tenant",
           "replacement": "matrix-prod"}]), LABELLED),
    Attack("everybody's alerts", ALERTS, remove("spec", "route", "matchers"), "alerts of others would come in"),
    Attack("no matcher", ALERTS, put("spec", "route", "matchers", to=[]), "alerts of others would come in"),
    Attack("another's alerts", ALERTS, put("spec", "route", "matchers", 0, "value", to="matrix-ha"), "alerts of others would come in"),
    Attack("alerts of all by a pattern", ALERTS, put("spec", "route", "matchers", 0, to={"name": "tenant", "value": ".*", "matchType": "=~"}),
           "alerts of others would come in"),
    Attack("its own name as a pattern", ALERTS, put("spec", "route", "matchers", 0, "matchType", to="=~"), "alerts of others would come in"),
    Attack("alerts of all but its own", ALERTS, put("spec", "route", "matchers", 0, "matchType", to="!="), "alerts of others would come in"),
    Attack("the alertname alone", ALERTS, put("spec", "route", "matchers", to=[{"name": "alertname", "value": "X", "matchType": "="}]),
           "alerts of others would come in"),
    Attack("silence for another", ALERTS, put("spec", "inhibitRules", 0, "targetMatch", to=[HIDDEN]), "silence alerts of others"),
    Attack("silence for all", ALERTS, put("spec", "inhibitRules", 0, "targetMatch", to=[{"name": "alertname", "value": ".*",
           "matchType": "=~"}]), "silence alerts of others"),
    Attack("silence because of another", ALERTS, put("spec", "inhibitRules", 0, "sourceMatch", to=[HIDDEN]), "silence alerts of others"),
]  # fmt: skip

# ---- The edge, Services, volumes, labels.

INGRESS = "eu1/chess-club/workload/edge/ingress-chess-club-matrix.yaml"
CERTIFICATE = "eu1/chess-club/workload/edge/certificate-chess-club-matrix.yaml"
ISSUER = "eu1/chess-club/workload/postgresql/issuer-chess-club-postgresql-ca.yaml"
MIDDLEWARE = "eu1/chess-club/workload/edge/middleware-chess-club-https.yaml"
SERVICE = "eu1/chess-club/workload/router/service-chess-club-router.yaml"
CLAIM = "eu1/chess-club/workload/synapse/persistentvolumeclaim-chess-club-media.yaml"
CONFIG = "eu1/chess-club/workload/router/configmap-chess-club-router.yaml"
ROUTE = "ap1/tenant-a/workload/edge/httproute-tenant-a-matrix.yaml"
RULE = "ap1/tenant-a/fence/destinationrule-tenant-a-postgresql.yaml"
ALB = "us1/newsroom/workload/edge/ingress-newsroom-matrix.yaml"
ROUTER = "traefik.ingress.kubernetes.io/router"
ANNOTATED, LABEL = "an annotation of it is not one that is compiled", "a label of it is not one that is compiled"
PLAIN = "a path or backend of it is not a plain one"
FIRST = ("spec", "rules", 0, "http", "paths", 0)


def annotation(key: str, to: str) -> Change:
    """One more."""
    return put("metadata", "annotations", key, to=to)


EDGE = [
    *(Attack(f"an Ingress's {key}", INGRESS, annotation(key, value), ANNOTATED)
      for key, value in ((f"{ROUTER}.pathmatcher", "PathPrefix(`/`) || PathPrefix"), (f"{ROUTER}.priority", "99999"),
                         (f"{ROUTER}.rulesyntax", "v2"), (f"{ROUTER}.tls.options", "kube-system-x@kubernetescrd"),
                         ("nginx.ingress.kubernetes.io/server-snippet", "x"), ("nginx.ingress.kubernetes.io/server-alias", "x"),
                         ("nginx.ingress.kubernetes.io/auth-url", "http://x"), ("nginx.org/server-snippets", "x"),
                         ("haproxy-ingress.github.io/config-backend", "x"), ("external-dns.alpha.kubernetes.io/target", "192.0.2.1"),
                         ("external-dns.alpha.kubernetes.io/hostname", "matrix.example.com"),
                         ("cert-manager.io/cluster-issuer", "letsencrypt"), ("argocd.argoproj.io/hook", "PreSync"),
                         ("alb.ingress.kubernetes.io/group.name", "x"))),
    Attack("another entry point", INGRESS, annotation(f"{ROUTER}.entrypoints", "traefik"), "its entry point is not the cluster's"),
    Attack("another's middleware", INGRESS, annotation(f"{ROUTER}.middlewares", "matrix-prod-matrix-prod-https@kubernetescrd"),
           "its middleware is another's"),
    Attack("an annotation that ends a rule", INGRESS, annotation(f"{ROUTER}.tls", "true`) || Host(`x"), "ends what it is put into"),
    *(Attack(f"the path {each!r}", INGRESS, put(*FIRST, "path", to=each), PLAIN)
      for each in ("/`) || HostRegexp(`.+", "/x{y}", "/$x", "/a;b")),
    Attack("a path as the edge likes", INGRESS, put(*FIRST, "pathType", to="ImplementationSpecific"), PLAIN),
    Attack("a backend that is no Service", INGRESS, put(*FIRST, "backend", to={"resource": {"apiGroup": "traefik.io",
           "kind": "TraefikService", "name": "x"}}), PLAIN),
    Attack("another's load balancer", ALB, annotation("alb.ingress.kubernetes.io/group.name", "other"), "its load balancer is another's"),
    Attack("conditions of a load balancer", ALB, annotation("alb.ingress.kubernetes.io/conditions.x", "[]"), ANNOTATED),
    Attack("an issuer of another group", CERTIFICATE, both(put("spec", "dnsNames", to=["matrix.example.com"]),
           put("spec", "issuerRef", to={"group": "awspca.cert-manager.io", "kind": "AWSPCAClusterIssuer", "name": "x"})), "its issuer is neither"),
    Attack("another issuer of the cluster", CERTIFICATE, put("spec", "issuerRef", "name", to="internal"), "its issuer is neither"),
    Attack("an address in a certificate", CERTIFICATE, put("spec", "ipAddresses", to=["192.0.2.1"]), "more than hosts"),
    Attack("an identity in a certificate", CERTIFICATE, put("spec", "uris", to=["spiffe://cluster.local/ns/argocd/sa/x"]), "more than hosts"),
    Attack("a certificate that signs", CERTIFICATE, put("spec", "isCA", to=True), "more than hosts"),
    Attack("a subject of its own", CERTIFICATE, put("spec", "literalSubject", to="CN=matrix.example.com"), "more than hosts"),
    Attack("a Secret that Grafana reads", CERTIFICATE, put("spec", "secretTemplate", to={"labels": {"grafana_datasource": "1"}}),
           "(secretTemplate)"),
    Attack("a Secret that is copied elsewhere", CERTIFICATE, put("spec", "secretTemplate", to={"annotations":
           {"reflector.v1.k8s.emberstack.com/reflection-auto-enabled": "true"}}), "(secretTemplate)"),
    *(Attack(f"an issuer by {kind}", ISSUER, put("spec", to={kind: spec}), "it signs otherwise")
      for kind, spec in (("acme", {"server": "https://acme.example", "privateKeySecretRef": {"name": "x"}, "solvers": [{}]}),
                         ("vault", {"server": "https://x", "path": "x", "auth": {"tokenSecretRef": {"name": "x"}}}))),
    Attack("a middleware that asks elsewhere", MIDDLEWARE, put("spec", "forwardAuth", to={"address": "http://x"}), "does more than"),
    Attack("a middleware of a chain", MIDDLEWARE, put("spec", to={"chain": {"middlewares": [{"name": "x", "namespace": "y"}]}}), "does more"),
    Attack("a balancer's address by number", SERVICE, put("spec", "loadBalancerIP", to="192.0.2.1"), "(loadBalancerIP)"),
    Attack("an address of others", SERVICE, put("spec", "externalIPs", to=["203.0.113.9"]), "(externalIPs)"),
    *(Attack(f"a Service's {key}", SERVICE, annotation(key, "x"), ANNOTATED)
      for key in ("external-dns.alpha.kubernetes.io/hostname", "metallb.universe.tf/allow-shared-ip", "tailscale.com/expose",
                  "networking.istio.io/exportTo", "prometheus.io/scrape")),
    *(Attack(f"a volume by {keys[1]}", CLAIM, renamed(put(*keys, to=to)), "a volume that is there already")
      for keys, to in ((("spec", "volumeName"), "pv-1"), (("spec", "selector"), {"matchLabels": {"a": "b"}}),
                       (("spec", "dataSource"), {"kind": "PersistentVolumeClaim", "name": "x"}))),
    *(Attack(f"a ConfigMap's label {key}", CONFIG, put("metadata", "labels", key, to="1"), LABEL)
      for key in ("grafana_dashboard", "grafana_datasource", "grafana_alert", "argocd.argoproj.io/secret-type", "istio.io/rev")),
    *(Attack(f"a ConfigMap's annotation {key}", CONFIG, annotation(key, "fleet/x"), ANNOTATED)
      for key in ("reflector.v1.k8s.emberstack.com/reflects", "replicator.v1.mittwald.de/replicate-from", "argocd.argoproj.io/hook",
                  "config.kubernetes.io/x")),
    Attack("a sync that replaces", CONFIG, annotation("argocd.argoproj.io/sync-options", "Replace=true"), "(sync-options)"),
    Attack("a sync that forces", CONFIG, annotation("argocd.argoproj.io/sync-options", "Prune=false,Force=true"), "(sync-options)"),
    Attack("another Gateway", ROUTE, put("spec", "parentRefs", 0, "name", to="internal"), "its Gateway is not the one"),
    Attack("a Gateway of another namespace", ROUTE, put("spec", "parentRefs", 0, "namespace", to="kube-system"), "its Gateway is not the one"),
    Attack("a Service as a parent", ROUTE, put("spec", "parentRefs", 0, to={"group": "", "kind": "Service", "name": "tenant-b-router"}),
           "its Gateway is not the one"),
    Attack("another namespace's Service", ROUTE, put("spec", "rules", 0, "backendRefs", 0, "namespace", to="fleet"), "it leads elsewhere"),
    Attack("a neighbour's Service", ROUTE, put("spec", "rules", 0, "backendRefs", 0, "name", to="tenant-b-router"), "it leads elsewhere"),
    Attack("a copy of every request", ROUTE, put("spec", "rules", 0, "filters", to=[{"type": "RequestMirror", "requestMirror":
           {"backendRef": {"name": "x", "port": 80}}}]), "it leads elsewhere"),
    Attack("a neighbour's host", ROUTE, put("spec", "hostnames", to=["tenant-b.example.net"]), "a host of it is not this"),
    *(Attack(f"what every sidecar hears of ({to})", RULE, put("spec", "exportTo", to=to), "(exportTo)")
      for to in (["*"], [], [".", "fleet"])),
    Attack("what every sidecar hears of (unsaid)", RULE, remove("spec", "exportTo"), "(exportTo)"),
]  # fmt: skip

ATTACKS = [*ARGOCD, *STORES, *ROLES, *DATABASES, *NAMESPACES, *MONITORING, *EDGE]


OFFERED = {"kind": "vault", "vault": {"auth": "vault/tenants", "mount": "kv"}}
VAULTS: list[tuple[str, Change, str]] = [
    *((f"the path {each}", put("spec", "path", to=each), "its path is not this tenant's in the store")
      for each in ("matrix-fleet/us1/newsroom/database-1", "matrix-fleet/us1/research/../newsroom/x", "matrix-fleet/us1/research/a/b",
                   "matrix-fleet/us1/platform/x", "matrix-fleet/us1/research-x/a", "other")),
    ("another mount", put("spec", "mount", to="sys"), "its mount or namespace"),
    ("another namespace of the store", put("spec", "namespace", to="admin"), "its mount or namespace"),
    ("another login", put("spec", "vaultAuthRef", to="vault/admin"), "its way to log in is not the cluster's"),
    ("the default login", remove("spec", "vaultAuthRef"), "its way to log in is not the cluster's"),
    ("a Secret of another name", put("spec", "destination", "name", to="newsroom-x"), "a Secret of this tenant's name"),
]  # fmt: skip


def compiled(file: str) -> Object:
    """One object."""
    return yaml.safe_load((TOP / "compiled" / file).read_text())


def server(fleet: Fleet, file: str) -> Api:
    """Where an object goes: Argo CD's to its hub."""
    cluster, folder = file.split("/")[:2]
    return fleet.api("eu1" if folder == "argocd" and cluster == "us1" else cluster)


@pytest.mark.parametrize(
    "attack", ATTACKS, ids=lambda attack: f"{attack.file.split('/')[-1].partition('-')[0]}: {attack.what}"
)
def test_what_was_tampered_with_is_refused(fleet: Fleet, attack: Attack) -> None:
    path, thing, api = TOP / "compiled" / attack.file, compiled(attack.file), server(fleet, attack.file)
    api.apply(tracked(thing, application_of(path)), dry=True, manager="argocd-controller")
    changed = copy.deepcopy(thing)
    attack.change(changed)
    with pytest.raises(Refused) as refused:
        # Not by apply: fields that are left out of an apply stay as they are.
        replace(api, tracked(changed, attack.application or application_of(path)))
    # Several policies may refuse it, and the API server tells of one.
    assert any(each in refused.value.message for each in attack.says.split(" | ")), refused.value.message


def replace(api: Api, thing: Object) -> None:
    """Put an object in the place of what is there, or make it; nothing is kept. Under Argo CD's name."""
    there, query = api.there(thing), {"dryRun": "All", "fieldValidation": "Ignore", "fieldManager": "argocd-controller"}
    if there is None:
        make(api, thing, query)
        return
    thing = copy.deepcopy(thing)
    thing["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
    thing["metadata"].setdefault("finalizers", there["metadata"].get("finalizers", []))
    try:
        api.request("PUT", api.path_of(thing), thing, **query)
    except Refused as refused:
        if not any(each in refused.message for each in ("cannot change roleRef", "is immutable")):
            raise
        # What cannot be changed is made anew: admission is asked before the API server sees that the name is taken.
        del thing["metadata"]["resourceVersion"]
        make(api, thing, query)


def make(api: Api, thing: Object, query: dict[str, str]) -> None:
    """Create an object."""
    path = api.path(thing["apiVersion"], thing["kind"], thing["metadata"].get("namespace"))
    api.request("POST", path, thing, **query)


VAULT = ("secrets.hashicorp.com", "vaultstaticsecrets", "VaultStaticSecret")


@pytest.fixture(scope="module")
def vault(fleet: Fleet) -> Iterator[tuple[Api, Object]]:
    """us1 with Vault in the place of its store: its policies, the kind, and an order of a tenant's."""
    changed = read_fleet(TOP).changed("us1.platform", ("cluster", "secrets"), OFFERED)
    drawn = [
        yaml.safe_load(text)
        for path, text in draw_target(changed, "us1.platform", TOP).items()
        if "vaultstatic" in path
    ]
    orders = draw_target(changed, "us1.research", TOP)
    order = yaml.safe_load(next(text for path, text in orders.items() if "vaultstaticsecret-research-database" in path))
    api, group = fleet.api("us1"), VAULT[0]
    # The operator's own definition cannot be had (checks/schemas/written): its kind, with any fields.
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object",
               "x-kubernetes-preserve-unknown-fields": True}}}  # fmt: skip
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{VAULT[1]}.{group}"},
           "spec": {"group": group, "names": {"plural": VAULT[1], "kind": VAULT[2]}, "scope": "Namespaced", "versions": [version]}}  # fmt: skip
    made = [crd, *sorted(drawn, key=lambda thing: thing["kind"])]
    assert len(made) == 3
    for thing in made:
        api.apply(thing)
    bad = copy.deepcopy(order)
    bad["spec"]["path"] = "other"

    def holds() -> bool:
        try:
            api.apply(tracked(bad, "us1-research"), dry=True)
        except Refused as refused:
            return "matrix-fleet-vaultstaticsecret-paths" in refused.message
        return False

    until("the policy holds", holds, 60)
    yield api, order
    for thing in reversed(made):
        api.delete(thing)


@pytest.mark.parametrize(("change", "says"), [each[1:] for each in VAULTS], ids=[each[0] for each in VAULTS])
def test_vault_hands_out_a_tenants_own_alone(vault: tuple[Api, Object], change: Change, says: str) -> None:
    api, order = vault
    api.apply(tracked(order, "us1-research"), dry=True)
    changed = copy.deepcopy(order)
    change(changed)
    with pytest.raises(Refused) as refused:
        replace(api, tracked(changed, "us1-research"))
    assert says in refused.value.message, refused.value.message


PLACE = "matrix-tenants"
ROUTED: Object = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "tenant-a-matrix", "namespace": PLACE},
    "spec": {
        "hosts": ["a.matrix.example.com"], "gateways": ["istio-ingress/edge"], "exportTo": ["."],
        "http": [{"route": [{"destination": {"host": f"tenant-a-router.{PLACE}.svc.cluster.local", "port": {"number": 8080}}}]}],
    },
}  # fmt: skip
OPENED: Object = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "tenant-a-edge", "namespace": PLACE},
    "spec": {"selector": {"istio": "gateway"}, "servers": [{"port": {"number": 443, "name": "https", "protocol": "HTTPS"},
             "hosts": [f"{PLACE}/a.matrix.example.com"], "tls": {"mode": "SIMPLE", "credentialName": "tenant-a-matrix-tls"}}]},
}  # fmt: skip
TO = ("spec", "http", 0, "route", 0, "destination", "host")


@pytest.mark.parametrize(
    ("thing", "change", "says"),
    [
        (ROUTED, put("spec", "hosts", to=["b.matrix.example.com"]), "a host of it is not this namespace's"),
        (ROUTED, put("spec", "hosts", to=["*"]), "a host of it is not this namespace's"),
        (ROUTED, put("spec", "exportTo", to=["*"]), "(exportTo)"),
        (ROUTED, remove("spec", "exportTo"), "(exportTo)"),
        (ROUTED, put("spec", "gateways", to=["mesh"]), "its Gateway is not the one"),
        (ROUTED, remove("spec", "gateways"), "its Gateway is not the one"),
        (ROUTED, put("spec", "gateways", to=["istio-system/internal"]), "its Gateway is not the one"),
        (ROUTED, put(*TO, to="argocd-server.argocd.svc.cluster.local"), "it leads elsewhere"),
        (ROUTED, put(*TO, to="platform-postgresql-rw.fleet.svc.cluster.local"), "it leads elsewhere"),
        (ROUTED, put("spec", "http", 0, "mirror", to={"host": "x"}), "it leads elsewhere"),
        (ROUTED, put("spec", "http", 0, "delegate", to={"name": "x", "namespace": "fleet"}), "it leads elsewhere"),
        (OPENED, put("spec", "servers", 0, "hosts", to=[f"{PLACE}/b.matrix.example.com"]), "a host of it is not"),
        (OPENED, put("spec", "servers", 0, "hosts", to=["*/a.matrix.example.com"]), "a host of it is not"),
        (OPENED, put("spec", "servers", 0, "hosts", to=["a.matrix.example.com"]), "a host of it is not"),
        (
            OPENED,
            put("spec", "servers", 0, "tls", "credentialName", to="tenant-b-matrix-tls"),
            "a certificate of another",
        ),
    ],
)
def test_the_mesh_hears_of_a_tenants_own_alone(fleet: Fleet, thing: Object, change: Change, says: str) -> None:
    """Of kinds that no cluster here has at its edge; their policies are there wherever Istio is."""
    api = fleet.api("ap1")
    api.create(tracked(thing, "ap1-tenant-a"), dry=True)
    changed = copy.deepcopy(thing)
    change(changed)
    with pytest.raises(Refused) as refused:
        api.create(tracked(changed, "ap1-tenant-a"), dry=True)
    assert says in refused.value.message, refused.value.message


def test_what_a_controller_makes_is_let_through(fleet: Fleet) -> None:
    """A solver of cert-manager's, and a person's own objects beside the fleet's, which no policy is about."""
    solver = compiled("ap1/tenant-a/workload/edge/httproute-tenant-a-matrix.yaml")
    solver["metadata"] |= {
        "name": "cm-acme-http-solver",
        "annotations": {},
        "labels": {"acme.cert-manager.io/http-domain": "1"},
    }
    fleet.api("ap1").create(solver, dry=True)
    other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "somebodys"}}
    fleet.api("eu1").create(other, dry=True)
    mine = compiled("eu1/argocd/application-eu1-chess-club.yaml")
    mine["metadata"]["name"], mine["spec"]["project"] = "somebodys", "default"
    fleet.api("eu1").create(mine, dry=True)
    role = compiled("eu1/chess-club/fence/role-chess-club-bootstrap.yaml")
    role["metadata"] = {"name": "matrix-ha-postgresql", "namespace": "matrix-ha"}
    role["rules"] = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    fleet.api("eu1").create(role, dry=True)
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x", "namespace": "chess-club", "labels": {"a": "b"}},
    }
    fleet.api("eu1").create(config, dry=True)


def test_a_namespace_of_the_fleet_keeps_its_labels_whoever_writes(fleet: Fleet) -> None:
    api = fleet.api("eu1")
    there = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "chess-club"}}
    for labels in ({PART_OF: None}, {PSA: None}, {PSA: "baseline"}, {f"{PSA}-version": "v1.20"}):
        with pytest.raises(Refused, match=r"label|Pod Security"):
            api.request(
                "PATCH",
                api.path_of(there),
                {"metadata": {"labels": labels}},
                "application/merge-patch+json",
                dryRun="All",
            )


def test_a_secret_that_grafana_reads_is_refused_whoever_makes_it(fleet: Fleet) -> None:
    """The Job that makes a tenant's Secrets may create any."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "chess-club", "labels": {}}}
    fleet.api("eu1").create(secret, dry=True)
    for key in ("grafana_datasource", "grafana_dashboard", "grafana_alert"):
        secret["metadata"]["labels"] = {key: "1"}
        with pytest.raises(Refused, match="Grafana's sidecar would read it"):
            fleet.api("eu1").create(secret, dry=True)


def test_what_a_controller_writes_into_an_object_is_let_through(fleet: Fleet) -> None:
    """As the scheduler and the controller of volumes write into claims. Another sync is refused whoever asks for it."""
    path = TOP / "compiled" / CLAIM
    api, there = fleet.api("eu1"), tracked(compiled(CLAIM), application_of(path))
    made = api.there(there) is None
    if made:
        api.create(there)
    try:
        for manager, options, says in (
            ("kube-scheduler", "", ""),
            ("argocd-controller", "", "an annotation of it is not"),
            ("x", "Replace=true", "would sync it"),
        ):
            key = "volume.kubernetes.io/tried" if not options else "argocd.argoproj.io/sync-options"
            change = {"metadata": {"annotations": {key: options or "node-0"}}}
            query = {"fieldManager": manager, "dryRun": "All"}
            if not says:
                api.request("PATCH", api.path_of(there), change, "application/merge-patch+json", **query)
                continue
            with pytest.raises(Refused, match=says):
                api.request("PATCH", api.path_of(there), change, "application/merge-patch+json", **query)
    finally:
        if made:
            api.delete(there)


def test_a_sync_that_the_controller_begins_is_let_through(fleet: Fleet) -> None:
    """It writes the Application's own source into it."""
    path = TOP / "compiled" / APP
    mine = tracked(compiled(APP), application_of(path))
    mine["operation"] = {
        "initiatedBy": {"automated": True},
        "sync": {"prune": True, "source": mine["spec"]["source"], "syncOptions": ["ServerSideApply=true"]},
    }
    replace(fleet.api("eu1"), mine)
