from collections.abc import Callable

from matrixfleet.checks.tree import Json, Tree
from rules.breaking import POSTGRESQL, PROD, SYNAPSE, Break, edit, put

CONFIG = f"{PROD}/workload/synapse/configmap-matrix-prod-synapse.yaml"
POD = ("spec", "template", "spec")


def pod(doc: Json) -> Json:
    found: Json = doc["spec"]["template"]["spec"]
    return found


def says(old: str, new: str) -> Callable[[Tree], Tree]:
    def change(doc: Json) -> None:
        doc["data"]["homeserver.yaml"] = doc["data"]["homeserver.yaml"].replace(old, new)

    return edit(CONFIG, change)


BREAKS = [
    Break(
        "a volume that nobody mounts",
        edit(SYNAPSE, lambda doc: pod(doc)["volumes"].append({"name": "extra", "emptyDir": {}})),
        "volume extra: expected a container that mounts it",
    ),
    Break(
        "a mount of no volume",
        put(SYNAPSE, *POD, "containers", 0, "volumeMounts", 0, "name", to="config"),
        "container synapse: mounts config, expected a volume of that name",
    ),
    Break(
        "a Secret that nothing reads",
        says("turn_shared_secret_path: /secrets/turn/shared_secret", "# /secrets/turn/shared_secret"),
        "container synapse: mounts /secrets/turn, expected its command, variables or a ConfigMap to name it",
    ),
    Break(
        "scratch that the image does not write",
        edit(
            SYNAPSE,
            lambda doc: pod(doc)["containers"][0]["volumeMounts"].append({"name": "tmp", "mountPath": "/var/tmp"}),
        ),
        "or a ConfigMap to name it, or its image's release row to list it in writes",
    ),
    Break(
        "a command that names what is not mounted",
        put(POSTGRESQL, *POD, "containers", 1, "command", 1, to="/etc/synapse/reconcile.sh"),
        "container reconciler: names /etc/synapse/reconcile.sh, expected a volume that is mounted there",
    ),
    Break(
        "a command that names no file of the ConfigMap",
        put(POSTGRESQL, *POD, "containers", 1, "command", 1, to="/etc/postgresql/reconciler.sh"),
        "names /etc/postgresql/reconciler.sh, expected one of the files in /etc/postgresql: initdb.sh,",
    ),
    Break(
        "a configuration that names what is not mounted",
        says("media_store_path: /data/media", "media_store_path: /data/media_store"),
        "matrix-prod-synapse: names /data/media_store, expected a volume that is mounted there",
    ),
    Break(
        "a configuration that names a key which its Secret lacks",
        says("/secrets/synapse/form_secret", "/secrets/synapse/form"),
        "names /secrets/synapse/form, expected one of the files in /secrets/synapse: form_secret, macaroon",
    ),
    Break(
        "a mount that hides a file of the volume around it",
        edit(
            POSTGRESQL,
            lambda doc: pod(doc)["containers"][1]["volumeMounts"].append(
                {"name": "tls-database", "mountPath": "/etc/postgresql/reconcile.sh", "subPath": "tls.crt.d"}
            ),
        ),
        "container reconciler: names /etc/postgresql/reconcile.sh, expected one of the files in",
    ),
]
