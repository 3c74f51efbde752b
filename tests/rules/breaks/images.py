from rules.breaking import PROD, SYNAPSE, Break, edit, put

CONTAINER = ("spec", "template", "spec", "containers", 0)


def own(what, *keys, to, says):
    return Break(what, put(SYNAPSE, *CONTAINER, *keys, to=to), f"container synapse: {says}")


BREAKS = [
    own(
        "an image of nobody",
        "image",
        to="registry.example.com:5000/synapse:v1",
        says="expected an image of release stable, got registry.example.com:5000/synapse:v1",
    ),
    own(
        "another version",
        "image",
        to="ghcr.io/element-hq/synapse:latest",
        says="expected image ghcr.io/element-hq/synapse:v1.",
    ),
    own("another user", "securityContext", "runAsUser", to=1000, says="expected runAsUser 991, got 1000"),
    own("another group", "securityContext", "runAsGroup", to=1000, says="expected runAsGroup 991, got 1000"),
    own("a program that is not in it", "command", to=["bash"], says="expected a command of python, sh, got bash"),
    own(
        "the image's entrypoint", "command", to=[], says="expected a command of python, sh, got the image's entrypoint"
    ),
    own("a port of its own", "ports", 0, "containerPort", to=8448, says="port 8448: expected one of [8008, "),
    own(
        "a capability",
        "securityContext",
        "capabilities",
        "add",
        to=["NET_BIND_SERVICE"],
        says="expected capabilities.add [], got ['NET_BIND_SERVICE']",
    ),
    Break(
        "no capability where the binary needs it",
        put(
            f"{PROD}/workload/turn/daemonset-matrix-prod-turn.yaml",
            *CONTAINER,
            "securityContext",
            "capabilities",
            to={"drop": ["ALL"]},
        ),
        "container coturn: expected capabilities.add ['NET_BIND_SERVICE'], got []",
    ),
    Break(
        "a volume where it never writes",
        edit(
            SYNAPSE,
            lambda doc: doc["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][-1].update(
                mountPath="/var/tmp"
            ),
        ),
        "container synapse: writable volume at /var/tmp: expected it at or below one of ['/tmp', '/data']",
    ),
    Break(
        "no volume where it writes",
        edit(
            f"{PROD}/workload/element/deployment-matrix-prod-element.yaml",
            lambda doc: doc["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].pop(),
        ),
        "container nginx: expected a writable volume at /tmp, where its image writes",
    ),
]
