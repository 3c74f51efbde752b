from rules.breaking import SYNAPSE, Break, edit

TURN = "eu1/matrix-prod/workload/turn/daemonset-matrix-prod-turn.yaml"


def scratch(name, **to):
    """Another emptyDir of a name."""

    def change(doc):
        (volume,) = (one for one in doc["spec"]["template"]["spec"]["volumes"] if one["name"] == name)
        volume["emptyDir"] = to

    return change


def on_disk(name):
    return scratch(name, sizeLimit="1Mi")


def beside(path, medium=None):
    """One more folder for Synapse to write."""

    def change(doc):
        pod = doc["spec"]["template"]["spec"]
        pod["volumes"].append(
            {"name": "more", "emptyDir": {"sizeLimit": "1Mi", **({"medium": medium} if medium else {})}}
        )
        pod["containers"][0]["volumeMounts"].append({"name": "more", "mountPath": path})

    return change


def command(text):
    def change(doc):
        doc["spec"]["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", text]

    return change


BREAKS = [
    Break(
        "a configuration joined with its secret on disk",
        edit(TURN, on_disk("run")),
        "container configuration: reads Secrets and writes /run/turn: expected emptyDir.medium Memory",
    ),
    Break(
        "a folder of its own on disk",
        edit(SYNAPSE, beside("/data/joined")),
        "container synapse: reads Secrets and writes /data/joined: expected emptyDir.medium Memory",
    ),
    Break(
        "a mail password's file on disk",
        edit(SYNAPSE, beside("/data/email")),
        "writes /data/email: expected emptyDir.medium Memory",
    ),
    Break(
        "memory without an end",
        edit(TURN, scratch("run", medium="Memory")),
        "writes /run/turn in memory: expected a sizeLimit, got none",
    ),
    Break(
        "memory that its limit has no room for",
        edit(TURN, scratch("run", medium="Memory", sizeLimit="1Gi")),
        "of its limit",
    ),
    Break(
        "a temporary file wherever that is",
        edit(SYNAPSE, command("work=$(mktemp -d); cp /secrets/synapse/form_secret $work")),
        "its command calls mktemp without a folder",
    ),
]
