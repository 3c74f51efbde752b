"""`matrix-fleet images`: what a fleet pulls, and its digests, asked of a registry and written down."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from yamllint import config as yamllint_config
from yamllint import linter

from fleets import TOP, Repository
from matrixfleet.checks import Tree
from matrixfleet.checks.pulled import pulled
from matrixfleet.checks.rules.yamllint import check as yamllint_check
from matrixfleet.cli.compile import compile_fleet, read_fleet
from matrixfleet.cli.images import as_json, as_table, checked, inventory_of, renewed
from matrixfleet.errors import FleetError
from matrixfleet.model import Fleet
from matrixfleet.registry import pins
from registries import MANIFEST, PASSWORD, USER, Registry, digest_of, index
from test_compile import run

STABLE = "inventory/classes/release/stable.yml"
REQUIRED = ("parameters:\n  cluster:\n", "parameters:\n  cluster:\n    require_digests: true\n")
ROWS = [name for name, _ in Fleet.read(TOP / "inventory").platform("eu1.platform").releases["stable"].images]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    folder = tmp_path / "registry"
    folder.mkdir()
    started = Registry(folder)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(started.ca))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    yield started
    started.close()


@pytest.fixture
def repository(tmp_path: Path, registry: Registry) -> Repository:
    """The reference fleet with every image in that registry, as a mirror has them, and the Dockerfiles."""
    made = Repository(tmp_path / "repository")
    for path in ("images/backup/Dockerfile", "images/synapse-s3/Dockerfile"):
        made.write(path, mirrored((TOP / path).read_text(), registry))
    made.write(STABLE, mirrored(made.read(STABLE), registry))
    for row in ROWS:
        repository, tag = row_of(made, row)
        registry.push(f"{repository.partition('/')[2]}:{tag}", index(row))
    return made


def mirrored(text: str, registry: Registry) -> str:
    hosts = r"(docker\.io|ghcr\.io|quay\.io|registry\.example\.com)"
    return re.sub(rf"(repository: |FROM ){hosts}/", rf"\g<1>{registry.host}/", text)


def row_of(repository: Repository, row: str) -> tuple[str, str]:
    image = yaml.safe_load(repository.read(STABLE))["parameters"]["releases"]["stable"]["images"][row]
    return image["repository"], image["tag"]


def refused(what: object) -> list[str]:
    with pytest.raises(FleetError) as error:
        what()  # type: ignore[operator]
    return str(error.value).splitlines()


def test_every_image_and_chart_that_is_compiled_is_listed(tree: Tree) -> None:
    found = json.loads(as_json(inventory_of(TOP)))
    listed = {one["reference"]: one for one in found["images"]}
    # Text is no object: what is asked for by name is compared with what the files say.
    said = {
        match
        for path, text in tree.texts.items()
        if path.endswith(".yaml")
        for match in re.findall(r"(?m)^\s*(?:- )?image(?:Name)?: (\S+:\S+)$", text)
    }
    assert said == {reference for reference, one in listed.items() if one["targets"]}
    assert sorted(name for one in found["images"] for name in one["names"]) == sorted(ROWS)
    assert listed["ghcr.io/cloudnative-pg/postgresql:18.6-standard-trixie"]["targets"], "CloudNativePG's imageName"
    assert listed["ghcr.io/cloudnative-pg/pgbouncer:1.25.1"]["targets"], "a Pooler's template"
    charts = {(one["chart"], one["version"], one["repository"]) for one in found["charts"] if one["targets"]}
    assert charts == {
        (one.spec["source"]["chart"], one.spec["source"]["targetRevision"], one.spec["source"]["repoURL"])
        for one in tree.of_kind("Application")
        if "chart" in one.spec["source"]
    }
    assert [one["file"] for one in found["bases"]] == ["images/backup/Dockerfile", "images/synapse-s3/Dockerfile"]
    table = as_table(inventory_of(TOP)).splitlines()
    assert table[0].split() == ["IMAGE", "REFERENCE", "DIGEST", "SIGNED", "TARGETS"]
    assert any(
        line.split() == ["haproxy", "docker.io/library/haproxy:3.2.23", "none", "unknown", "7"] for line in table
    )


def test_renewed_digests_reach_every_object(repository: Repository, registry: Registry) -> None:
    before = repository.read(STABLE)
    told = renewed(repository.top, []).splitlines()
    assert told[-1] == "16 tags asked, 18 places changed; run make compile" and len(told) == 19
    after = repository.read(STABLE)
    # Comments, order and quotes are as they were: only lines of digests came.
    added = [line for line in after.splitlines() if line not in before.splitlines()]
    assert [line for line in after.splitlines() if line not in added] == before.splitlines()
    assert added == [f"          digest: {digest_of(index(row))}" for row in ROWS]
    assert not list(linter.run(after, yamllint_config.YamlLintConfig((TOP / ".yamllint").read_text())))
    for path, row in (("images/backup/Dockerfile", "postgresql"), ("images/synapse-s3/Dockerfile", "synapse")):
        name, tag = row_of(repository, row)
        assert f"\nFROM {name}:{tag}@{digest_of(index(row))}\n" in repository.read(path)
    repository.edit("inventory/classes/cluster/eu1.yml", *REQUIRED)
    compile_fleet(repository.top, [])
    made = Tree.read(repository.top / "compiled", read_fleet(repository.top))
    wanted = {"{}:{}@{}".format(*row_of(repository, row), digest_of(index(row))) for row in ROWS}
    assert {reference for entry in made.objects for reference in pulled(entry.doc)} == wanted
    # Whatever kind names an image: the text of every object has it with its digest only.
    for path, text in made.texts.items():
        for line in text.splitlines():
            if registry.host in line and "docs/" not in path:
                assert "@sha256:" in line, f"{path}: {line}"
    assert not list(yamllint_check(made))
    assert checked(repository.top, []) == "16 tags mean what they did"
    assert renewed(repository.top, []) == "16 tags asked, 0 places changed"
    assert {one.digest for one in inventory_of(repository.top).images} == {digest_of(index(row)) for row in ROWS}


def test_a_tag_that_moved_is_told_and_renewed(repository: Repository, registry: Registry) -> None:
    renewed(repository.top, [])
    name, tag = row_of(repository, "redis")
    old, new = digest_of(index("redis")), registry.push(f"{name.partition('/')[2]}:{tag}", index("redis again"))
    line = repository.read(STABLE).splitlines().index("        redis:") + 4
    place = f"{STABLE}:{line}: releases.stable.images.redis: {name}:{tag}"
    assert refused(lambda: checked(repository.top, [])) == [
        f"{place} moved: expected {old}, got {new}; what is pinned can still be pulled"
    ]
    assert checked(repository.top, ["haproxy"]) == "1 tags mean what they did"
    del registry.manifests[f"{name.partition('/')[2]}:{old}"]
    (message,) = refused(lambda: checked(repository.top, ["redis"]))
    assert message.endswith(
        f"and what is pinned cannot be pulled any more ({registry.host}: 404, no such repository or tag)"
    )
    done = run(repository.top, "matrix-fleet", "images", "--check")
    assert done.returncode == 1 and done.stderr.splitlines() == [message]
    assert renewed(repository.top, []).splitlines() == [
        f"{place}: {old} -> {new}",
        "16 tags asked, 1 places changed; run make compile",
    ]
    assert repository.read(STABLE).count("digest:") == len(ROWS)


def test_nothing_is_written_where_one_has_no_answer(repository: Repository, registry: Registry) -> None:
    name, tag = row_of(repository, "vector")
    del registry.manifests[f"{name.partition('/')[2]}:{tag}"]
    line = repository.read(STABLE).splitlines().index("        vector:") + 3
    before = {path: path.read_bytes() for path in sorted(repository.top.rglob("*.yml")) if path.is_file()}
    place = f"{STABLE}:{line}: releases.stable.images.vector"
    assert refused(lambda: renewed(repository.top, [])) == [
        "nothing is written: 15 of 16 answered; name images to renew those alone",
        f"{place}: {name}:{tag}: {registry.host}: 404, no such repository or tag",
    ]
    assert {path: path.read_bytes() for path in sorted(repository.top.rglob("*.yml")) if path.is_file()} == before
    assert "2 places changed" in renewed(repository.top, ["synapse"]), "its row and the base that it is"
    assert refused(lambda: renewed(repository.top, ["synaps"])) == [
        "no image 'synaps' in a release, did you mean synapse?"
    ]


def test_nothing_is_half_written(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [repository.top / one for one in (STABLE, "images/backup/Dockerfile", "images/synapse-s3/Dockerfile")]
    before = [path.read_bytes() for path in paths]
    replace = Path.replace

    def fails(self: Path, target: Path) -> Path:
        if target.name == "stable.yml":
            raise OSError(28, "No space left on device", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    (message,) = refused(lambda: renewed(repository.top, []))
    assert message.endswith("not written, and nothing else was: No space left on device")
    assert [path.read_bytes() for path in paths] == before
    assert not list(repository.top.rglob("*.new"))


FORMS = {
    "quoted": ("tag: 8.2.3\n", 'tag: "8.2.3" # why\n'),
    "flow": (
        re.compile(r"        redis:\n(?:          .*\n)+"),
        "        redis: {repository: REPOSITORY, tag: 8.2.3, uid: 999, gid: 999, commands: [sh, redis-server],"
        "\n          dockerfile: https://example.com, ports: [6379], writes: [/run/redis]}\n",
    ),
    "block scalar": ("          tag: 8.2.3\n", "          tag: >-\n            8.2.3\n"),
    "beyond ASCII": ("          tag: 8.2.3\n", "          # «ü»\n          tag: 8.2.3 # ü\n"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_form_of_a_row_is_written(form: str, end: str, repository: Repository) -> None:
    name, tag = row_of(repository, "redis")
    old, new = FORMS[form]
    text = repository.read(STABLE)
    if isinstance(old, re.Pattern):
        text = old.sub(lambda _: new.replace("REPOSITORY", name), text, count=1)
    else:
        text = text.replace(old, new)
    assert new.split("REPOSITORY")[0] in text
    path = repository.top / STABLE
    path.write_text(text.replace("\n", end), encoding="utf-8", newline="")
    path.chmod(0o640)
    before = yaml.safe_load(path.read_bytes())
    renewed(repository.top, ["redis"])
    after = yaml.safe_load(path.read_bytes())
    before["parameters"]["releases"]["stable"]["images"]["redis"]["digest"] = digest_of(index("redis"))
    assert after == before
    raw = path.read_bytes().decode()
    assert raw.count("\n") == raw.count("\r\n") or end == "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert renewed(repository.top, ["redis"]) == "1 tags asked, 0 places changed"
    image = read_fleet(repository.top).platform("eu1.platform").releases["stable"].images.redis
    assert image.reference == f"{name}:{tag}@{digest_of(index('redis'))}"


def test_a_tag_that_one_platform_changes_is_pinned_beside_it(repository: Repository, registry: Registry) -> None:
    renewed(repository.top, [])
    name, _ = row_of(repository, "redis")
    registry.push(f"{name.partition('/')[2]}:8.4.0", index("redis 8.4"))
    target = "inventory/targets/us1/platform.yml"
    text = repository.read(target)
    assert "parameters:" not in text
    own = "parameters:\n  releases:\n    stable:\n      images:\n        redis:\n          tag: 8.4.0\n"
    repository.write(target, text.rstrip("\n") + "\n" + own)
    line = repository.read(target).splitlines().index("          tag: 8.4.0") + 1
    pinned = repository.read(STABLE).splitlines().index(f"          digest: {digest_of(index('redis'))}") + 1
    assert refused(lambda: read_fleet(repository.top)) == [
        f"{target}:{line}: releases.stable.images.redis.tag: expected a digest beside this tag, got that of 8.2.3 from"
        f" {STABLE}:{pinned}; run matrix-fleet images --renew"
    ]
    renewed(repository.top, ["redis"])
    assert repository.read(target).endswith(own + f"          digest: {digest_of(index('redis 8.4'))}\n")
    assert digest_of(index("redis")) in repository.read(STABLE)
    read_fleet(repository.top)


def test_a_mirror_with_other_bytes_is_no_mirror(repository: Repository, registry: Registry) -> None:
    _, tag = row_of(repository, "redis")
    target = "inventory/targets/us1/platform.yml"
    own = "parameters:\n  releases:\n    stable:\n      images:\n        redis:\n"
    own += f"          repository: {registry.host}/mirror/redis\n"
    repository.write(target, repository.read(target).rstrip("\n") + "\n" + own)
    registry.push(f"mirror/redis:{tag}", index("redis, not quite"))
    (message,) = refused(lambda: renewed(repository.top, ["redis"]))
    assert "expected one digest for this place, got sha256:" in message and message.endswith("; nothing is written")
    assert "digest:" not in repository.read(STABLE)
    registry.push(f"mirror/redis:{tag}", index("redis"))
    renewed(repository.top, ["redis"])
    assert repository.read(STABLE).count(digest_of(index("redis"))) == 1


def test_the_image_of_one_platform_is_told(repository: Repository, registry: Registry) -> None:
    name, tag = row_of(repository, "redis")
    digest = registry.push(f"{name.partition('/')[2]}:{tag}", b'{"layers": []}', MANIFEST)
    assert renewed(repository.top, ["redis"]).splitlines()[1] == f"{name}:{tag}: an image of one platform"
    assert digest in repository.read(STABLE)


DOCKERFILE = """\
# syntax is not asked for. FROM a comment
ARG BASE={host}/library/redis:8.2.3
FROM --platform=$BUILDPLATFORM {host}/library/haproxy:3.2.23 AS built
RUN echo \\
  FROM nowhere:1 \\
  && true
RUN <<EOF
FROM nowhere:2
EOF
from ${{BASE}}
COPY --from=built /a /b
COPY --from=0 /a /b
COPY --from={host}/library/postgres:18.6 /c /d
RUN --mount=type=bind,from={host}/coturn/coturn:4.16.0,target=/x true
"""


def test_every_base_of_a_dockerfile_is_pinned(repository: Repository, registry: Registry) -> None:
    path = "images/other/Dockerfile"
    before = DOCKERFILE.format(host=registry.host)
    repository.write(path, before)
    renewed(repository.top, [])
    after = repository.read(path)
    rows = {"redis:8.2.3": "redis", "haproxy:3.2.23": "haproxy", "postgres:18.6": "postgresql"}
    rows["coturn:4.16.0"] = "coturn"
    wanted = before
    for reference, row in rows.items():
        wanted = wanted.replace(reference, f"{reference}@{digest_of(index(row))}")
    assert after == wanted
    assert renewed(repository.top, []) == "16 tags asked, 0 places changed"


@pytest.mark.parametrize(
    "base", ["redis", "docker.io/library/redis", "docker.io/library/redis:${VERSION}", "$UNKNOWN", "redis@sha256:00"]
)
def test_a_base_that_cannot_be_pinned_is_refused(base: str, repository: Repository) -> None:
    repository.write("images/other/Dockerfile", f"ARG VERSION=8\nFROM {base}\n")
    assert refused(lambda: read_fleet(repository.top)) == [
        f"images/other/Dockerfile:2: FROM: expected REGISTRY/PATH:TAG, whole or as the default of an ARG, got {base};"
        " its digest could not be written"
    ]


def test_a_base_that_is_not_its_rows_is_refused(repository: Repository) -> None:
    renewed(repository.top, [])
    path = "images/backup/Dockerfile"
    good, name = digest_of(index("postgresql")), "{}:{}".format(*row_of(repository, "postgresql"))
    line = next(number for number, text in enumerate(repository.read(path).splitlines(), 1) if text.startswith("FROM"))
    says = f"{path}:{line}: FROM: expected {good}, as the release has it for {name}, got"
    for text, got in ((repository.read(path).replace(good, "sha256:" + "0" * 64), "sha256:" + "0" * 64),
                      (repository.read(path).replace(f"@{good}", ""), "no digest")):  # fmt: skip
        repository.write(path, text)
        assert refused(lambda: read_fleet(repository.top)) == [f"{says} {got}; run matrix-fleet images --renew"]
        renewed(repository.top, ["postgresql"])
        read_fleet(repository.top)


def test_a_cluster_may_require_digests(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.edit("inventory/classes/cluster/eu1.yml", *REQUIRED)
    lines = refused(lambda: compile_fleet(tmp_path, ["eu1.chess-club"]))
    assert not (tmp_path / "compiled").exists()
    names = {re.search(r"expected (\S+) with its digest", line)[1] for line in lines}  # type: ignore[index]
    assert len(names) == len(lines) > 3 and all("@" not in name for name in names), "one line per image"
    ends = "since cluster.require_digests is true; run matrix-fleet images --renew [digests]"
    assert all(line.endswith(ends) for line in lines)


def test_what_has_no_digest_is_warned_of_once_per_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Repository(tmp_path)
    compile_fleet(tmp_path, ["eu1.chess-club"])
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {STABLE}:7: releases.stable.images: 16 of 16 images have no digest and 12 are not known to be"
        " signed; matrix-fleet images --renew writes digests, docs/images.md says the rest"
    ]


def credentials(folder: Path, host: str, user: str = USER, password: str = PASSWORD) -> None:
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_a_private_registry_is_asked_with_docker_logins_credentials(
    scheme: str, repository: Repository, registry: Registry, tmp_path: Path
) -> None:
    registry.private, registry.scheme = True, scheme
    words = "it wants a name and a password; run docker login" if scheme == "Basic" else "it wants credentials"
    assert words in refused(lambda: renewed(repository.top, ["redis"]))[1]
    credentials(tmp_path / "registry", registry.host, password="wrong")
    assert "its credentials of docker login are refused" in refused(lambda: renewed(repository.top, ["redis"]))[1]
    credentials(tmp_path / "registry", registry.host)
    assert "1 places changed" in renewed(repository.top, ["redis"])


def test_a_credential_helper_and_an_identity_token(
    repository: Repository, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.private = True
    helper = tmp_path / "registry/docker-credential-kept"
    answer = {"Username": USER, "Secret": PASSWORD}
    helper.write_text(f"#!/bin/sh\ncat >/dev/null\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    config = tmp_path / "registry/config.json"
    config.write_text(json.dumps({"credHelpers": {registry.host: "kept"}}))
    assert "1 places changed" in renewed(repository.top, ["redis"])
    config.write_text(json.dumps({"auths": {registry.host: {"identitytoken": "a-long-token"}}}))
    assert "1 places changed" in renewed(repository.top, ["haproxy"])


def test_only_one_thing_is_asked_for() -> None:
    for words in (["--renew", "--check"], ["--json", "--check"], ["synapse"]):
        done = run(TOP, "matrix-fleet", "images", *words)
        assert done.returncode == 1 and done.stderr.startswith("images: expected one of --renew, --check and --json")


def test_the_places_of_the_repository_are_all_of_them() -> None:
    found = pins.pins_of(TOP, Fleet.read(TOP / "inventory"))
    assert sorted(pin.row for pin in found if pin.row) == sorted(ROWS)
    text = (TOP / STABLE).read_text()
    for pin in found:
        if pin.row:
            assert text.splitlines()[pin.line - 1].strip().startswith(("tag:", "digest:"))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "repository: docker.io/library/redis",
            "repository: docker.io/library/redis:8",
            "96: releases.stable.images.redis.repository: expected REGISTRY/PATH in lower case, without tag and digest,"
            " got 'docker.io/library/redis:8'",
        ),
        (
            "repository: docker.io/library/redis",
            "repository: docker.io/library/../redis?x",
            "96: releases.stable.images.redis.repository: expected REGISTRY/PATH in lower case, without tag and digest,"
            " got 'docker.io/library/../redis?x'",
        ),
        (
            "tag: 8.2.3",
            "tag: 8.2.3@sha256:00",
            "97: releases.stable.images.redis.tag: expected a tag of letters, digits, '.', '_' and '-',"
            " got '8.2.3@sha256:00'",
        ),
        (
            "tag: 8.2.3",
            'tag: "8.2.3\\n"',
            "97: releases.stable.images.redis.tag: expected a tag of letters, digits, '.', '_' and '-', got '8.2.3\\n'",
        ),
        (
            "tag: 8.2.3",
            "tag: 8.2.3\n          digest: sha256:abc",
            "98: releases.stable.images.redis.digest: expected sha256: and 64 hexadecimal digits, as matrix-fleet"
            " images --renew writes them, got 'sha256:abc'",
        ),
    ],
)
def test_a_reference_that_is_none_is_refused(old: str, new: str, says: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    line = repository.read(STABLE).splitlines().index("        redis:") + 2
    repository.edit(STABLE, old, new)
    number, _, rest = says.partition(":")
    assert f"{STABLE}:{line + int(number) - 96}:{rest}" in refused(lambda: read_fleet(repository.top))
