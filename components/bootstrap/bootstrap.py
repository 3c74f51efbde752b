"""Create the Secrets of a tenant that are absent. Runs in a Job; needs Python and Synapse, nothing else.

Reads secrets.json beside it: a list of {"name", "namespaces", "keys": {key: KIND}}, with KIND one of
random, signing-key, given (a person makes it: it must exist), copied (whoever owns the first namespace makes
it there), fixed:VALUE (no secret) and taken:NAME (the same key of another Secret of the first namespace). A
Secret is made in its first namespace and copied to the others. What exists is never changed: where a copy
differs from the original the Job fails and says so, since only a person knows which is right.
"""

import base64
import json
import os
import secrets
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

PYTHON = sys.executable
"""The Python that has Synapse."""
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def call(method, path, body=None):
    """The API server's answer as (status, object). 404 and 409 are answers, everything else raises."""
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    server = f"https://{f'[{host}]' if ':' in host else host}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    request = urllib.request.Request(
        server + path,
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={
            "Authorization": "Bearer " + (ACCOUNT / "token").read_text(),
            "Content-Type": "application/json",
        },
    )
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in (404, 409):
            return error.code, {}
        sys.exit(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}")


def generate(kind):
    """A new value."""
    if kind.startswith("fixed:"):
        return kind.removeprefix("fixed:")
    if kind == "random":
        return secrets.token_hex(32)
    if kind == "signing-key":
        generator = [PYTHON, "-m", "synapse._scripts.generate_signing_key", "-o", "-"]
        return subprocess.run(generator, check=True, capture_output=True, text=True).stdout
    sys.exit(f"secrets.json: unknown kind {kind!r}; expected random or signing-key")


def fetch(namespace, name):
    """A Secret's data, or None."""
    status, found = call("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
    return found.get("data", {}) if status == 200 else None


def create(namespace, name, data):
    """Create a Secret; where another run was quicker, take its data."""
    labels = {
        "app.kubernetes.io/part-of": "matrix-fleet",
        "app.kubernetes.io/managed-by": "matrix-fleet-bootstrap",
    }
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": labels},
        "type": "Opaque",
        "immutable": True,
        "data": data,
    }
    status, _ = call("POST", f"/api/v1/namespaces/{namespace}/secrets", body)
    print(f"{namespace}/{name}: {'created' if status == 201 else 'exists already'}", flush=True)
    return data if status == 201 else fetch(namespace, name)


def value_of(namespace, key, kind):
    """A new Secret's value as the API has it: base64."""
    if not kind.startswith("taken:"):
        return base64.b64encode(generate(kind).encode()).decode()
    name = kind.removeprefix("taken:")
    return (fetch(namespace, name) or {}).get(key) or sys.exit(f"{namespace}/{name}: has no {key} yet")


def ensure(secret):
    """One Secret in all of its namespaces."""
    first, *copies = secret["namespaces"]
    name, keys = secret["name"], secret["keys"]
    data = fetch(first, name)
    if data is None and "copied" in keys.values():
        sys.exit(f"{first}/{name}: not there yet; the Job of the target that owns {first} makes it")
    if data is None:
        fresh = {key: value_of(first, key, kind) for key, kind in keys.items()}
        data = create(first, name, fresh)
    missing = sorted(set(keys) - set(data))
    if missing:
        sys.exit(f"{first}/{name}: lacks {', '.join(missing)}; raise its generation instead of changing it")
    for namespace in copies:
        copy = fetch(namespace, name)
        if copy is None:
            copy = create(namespace, name, data)
        if copy != data:
            sys.exit(f"{namespace}/{name}: differs from {first}/{name}; delete the wrong one and run again")


def missing(secret):
    """What a person must do for a Secret that is given, or nothing. An empty value is none."""
    (namespace,), name, keys = secret["namespaces"], secret["name"], secret["keys"]
    data = fetch(namespace, name)
    absent = sorted(key for key in keys if not (data or {}).get(key))
    if not absent:
        return ""
    files = " ".join(f"--from-file={key}={key}" for key in sorted(keys))
    create = f"kubectl -n {namespace} create secret generic {name} {files}"
    if data is None:
        return f"{namespace}/{name}: is not there, and only a person can create it: {create}"
    delete = f"kubectl -n {namespace} delete secret {name}"
    return f"{namespace}/{name}: lacks {', '.join(absent)}; create it again: {delete} && {create}"


def main():
    """Every Secret of the list: first what is made here, then all that a person must do."""
    wanted = json.loads(Path(__file__).with_name("secrets.json").read_text())
    given = [secret for secret in wanted if "given" in secret["keys"].values()]
    for secret in wanted:
        if secret not in given:
            ensure(secret)
    told = [line for line in map(missing, given) if line]
    if told:
        sys.exit("\n".join(told))


if __name__ == "__main__":
    main()
