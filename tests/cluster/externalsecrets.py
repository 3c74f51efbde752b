"""external-secrets' own controller, and a store for it: moto answers as Amazon's Secrets Manager does, and as its STS,
which here takes the token of any ServiceAccount for the role that is asked for.
"""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request

import build
from api import until
from plane import Plane
from repository import TOP

GROUP = "external-secrets.io"
NAMESPACE = "external-secrets"
ROLE = "arn:aws:iam::123456789012:role/matrix-fleet"
TARGET = re.compile(r"^\S+/(?P<secret>\S+)\n  keys +(?P<keys>.+)(?:\n  .+)*?\n  in store  (?P<stored>\S+)")
"""What `matrix-fleet secrets` says of a Secret that is fetched from a store."""


class ExternalSecrets:
    """Both, for one cluster."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.store = f"http://{plane.address}:5000"

    def start(self) -> None:
        """The store, then the controller, with the ServiceAccount that the compiled store names."""
        plane, api = self.plane, self.plane.api
        assert api
        plane.processes.start("moto", [build.CLUSTER / "bin/moto_server", "-H", plane.address, "-p", "5000"])
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        where = {"name": "matrix-fleet", "namespace": NAMESPACE, "annotations": {"eks.amazonaws.com/role-arn": ROLE}}
        api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": where})
        plane.processes.start(
            NAMESPACE,
            [
                build.operator("externalsecrets"), "--concurrent=4", f"--metrics-addr={plane.address}:8083", "--loglevel=warn",
            ],
            {
                "KUBECONFIG": str(plane.kubeconfig),
                "AWS_SECRETSMANAGER_ENDPOINT": self.store,
                "AWS_STS_ENDPOINT": self.store,
            },
        )  # fmt: skip
        until("the store answers", lambda: plane.processes.alive() and self.answers(), 60)

    def answers(self) -> bool:
        """Whether the store does."""
        try:
            self.call("ListSecrets", {})
        except OSError:
            return False
        return True

    def call(self, action: str, body: dict[str, str]) -> dict[str, object]:
        """A request of Secrets Manager's API; moto looks at no signature."""
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"secretsmanager.{action}",
            "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/secretsmanager/aws4_request, "
            "SignedHeaders=host, Signature=0",
        }
        request = urllib.request.Request(self.store, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, object] = json.load(answer)
            return found

    def fill(self, target: str) -> dict[str, dict[str, str]]:
        """What a person does for a tenant, by what `matrix-fleet secrets` says; values by Secret and key."""
        command = [TOP / ".venv/bin/matrix-fleet", "secrets", target]
        said = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout
        made = {}
        for found in filter(None, map(TARGET.match, said.split("\n\n"))):
            values = {key: f"{key} of {found['stored']}" for key in found["keys"].split(", ")}
            made[found["secret"]] = values
            self.call("CreateSecret", {"Name": found["stored"], "SecretString": json.dumps(values)})
        return made
