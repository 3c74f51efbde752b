"""Compiled tenants as real processes, for the scenarios beside this file.

Fixtures, all of them made once and shared:
    node      the NamespacedNode (lib/podrunner/node.py): node.pods(component="router"), node.delete(pod), pod.kill(),
              node.counters(), node.inside(pod, function), pod.container("synapse").execute([...], seconds, file)
    world     the authority that stands for Let's Encrypt; world.pem
    single    eu1/matrix-prod, booted with its policies and its edge: a Homeserver
    ha        eu1/matrix-ha, reduced as REDUCED says, booted the same way: a Homeserver
    lab       a tenant that logs in at an OpenID provider alone (lab.py): a Homeserver; `provider` is the provider's Pod
A Homeserver (harness.py) has
    .url, .server_name, .hosts           what the world calls it; names resolve here and in Pods, to the real edge
    .user(name) -> password              registered inside Synapse's Pod, as the docs tell an operator
    .http() -> requests.Session          trusts the world's authority
    .client(name) -> nio.AsyncClient     as a coroutine: logged in
    .person(name) -> Person              logged in, once; .ask(method, path, body), .room(), .send(room, text), .token
    .unlimited(person)                   may send as much as it likes, as an administrator allows a bot
    .pods(component), .pod(component)    its Pods; .synapses() main and the workers, .pod_of("pgbouncer") by a container
    .sql(query) -> rows                  asked by PostgreSQL's superuser
A Scenario that needs other objects applies them with node.apply([...]), also in other namespaces; a Pod of the image
`fleetnode/shell` is a shell with the virtual environment, of `fleetnode/node` Node.js with the scripts beside
package.json at /opt/node/scripts. `reaches(node, pod, address, port)` tries a TCP connection from inside a Pod.
load.Load is people who write, read and try again while a scenario breaks something. What a scenario measured it puts
into harness.STATE.tables: it is printed at the end.
Tenants that a scenario boots for itself: harness.bring_up(node, world, folder, overlays).

Order matters to nobody: a scenario leaves what it found, or restores it.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import harness
from lab import lab, provider  # noqa: F401

from fleetnode import images, overlays
from fleetnode.certificates import Authority
from podrunner.network import own_namespace
from podrunner.node import NamespacedNode

DIRECTORY = harness.TOP / f".cache/services/run-{os.environ.get('MATRIX_FLEET_SERVICES')}"


def pytest_configure(config):
    if os.environ.get("MATRIX_FLEET_SERVICES") and own_namespace():
        return
    pytest.exit("these scenarios run in a network namespace of their own: make test-services", 2)


@pytest.fixture(scope="session")
def world():
    return Authority("the world")


@pytest.fixture(scope="session")
def node():
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    programs = images.debian(harness.VENV, harness.TOP / ".cache/services/programs", Path(__file__).parent / "element")
    programs["fleetnode/node"] = harness.NODE_JS
    made = NamespacedNode(DIRECTORY, programs)
    harness.STATE.node = made
    with harness.sampled_memory():
        yield made
    made.stop(grace=5)


@pytest.fixture(scope="session")
def single(node, world):
    return harness.bring_up(node, world, "eu1/matrix-prod", (*overlays.SINGLE_TENANT, overlays.trusting(world.pem)))


@pytest.fixture(scope="session")
def ha(node, world):
    return harness.bring_up(node, world, "eu1/matrix-ha", (*overlays.REDUCED, overlays.trusting(world.pem)))


def pytest_runtest_call(item):
    harness.STATE.mark()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure says which command runs it again, how the processes of its tenants stand, and what they logged last."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        used = [one for one in item.funcargs.values() if isinstance(one, harness.Homeserver)]
        report.sections.append(("run only this again", f"make test-services ONLY={item.nodeid}"))
        report.sections.append(("Pods", harness.STATE.told(used)))


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(harness.STATE.summary())
