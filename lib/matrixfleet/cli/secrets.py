"""`matrix-fleet secrets`: a tenant's secrets, who makes them and who reads them; and fresh values where a person
must make them. A value is never an argument of a command, never on a screen, never in a file."""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from matrixfleet.checks import Tree
from matrixfleet.checks.rules.references import all_references
from matrixfleet.checks.tree import Entry
from matrixfleet.drawing import draw_target
from matrixfleet.errors import Fault, FleetError, did_you_mean
from matrixfleet.model import Fleet
from matrixfleet.model.choices import Backup, Store
from matrixfleet.plan import TenantPlan, plan_of
from matrixfleet.plan.secrets import CARRIED, SIGNING_KEY, Secret

GENERATOR = "components/bootstrap/bootstrap.py"
SYNAPSE = ".cache/synapse/venv/bin/python"


def told(top: Path, name: str) -> str:
    """Every Secret of a tenant, those of certificates among them."""
    fleet, plan = _tenant(top, name)
    texts = {f"{name.replace('.', '/')}/{path}": text for path, text in draw_target(fleet, name, top).items()}
    tree = Tree.of(texts)
    planned = {secret.name: secret for secret in plan.secrets}
    readers = _readers(tree)
    lines = []
    for (_, namespace, called), (maker, keys) in sorted(tree.produced_secrets.items()):
        secret = planned.get(called)
        lines += [
            f"{namespace}/{called}",
            f"  keys      {', '.join(sorted(keys))}",
            f"  made by   {_made_by(maker, secret)}",
            f"  read by   {', '.join(sorted(readers.get((namespace, called), {'nobody'})))}",
            f"  rotate    {_rotation(fleet, plan, secret) if secret else 'nothing to do: cert-manager renews it'}",
            f"  backup    {_backup(plan, secret)}",
        ]
        if secret and secret.remote and namespace == secret.namespaces[0]:
            lines += [f"  in store  {secret.remote}", *_put(plan, secret)]
        lines.append("")
    return "\n".join(lines).rstrip()


def create_absent(top: Path, name: str, context: str) -> str:
    """Create the Secrets that a cluster lacks, with the generator of its own Job; what exists is never changed.
    Raises FleetError where the cluster does not make its Secrets itself."""
    _, plan = _tenant(top, name)
    if any(secret.remote for secret in plan.secrets):
        message = f"Secrets of {plan.cluster.name} come from a store; expected --fresh, and the store's own command"
        raise FleetError([Fault("", 0, "--create", message)])
    script = _generator(top, plan.secrets)
    script.call = lambda *request: _kubectl(context, *request)  # type: ignore[attr-defined]
    for secret in plan.secrets:
        script.ensure(secret.recipe)
    return f"{len(plan.secrets)} Secrets are there"


def fresh_values(top: Path, name: str, called: str, out: TextIO) -> None:
    """Write new values of one Secret as JSON. Raises FleetError where a person would see them."""
    _, plan = _tenant(top, name)
    secrets = {secret.name: secret for secret in plan.secrets}
    if called not in secrets:
        raise FleetError([Fault("", 0, "--fresh", f"no Secret {called!r}{did_you_mean(called, list(secrets))}")])
    if out.isatty():
        raise FleetError([Fault("", 0, "--fresh", "expected a pipe, got a terminal: secrets are not shown")])
    script = _generator(top, (secrets[called],))
    json.dump({key: script.generate(kind) for key, kind in secrets[called].keys}, out)


def _tenant(top: Path, name: str) -> tuple[Fleet, TenantPlan]:
    fleet = Fleet.read(top / "inventory")
    if name not in fleet.names:
        raise FleetError([Fault("inventory/targets", 0, "", f"no target {name!r}{did_you_mean(name, fleet.names)}")])
    plan = plan_of(fleet, name)
    if not isinstance(plan, TenantPlan):
        raise FleetError([fleet.fault(name, (), "has no secrets of its own; expected a tenant's target")])
    return fleet, plan


def _readers(tree: Tree) -> dict[tuple[str, str], set[str]]:
    """Who names each Secret, by namespace and name."""
    found: dict[tuple[str, str], set[str]] = {}
    for entry, reference in all_references(tree):
        if reference.kind == "Secret":
            found.setdefault((entry.namespace, reference.name), set()).add(f"{entry.kind} {entry.name}")
    return found


def _made_by(maker: Entry, secret: Secret | None) -> str:
    if maker.kind == "ExternalSecret":
        return f"ExternalSecret, from ClusterSecretStore {maker.spec['secretStoreRef']['name']}"
    if maker.kind == "VaultStaticSecret":
        return f"VaultStaticSecret, through VaultAuth {maker.spec['vaultAuthRef']}"
    called = f"{maker.kind} {maker.name}"
    return f"a person; {called} waits for it" if secret and secret.given else called


def _backup(plan: TenantPlan, secret: Secret | None) -> str:
    if secret is None:
        return "none: cert-manager has another one signed"
    if secret.purpose in CARRIED and plan.tenant.backup.kind is not Backup.NONE:
        return "with the tenant's keys, encrypted to its recipients, in both buckets"
    if secret.remote:
        return "none: the store has it"
    if secret.given:
        return "none: whoever gave it has it"
    return "none: it is lost with the cluster" if secret.purpose in CARRIED else "none: another one is made"


def _rotation(fleet: Fleet, plan: TenantPlan, secret: Secret) -> str:
    if not secret.rotate:
        return f"never: {secret.lasts}"
    mine = secret.rotate[0] == "matrix"
    here: Any = plan.tenant if mine else plan.target.platform
    for part in secret.rotate[1:]:
        if isinstance(here, tuple):
            here = here[int(part)]
        else:
            here = here[part] if isinstance(here, dict) else getattr(here, part)
    where = plan.target.name if mine else fleet.platform_name(plan.target.name)
    return f"{'.'.join(secret.rotate)}: {here + 1} in {fleet.source.shown(where)}"


def _put(plan: TenantPlan, secret: Secret) -> Iterator[str]:
    """The command that puts values into the store, fresh ones or those that a person has in files called as the
    keys; each fails where there are some already, but Azure's, which would add a version."""
    remote, spec = shlex.quote(secret.remote), plan.cluster.secrets
    commands = {
        Store.AWS: f"aws secretsmanager create-secret --name {remote} --secret-string file:///dev/stdin",
        Store.GCP: f"gcloud secrets create {remote} --data-file=-",
        Store.AZURE: f"az keyvault secret set --vault-name VAULT --name {remote} --file /dev/stdin --output none",
    }
    mount = spec.vault.mount if spec.vault else "secret"
    if spec.store and spec.store.vault:
        mount = spec.store.vault.mount
    provider = spec.store.provider if spec.store else Store.VAULT
    if provider is Store.VAULT:
        commands[provider] = f"vault kv put -mount={shlex.quote(mount)} -cas=0 {remote} -"
    if provider in commands:
        values = f"matrix-fleet secrets {shlex.quote(plan.target.name)} --fresh {shlex.quote(secret.name)}"
        if secret.given:
            files = " ".join(f"--rawfile v{number} {shlex.quote(key)}" for number, (key, _) in enumerate(secret.keys))
            told = ", ".join(f'"{key}": $v{number}' for number, (key, _) in enumerate(secret.keys))
            values = f"jq -n {files} '{{{told}}}'"
        yield f"  fill      {values} | {commands[provider]}"


def _generator(top: Path, secrets: tuple[Secret, ...]) -> ModuleType:
    """The Job's own script, with a Python that has Synapse where a signing key is wanted."""
    spec = importlib.util.spec_from_file_location("bootstrap", top / GENERATOR)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    if any(kind == SIGNING_KEY for secret in secrets for _, kind in secret.keys):
        if not (top / SYNAPSE).exists():
            message = "a signing key takes Synapse's own generator; `make test` installs it"
            raise FleetError([Fault(SYNAPSE, 0, "", message)])
        script.PYTHON = str(top / SYNAPSE)  # type: ignore[attr-defined]
    return script


def _kubectl(context: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """The API server's answer, as bootstrap.py's call() gives it; values go through a pipe."""
    verb = ["get", "--raw", path] if method == "GET" else ["create", "--raw", path, "-f", "-"]
    said = json.dumps(body) if body else ""
    command = ["kubectl", "--context", context, *verb]
    done = subprocess.run(command, input=said, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return (200 if method == "GET" else 201), json.loads(done.stdout)
    for word, status in (("(NotFound)", 404), ("(AlreadyExists)", 409)):
        if word in done.stderr:
            # A namespace that is not there yet is no absent Secret.
            if method != "GET" and status == 404:
                break
            return status, {}
    sys.exit(f"kubectl --context {context}: {done.stderr.strip()}")
