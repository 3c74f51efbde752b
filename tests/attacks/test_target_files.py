"""A tenant's owner edits one file: it may say what the homeserver is, and never what is run for it.

Each file here tries something else; every one is refused before anything is rendered or run, with file and line.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleets import Repository
from matrixfleet.cli.compile import read_fleet
from matrixfleet.errors import FleetError

BIN = Path(sys.executable).parent
FILE = "inventory/targets/eu1/chess-club.yml"
WHOLE = """\
classes:
  - pattern.single-tenant
parameters:
  matrix:
    size: small
    server_name: chess.example.org
    hosts: {matrix: matrix.chess.example.org}
"""
RUN = "{input_type: external, input_paths: [/bin/touch], args: [ran], output_path: .}"
NONE = "expected none in a target's file: what runs is decided in inventory/classes/target.yml"
ALONE = "expected classes and parameters alone in a target's file"

# Each: the text below WHOLE, or a whole file that begins with `---`; then line, key and message.
ATTACKS = {
    "a program": (f"  kapitan: {{compile: [{RUN}]}}\n", f"8: kapitan: {NONE}"),
    "a program in the place of the components": (f"  ~kapitan: {{compile: [{RUN}]}}\n", f"8: ~kapitan: {NONE}"),
    "a program as a constant": (f"  =kapitan: {{compile: [{RUN}]}}\n", f"8: =kapitan: {NONE}"),
    "only the list of components": ("  kapitan: {~compile: []}\n", f"8: kapitan: {NONE}"),
    "a template of Jinja": ("  kapitan: {compile: [{input_type: jinja2, input_paths: [x]}]}\n", f"8: kapitan: {NONE}"),
    "a copy to somewhere": ("  kapitan: {compile: [{input_type: copy, output_path: ../..}]}\n", f"8: kapitan: {NONE}"),
    "a dependency": ("  kapitan: {dependencies: [{type: git, source: x}]}\n", f"8: kapitan: {NONE}"),
    "another's output folder": ("  kapitan: {vars: {target: eu1.matrix-prod}}\n", f"8: kapitan: {NONE}"),
    "nothing at all for kapitan": ("  kapitan:\n", f"8: kapitan: {NONE}"),
    "kapitan beside parameters": (
        "kapitan: {compile: []}\n",
        "8: kapitan: nothing reads it here; expected it below parameters, and there not either: what runs is decided in"
        " inventory/classes/target.yml",
    ),
    "kapitan by a merge key": (f"  <<: {{kapitan: {{compile: [{RUN}]}}}}\n", "8: <<: unknown key; known here: matrix, namespace"),
    "reclass' own key": ("  _reclass_: {name: {full: eu1.matrix-prod}}\n", "8: _reclass_: unknown key; known here: matrix, namespace"),
    "the cluster's key": ("  cluster: {tenants: {networks: [0.0.0.0/0]}}\n", "8: cluster: unknown key; known here: matrix, namespace"),
    "the sizes": ("  sizes: {small: {}}\n", "8: sizes: unknown key; known here: matrix, namespace"),
    "the releases": ("  releases: {stable: {}}\n", "8: releases: unknown key; known here: matrix, namespace"),
    "applications of reclass": ("applications: [x]\n", f"8: applications: {ALONE}; known here: classes, parameters"),
    "exports of reclass": ("exports: {a: 1}\n", f"8: exports: {ALONE}; known here: classes, parameters"),
    "environment of reclass": ("environment: dev\n", f"8: environment: {ALONE}; known here: classes, parameters"),
    "a slip of the keyboard": ("paramters: {}\n", f"8: paramters: {ALONE}, did you mean parameters?"),
    "a wrong indentation": (
        "matrix:\n  state: stopped\n",
        "8: matrix: nothing reads it here; expected it below parameters",
    ),
    "the whole block in the place of its classes'": (
        "  ~matrix: {size: small}\n",
        "8: ~matrix: expected matrix: a target adds to its classes and never replaces them whole",
    ),
    "a constant": (
        "    =state: running\n",
        "8: matrix.state: expected a key, or ~ and a key to replace what classes set, got '=state'",
    ),
    "a reference as a key": (
        '    "${cluster:name}": 1\n',
        "8: matrix.${cluster:name}: expected a key, or ~ and a key to replace what classes set, got '${cluster:name}'",
    ),
    "a merge key": ("    <<: {state: stopped}\n", "8: matrix: expected keys written out, got '<<'"),
    "a list as a key": ("    ? [a]\n    : 1\n", "8: matrix: expected a word as a key, got a list or a mapping"),
    "an object of Python's": (
        "    admin_contact: !!python/object/apply:os.system [id]\n",
        "8: matrix.admin_contact: expected plain YAML, got the tag python/object/apply:os.system",
    ),
    "a tag of one's own": ("    admin_contact: !run id\n", "8: matrix.admin_contact: expected plain YAML, got the tag !run"),
    "a document without an end": (
        "    themes: &a [*a]\n",
        "8: expected a finite document, got an alias within its own anchor",
    ),
    "a document that grows": (
        "    a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"    {b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcde", "bcdef", strict=True)),
        "12: expected at most 100000 values, aliases written out",
    ),
    "a deep document": ("    a: " + "[" * 90 + "]" * 90 + "\n", "8: expected at most 60 levels"),
    "two documents": ("...\n---\na: 1\n", "9: YAML syntax: expected a single document in the stream, but found another document; expected well-formed YAML"),
    "classes as a word": ("---\nclasses: pattern.single-tenant\n", "2: classes: expected a list, got 'pattern.single-tenant'; did you mean [pattern.single-tenant]?"),
    "a class by a reference": ('---\nclasses: ["${cluster:class}"]\n', "2: classes[0]: expected a class by its name, got the reference '${cluster:class}'"),
    "a class that is a mapping": ("---\nclasses: [{a: b}]\n", "2: classes[0]: expected a class's name, got something else"),
    "parameters as a list": ("---\nparameters: [matrix]\n", "2: parameters: expected a mapping with matrix or namespace, got something else"),
    "an empty file": ("---\n", "1: expected a mapping with classes and parameters, got an empty file"),
}  # fmt: skip


def written(repository: Repository, text: str) -> None:
    """The tenant's file with an attack in it."""
    repository.write(FILE, text.removeprefix("---\n") and text if text.startswith("---") else WHOLE + text)


@pytest.mark.parametrize("name", ATTACKS)
def test_refused_with_file_and_line(name: str, tmp_path: Path) -> None:
    text, expected = ATTACKS[name]
    repository = Repository(tmp_path)
    written(repository, text)
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path)
    assert f"{FILE}:{expected}" in str(caught.value).splitlines(), str(caught.value)


def test_the_file_without_an_attack_is_taken(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.write(FILE, WHOLE)
    assert "eu1.chess-club" in read_fleet(tmp_path).names


@pytest.mark.parametrize("classes", [True, False], ids=["with classes", "with no class"])
@pytest.mark.parametrize("key", ["kapitan", "~kapitan", "=kapitan", "<<: {kapitan", "~~kapitan"])
def test_plain_kapitan_runs_nothing_of_it(key: str, classes: bool, tmp_path: Path) -> None:
    """By the constant in class `target`, which reclass-config.yml gives every target."""
    repository = Repository(tmp_path)
    marker = tmp_path / "ran"
    program = f"{{input_type: external, input_paths: [/bin/touch], args: [{shlex.quote(str(marker))}], output_path: .}}"
    end = "}" if "{" in key else ""
    attack = f"  {key}: {{compile: [{program}]}}{end}\n"
    repository.write(FILE, (WHOLE if classes else "parameters:\n") + attack)
    done = subprocess.run(
        [BIN / "kapitan", "compile"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "Can't overwrite constant key" in done.stderr
    assert not marker.exists()
    assert not (tmp_path / "compiled").exists()


def test_a_class_is_the_platforms_to_list(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    for name in ("cluster.us1", "release.stable", "platform", "target", "size.large"):
        repository.write(FILE, WHOLE.replace("  - pattern.single-tenant\n", f"  - pattern.single-tenant\n  - {name}\n"))
        with pytest.raises(FleetError) as caught:
            read_fleet(tmp_path)
        message = (
            f"{FILE}:3: classes: class {name!r} is not one that tenants of eu1 may name (cluster.tenants.classes);"
            " known here: feature.*, homeserver.*, pattern.*"
        )
        assert message in str(caught.value).splitlines(), str(caught.value)


def test_a_cluster_may_list_fewer_classes(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.edit(
        "inventory/classes/cluster/eu1.yml", "    tenants:\n", "    tenants:\n      classes: [pattern.single-tenant]\n"
    )
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path)
    lines = str(caught.value).splitlines()
    assert (
        "inventory/targets/eu1/matrix-prod.yml:4: classes: class 'feature.calls' is not one that tenants of eu1 may"
        in lines[-1]
    )
    assert not any("chess-club" in line for line in lines)


PLACES = {
    "a folder too many": ("eu1/deep/acme.yml", ": expected inventory/targets/<cluster>/<name>.yml, got 2 folders"),
    "no cluster": ("acme.yml", ": expected inventory/targets/<cluster>/<name>.yml, got 0 folders"),
    "upper case": (
        "eu1/My_Tenant.yml",
        ": the name of a target is the file's: expected a DNS label (lower case letters, digits and '-', 63 at most),"
        " got 'My_Tenant', did you mean my-tenant?",
    ),
    "a dot": (
        "eu1/x.platform.yml",
        ": the name of a target is the file's: expected a DNS label (lower case letters, digits and '-', 63 at most),"
        " got 'x.platform', did you mean x-platform?",
    ),
    "a folder of the compiler's": (
        "eu1/argocd.yml",
        ": the name 'argocd' is taken: compiled/<cluster>/ has a folder of it",
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_file_is_where_targets_are(name: str, tmp_path: Path) -> None:
    path, expected = PLACES[name]
    repository = Repository(tmp_path)
    repository.write(f"inventory/targets/{path}", WHOLE)
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path)
    assert f"inventory/targets/{path}{expected}" in str(caught.value).splitlines(), str(caught.value)


def test_a_link_is_no_target(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    outside = tmp_path / "outside.yml"
    outside.write_text(WHOLE)
    link = tmp_path / "inventory/targets/eu1/acme.yml"
    link.symlink_to(os.path.relpath(outside, link.parent))
    with pytest.raises(FleetError) as caught:
        read_fleet(repository.top)
    expected = "inventory/targets/eu1/acme.yml: expected inventory/targets/<cluster>/<name>.yml itself, got a symbolic link at acme.yml"
    assert expected in str(caught.value).splitlines()


def test_references_that_grow_by_powers(tmp_path: Path) -> None:
    """Eight short lines, each of eight references to the one before: rendered, sixteen million of the first."""
    grows = ['    x0: "aaaaaaaaaaaaaaaa"\n']
    for number in range(1, 8):
        reference = "${matrix:x" + str(number - 1) + "}"
        grows.append(f'    x{number}: "{reference * 8}"\n')
    repository = Repository(tmp_path)
    written(repository, "".join(grows))
    start = time.monotonic()
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path)
    assert time.monotonic() - start < 20
    assert "expected at most 16 references (${a:b}) in a target's file, got 56" in str(caught.value)


@pytest.mark.parametrize("size", ["memory: " + "1" * 400 + "Gi", "memory: 8Ei", "cpu: '" + "1" * 400 + "'"])
def test_a_quantity_that_nothing_counts(size: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    other = "cpu: '1'" if size.startswith("memory") else "memory: 1Gi"
    written(repository, f"    synapse: {{resources: {{{size}, {other}}}}}\n")
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{FILE}:") and "matrix.synapse.resources" in line and "expected " in line, line


def test_a_key_and_the_same_key_that_replaces(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    written(repository, "    appservices:\n      ~a: {generation: 2}\n      a: {generation: 3}\n")
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path)
    assert "matrix.appservices.a: duplicate key, first set on line" in str(caught.value)
