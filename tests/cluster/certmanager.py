"""For cert-manager: Certificates are really issued, by what the Issuers say (lib/fleetnode/certificates.py). Every
ClusterIssuer is one authority of the test's own."""

from __future__ import annotations

import threading

from api import Api, Object, Refused
from kubelet import now

from fleetnode import certificates
from fleetnode.certificates import Authority
from podrunner.objects import Objects, identity

CERTIFICATE, ISSUER = ("cert-manager.io/v1", "Certificate"), ("cert-manager.io/v1", "Issuer")


class CertManager(threading.Thread):
    """Issues until it is told to end."""

    def __init__(self, api: Api, world: Authority) -> None:
        super().__init__(name="cert-manager", daemon=True)
        self.api, self.world = api, world
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            try:
                self.issue()
            except (Refused, OSError) as error:
                if not self.ended.is_set():
                    print(f"cert-manager: {error}", flush=True)

    def issue(self) -> None:
        """Make each Secret that is not there yet, authorities first."""
        wanted = self.api.list(*CERTIFICATE)
        issuers = self.api.list(*ISSUER)
        store = Objects(self.api.list("v1", "Secret"))
        for one in sorted(wanted, key=lambda each: not each["spec"].get("isCA", False)):
            namespace, name = one["metadata"]["namespace"], one["spec"]["secretName"]
            try:
                certificates.issue([*issuers, one], store, self.world)
            except LookupError:
                # Its issuer, or the issuer's own certificate, comes later.
                continue
            made = store.need("Secret", namespace, name)
            if "uid" not in made["metadata"]:
                self.api.create({"apiVersion": "v1", **made})
            if not one.get("status", {}).get("conditions"):
                self.say_ready(one)

    def say_ready(self, one: Object) -> None:
        """As cert-manager does once the Secret is there."""
        condition = {"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": now()}
        self.api.patch(one, {"status": {"conditions": [{**condition, "message": identity(one)[2]}]}}, "status")
