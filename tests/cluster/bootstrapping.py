"""The bootstrap Job's Pods do not only look as if they ran: their script runs, with the token of their ServiceAccount.

So the Role that is compiled is what lets it make Secrets, and the Secrets are there for the tests.
"""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

from api import Api, Object, Refused

TOP = Path(__file__).resolve().parent.parent.parent
SYNAPSE = TOP / ".cache/synapse/venv/bin/python"
"""Python with Synapse, as in the image."""
RUN = """
import runpy, sys
from pathlib import Path
module = runpy.run_path(sys.argv[1], run_name="bootstrap")
module["call"].__globals__["ACCOUNT"] = Path(sys.argv[2])
module["main"]()
"""


class Bootstrapping(threading.Thread):
    """Watches for them. What each run said is in `said`, by the Pod's namespace and name."""

    def __init__(self, api: Api, folder: Path) -> None:
        super().__init__(daemon=True)
        self.api, self.folder = api, folder
        self.ended = threading.Event()
        self.said: dict[str, list[str]] = {}

    def run(self) -> None:
        for event in self.api.watch("v1", "Pod", self.ended):
            pod = event["object"]
            here = pod["metadata"]["labels"].get("app.kubernetes.io/component") == "bootstrap"
            key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            if here and event["type"] != "DELETED" and pod["status"].get("phase") == "Running" and key not in self.said:
                self.said[key] = []
                threading.Thread(target=self.carry, args=(pod, key), daemon=True).start()

    def carry(self, pod: Object, key: str) -> None:
        """Run one until it ends well, as restartPolicy OnFailure does."""
        place, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        folder = self.folder / place / name
        folder.mkdir(parents=True)
        claim = pod["spec"]["volumes"][0]["configMap"]["name"]
        files = self.api.get("v1", "ConfigMap", place, claim)
        for file, text in (files or {}).get("data", {}).items():
            (folder / file).write_text(text)
        account = self.api.path("v1", "ServiceAccount", place, pod["spec"]["serviceAccountName"]) + "/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        (folder / "token").write_text(self.api.request("POST", account, asked)["status"]["token"])
        (folder / "ca.crt").write_text(Path(self.api.ca).read_text())
        host, _, port = self.api.host.partition(":")
        env = {**os.environ, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        env.pop("PYTHONPATH", None)
        code, restarts = 1, 0
        while code and not self.ended.wait(2 if restarts else 0):
            command = [SYNAPSE, "-c", RUN, folder / "bootstrap.py", folder]
            done = subprocess.run(command, env=env, capture_output=True, text=True)
            code, restarts = done.returncode, restarts + 1
            self.said[key].append(f"{done.stdout}{done.stderr}")
        container = {
            "name": "bootstrap",
            "image": pod["spec"]["containers"][0]["image"],
            "imageID": "",
            "ready": False,
            "restartCount": restarts - 1,
            "state": {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}},
        }
        try:
            status = {"status": {"phase": "Succeeded" if code == 0 else "Failed", "containerStatuses": [container]}}
            self.api.patch({**pod, "apiVersion": "v1", "kind": "Pod"}, status, "status")
        except Refused as refused:
            if refused.code != 404:
                raise
