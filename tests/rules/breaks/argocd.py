from rules.breaking import PROD, SYNAPSE, Break, drop, edit, put

ARGOCD = "eu1/argocd"
APP = f"{ARGOCD}/application-eu1-matrix-prod.yaml"
PROJECT = f"{ARGOCD}/appproject-eu1-matrix-prod.yaml"
FENCE = f"{ARGOCD}/appproject-eu1-matrix-prod-fence.yaml"
CHART = f"{ARGOCD}/application-eu1-cert-manager.yaml"
PLATFORM = f"{ARGOCD}/appproject-eu1-platform.yaml"
ROOT = "eu1/platform/bootstrap/application-eu1-root.yaml"
ROOT_PROJECT = "eu1/platform/bootstrap/appproject-eu1-root.yaml"
WAVE = "argocd.argoproj.io/sync-wave"


def app(what, *keys, to, says):
    return Break(what, put(APP, "spec", *keys, to=to), f"Application argocd/eu1-matrix-prod: {says}")


def project(what, *keys, to, says, path=PROJECT):
    return Break(what, put(path, "spec", *keys, to=to), says)


BREAKS = [
    Break(
        "a wave that is no integer",
        put(SYNAPSE, "metadata", "annotations", "argocd.argoproj.io/sync-wave", to="first"),
        f"Deployment matrix-prod/matrix-prod-synapse: {WAVE}: expected an integer as a string, got 'first'",
    ),
    Break(
        "an object that is replaced",
        put(SYNAPSE, "metadata", "annotations", "argocd.argoproj.io/sync-options", to="Prune=false,Replace=true"),
        "Deployment matrix-prod/matrix-prod-synapse: Replace=true: expected none",
    ),
    app(
        "an Application that forces",
        "syncPolicy",
        "syncOptions",
        to=["ServerSideApply=true", "FailOnSharedResource=true", "Force=true"],
        says="Force=true: expected none",
    ),
    Break(
        "an Application that compares without the API server",
        put(APP, "metadata", "annotations", "argocd.argoproj.io/compare-options", to="ServerSideDiff=false"),
        "argocd.argoproj.io/compare-options: expected ServerSideDiff=true",
    ),
    Break(
        "a folder in a part that looks like Argo CD's",
        lambda tree: tree.having(f"{PROD}/workload/argocd/x.yaml", tree.entries[SYNAPSE].doc),
        f"compiled/{PROD}/workload/argocd/x.yaml: expected no folder argocd in a target's",
    ),
    Break(
        "a target's own folder of Argo CD objects, as it was once read",
        lambda tree: tree.having(f"{PROD}/argocd/x.yaml", tree.entries[APP].doc),
        f"compiled/{PROD}/argocd/x.yaml: expected no folder argocd in a target's",
    ),
    Break(
        "a folder below the one that the root reads",
        lambda tree: tree.having(f"{ARGOCD}/argocd/x.yaml", tree.entries[APP].doc),
        f"compiled/{ARGOCD}/argocd/x.yaml: expected no folder argocd in a target's or below another",
    ),
    Break(
        "an Application in a tenant's folder",
        lambda tree: tree.having(f"{PROD}/workload/x.yaml", tree.entries[APP].doc),
        "expected Applications and AppProjects in <cluster>/argocd or bootstrap, and nothing else there",
    ),
    Break(
        "another kind beside Argo CD's",
        lambda tree: tree.having(f"{ARGOCD}/x.yaml", tree.entries[SYNAPSE].doc),
        "expected Applications and AppProjects in <cluster>/argocd or bootstrap, and nothing else there",
    ),
    Break(
        "a project that says it is another target's",
        put(PROJECT, "metadata", "labels", "app.kubernetes.io/instance", to="chess-club"),
        "AppProject argocd/eu1-matrix-prod: expected a name of eu1-chess-club, eu1-chess-club-fence, eu1-chess-club-shared",
    ),
    Break(
        "a part that nobody syncs",
        drop(APP),
        f"compiled/{PROD}: expected one Application for compiled/{PROD}/workload, got 0",
    ),
    Break(
        "a part that is synced twice",
        put(
            f"{ARGOCD}/application-eu1-matrix-prod-fence.yaml",
            "spec",
            "source",
            "path",
            to=f"compiled/{PROD}/workload",
        ),
        f"expected one Application for compiled/{PROD}/workload, got 2",
    ),
    app(
        "another's project",
        "project",
        to="eu1-chess-club",
        says="project: expected eu1-matrix-prod, in the same folder",
    ),
    Break("no project", drop(PROJECT), "project: expected eu1-matrix-prod, in the same folder, got eu1-matrix-prod"),
    app(
        "another's folder",
        "source",
        "path",
        to="compiled/eu1/chess-club/workload",
        says=f"path: expected a folder of compiled/{PROD}, got compiled/eu1/chess-club/workload",
    ),
    app(
        "another's namespace",
        "destination",
        "namespace",
        to="chess-club",
        says="destination: expected one of its project's",
    ),
    app("another repository", "source", "repoURL", to="https://example.com/x.git", says="repoURL: expected one of its"),
    app(
        "a short revision",
        "source",
        "targetRevision",
        to="main",
        says="targetRevision: expected a full name, refs/heads",
    ),
    Break(
        "a chart of some version",
        put(CHART, "spec", "source", "targetRevision", to="v1.*"),
        "Application argocd/eu1-cert-manager: targetRevision: expected an exact version, got v1.*",
    ),
    app(
        "nothing is pruned",
        "syncPolicy",
        "automated",
        "prune",
        to=False,
        says="syncPolicy.automated.prune: expected true",
    ),
    app(
        "nothing is healed",
        "syncPolicy",
        "automated",
        to={"prune": True},
        says="syncPolicy.automated.selfHeal: expected",
    ),
    app(
        "an empty folder deletes all",
        "syncPolicy",
        "automated",
        "allowEmpty",
        to=True,
        says="allowEmpty: expected none",
    ),
    app(
        "two may own one object",
        "syncPolicy",
        "syncOptions",
        1,
        to="PruneLast=true",
        says="syncOptions: expected FailOn",
    ),
    Break(
        "what it made outlives it",
        edit(APP, lambda doc: doc["metadata"].pop("finalizers")),
        "finalizers: expected resources-finalizer.argocd.argoproj.io",
    ),
    Break(
        "a root that takes every tenant with it",
        put(ROOT, "metadata", "finalizers", to=["resources-finalizer.argocd.argoproj.io"]),
        "Application argocd/eu1-root: finalizers: expected none",
    ),
    Break(
        "walls that the root waits for",
        put(
            f"{ARGOCD}/application-eu1-matrix-prod-fence.yaml",
            "metadata",
            "finalizers",
            to=["resources-finalizer.argocd.argoproj.io"],
        ),
        "finalizers: expected none; with one, the root waits until a person has deleted the namespace",
    ),
    project("any source", "sourceRepos", to=["*"], says="sourceRepos: expected each one by name, got ['*']"),
    project("any namespace", "destinations", 0, "namespace", to="*", says="destinations: expected each one by name"),
    project(
        "a kind that is not compiled",
        "namespaceResourceWhitelist",
        0,
        to={"group": "", "kind": "Secret"},
        says="namespaceResourceWhitelist: admits /Secret, which is not compiled",
    ),
    project("no kind", "namespaceResourceWhitelist", to=[], says="lacks apps/Deployment, which is compiled"),
    project(
        "every namespace by its kind",
        "clusterResourceWhitelist",
        0,
        to={"group": "", "kind": "Namespace"},
        path=FENCE,
        says="AppProject argocd/eu1-matrix-prod-fence: clusterResourceWhitelist: admits /Namespace/None, which is not",
    ),
    project(
        "a namespace in which nothing is compiled",
        "destinations",
        0,
        "namespace",
        to="kube-system",
        path=PLATFORM,
        says="AppProject argocd/eu1-platform: destinations: admits kube-system, which is not compiled",
    ),
    project(
        "two clusters", "destinations", 1, "server", to="https://us1:6443", says="destinations: expected one server"
    ),
    project(
        "a root that makes anything",
        "clusterResourceWhitelist",
        to=[{"group": "", "kind": "Namespace"}],
        path=ROOT_PROJECT,
        says="AppProject argocd/eu1-root: expected to admit AppProject and Application, nothing more or less",
    ),
    project(
        "a root that goes anywhere",
        "destinations",
        0,
        "namespace",
        to="kube-system",
        path=ROOT_PROJECT,
        says="destinations: expected Argo CD's namespace argocd alone",
    ),
    Break(
        "a root that reads everything",
        put(ROOT, "spec", "source", "path", to="compiled/eu1"),
        "expected compiled/eu1/argocd with recurse: false, got compiled/eu1 with {'recurse': False}",
    ),
    Break(
        "a root that reads folders below",
        put(ROOT, "spec", "source", "directory", "recurse", to=True),
        "expected compiled/eu1/argocd with recurse: false, got compiled/eu1/argocd with {'recurse': True}",
    ),
]
