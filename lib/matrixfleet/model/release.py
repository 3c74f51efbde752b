"""What runs: one row an image, with everything a Pod must know of it. The only place for versions."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.fields import FieldInfo

from matrixfleet.model.base import Model
from matrixfleet.model.types import HttpsUrl, Line, Name, Port, expected, words

Program = Annotated[str, BeforeValidator(words(r"[A-Za-z0-9/][A-Za-z0-9._/-]*", "a program's name or path"))]
"""A program in an image."""
Folder = Annotated[
    str, BeforeValidator(words(r"(/(?!\.\.?(/|\Z))[A-Za-z0-9._-]+)+", "a path from the root (/var/lib)"))
]
"""A path in an image."""
Signal = Annotated[str, BeforeValidator(words(r"SIG[A-Z0-9]{2,8}", "a signal (SIGTERM)"))]
"""A signal."""
Capability = Annotated[str, BeforeValidator(words(r"[A-Z]+(_[A-Z]+)*", "a capability (NET_BIND_SERVICE)"))]
"""A capability of Linux."""
SecretKey = Annotated[
    str, BeforeValidator(words(r"[A-Za-z][A-Za-z0-9_-]{0,62}", "a key of a configuration (bind_password_file)"))
]
"""A key of a configuration and of a Secret, and a file's name."""
ModuleName = Annotated[
    str,
    BeforeValidator(words(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+", "a Python class (package.module.Class)")),
]
"""A class that Synapse loads."""

_WORD = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = (
    r"^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*(:[1-9][0-9]{0,4})?/)?"
    rf"{_WORD}(/{_WORD})*$"
)
_TAG = r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$"
_DIGEST = r"^sha256:[0-9a-f]{64}$"
"""As the OCI distribution specification has them (spec.md, "Pulling manifests")."""


def _matching(pattern: str, what: str) -> tuple[AfterValidator, FieldInfo]:
    """What checks a text against a pattern, and tells editors of it."""

    def check(text: str) -> str:
        # \Z: `$` lets a last newline pass.
        if not re.search(pattern.removesuffix("$") + r"\Z", text):
            raise expected(what, text)
        return text

    return AfterValidator(check), Field(json_schema_extra={"pattern": pattern})


Repository = Annotated[str, *_matching(_REPOSITORY, "REGISTRY/PATH in lower case, without tag and digest")]
Tag = Annotated[str, *_matching(_TAG, "a tag of letters, digits, '.', '_' and '-'")]
Digest = Annotated[
    str, *_matching(_DIGEST, "sha256: and 64 hexadecimal digits, as matrix-fleet images --renew writes them")
]


KubernetesVersion = Annotated[str, *_matching(r"^1\.[0-9]{1,3}$", 'a minor version of Kubernetes ("1.36", quoted)')]


Day = Annotated[str, *_matching(r"^20[0-9]{2}-[01][0-9]-[0-3][0-9]$", 'a day ("2026-12-31", quoted)')]


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, to compare by: 1.30.0 comes after 1.9.2."""
    return tuple(int(part) for part in re.findall(r"[0-9]+", version))


class KubernetesRange(Model):
    """Minor versions of Kubernetes, both ends included."""

    first: KubernetesVersion
    """The oldest."""
    last: KubernetesVersion
    """The newest."""

    @model_validator(mode="after")
    def _ordered(self) -> KubernetesRange:
        if numbers(self.first) > numbers(self.last):
            raise expected(f"last of {self.first} or newer", self.last)
        return self

    @property
    def minors(self) -> tuple[str, ...]:
        """Each version, the oldest first."""
        (major, first), (_, last) = numbers(self.first)[:2], numbers(self.last)[:2]
        return tuple(f"{major}.{minor}" for minor in range(first, last + 1))

    def holds(self, other: KubernetesRange) -> bool:
        """Whether every version of another range is in it."""
        return numbers(self.first) <= numbers(other.first) and numbers(other.last) <= numbers(self.last)


class Image(Model):
    """A container image and what its Dockerfile promises. Checks hold every Pod against its row."""

    repository: Repository
    """Registry and path, without tag."""
    tag: Tag
    """The version. Never `latest`."""
    digest: Digest | None = None
    """Digest of the image's index, by which it is pulled: what the tag meant when a registry was asked.
    `matrix-fleet images --renew` writes it. Default: none, whatever the tag means when a node pulls it."""
    dockerfile: HttpsUrl
    """Where its Dockerfile is: the source of the facts below."""
    signature: HttpsUrl | None = None
    """Page or workflow by which its publisher signs it; docs/images.md says how to verify. Default: none, so nobody is
    known to sign it."""
    uid: int = Field(ge=0)
    """The user it runs as."""
    gid: int = Field(ge=0)
    """The group it runs as, and the fsGroup of its volumes."""
    commands: tuple[Program, ...]
    """Programs in it that our Pods start; no entrypoint script of an image is used."""
    ports: tuple[Port, ...] = ()
    """Ports it listens on under our configuration."""
    writes: tuple[Folder, ...] = ()
    """Paths it writes: with a read-only root each must be a volume."""
    keeps: tuple[Folder, ...] = ()
    """Paths it writes where our configuration says so: there may be volumes."""
    stop_signal: Signal = "SIGTERM"
    """What the runtime sends first to stop it: the image's STOPSIGNAL."""
    capabilities: tuple[Capability, ...] = ()
    """Capabilities it cannot start without, after ALL are dropped."""

    @model_validator(mode="after")
    def _pinned(self) -> Image:
        if self.tag == "latest":
            raise expected("a version", "latest", "a tag that moves makes a sync mean two things")
        return self

    @property
    def reference(self) -> str:
        """What `image:` says: repository:tag, and the digest where it is known."""
        return f"{self.repository}:{self.tag}" + (f"@{self.digest}" if self.digest else "")


class Images(Model):
    """The images of the fleet."""

    synapse: Image
    """Synapse, main process and workers, and the Jobs that make secrets."""
    synapse_s3: Image
    """Synapse with the S3 storage provider (images/synapse-s3), for tenants with media.kind s3."""
    postgresql: Image
    """PostgreSQL of the bundled database."""
    backup: Image
    """The same PostgreSQL with pgBackRest, restic, age and rclone (images/backup), for tenants with backups."""
    cloudnative_pg: Image
    """PostgreSQL as CloudNativePG runs it."""
    pgbouncer: Image
    """The pooler before PostgreSQL."""
    haproxy: Image
    """The router of every tenant."""
    element_web: Image
    """Element Web with its nginx."""
    redis: Image
    """What Synapse's processes speak through."""
    postgres_exporter: Image
    """PostgreSQL's numbers for Prometheus, beside the bundled server."""
    redis_exporter: Image
    """Redis's numbers for Prometheus."""
    coturn: Image
    """The TURN server."""
    vector: Image
    """The agent that reads logs."""
    pgbouncer_exporter: Image
    """PgBouncer's numbers for Prometheus."""
    nginx_exporter: Image
    """Element Web's nginx's numbers for Prometheus."""
    blackbox_exporter: Image
    """What tries public addresses, for Prometheus."""


class Chart(Model):
    """An upstream Helm chart that Argo CD renders for a managed operator."""

    repository: HttpsUrl
    """The chart repository."""
    chart: Name
    """The chart."""
    version: Tag
    """Its exact version."""
    installs: Tag
    """The version of the operator that it installs. An operator that is there already must not be older."""
    kubernetes: KubernetesRange | None = None
    """The versions of Kubernetes that its project supports or tests it with; unset where nobody looked that up."""
    supported_until: Day | None = None
    """The day on which its project's support of that minor version ends. From then on each compile warns."""


class Charts(Model):
    """Charts of managed operators."""

    cert_manager: Chart
    """cert-manager."""
    cloudnative_pg: Chart
    """CloudNativePG."""
    barman_cloud: Chart
    """CloudNativePG's plugin that archives to buckets."""


class SynapseModule(Model):
    """A module that the release's Synapse image has."""

    keys: tuple[Line, ...] = ()
    """The keys that a tenant may set in its `config`. Leave out keys that hold secrets, and keys by which the module
    loads code, reads files or renders templates: it runs beside the signing key."""
    secrets: tuple[SecretKey, ...] = ()
    """Keys whose value is the path of a file that holds a secret. A tenant names those that it needs, and the path is
    filled in. Default: none."""


class Release(Model):
    """One set of versions."""

    kubernetes: KubernetesRange
    """The versions of Kubernetes that it is for. Every chart must support them."""
    images: Images
    """Container images."""
    charts: Charts
    """Charts of managed operators."""
    modules: dict[ModuleName, SynapseModule] = Field(default_factory=dict)
    """Modules that tenants may name, by their Python class: those that both Synapse images have. Without it tenants
    have none."""

    @model_validator(mode="after")
    def _charts_support_it(self) -> Release:
        ours = self.kubernetes
        for name, chart in self.charts:
            if chart.kubernetes and not chart.kubernetes.holds(ours):
                its = f"{chart.kubernetes.first} to {chart.kubernetes.last}"
                raise expected(
                    f"charts that support Kubernetes {ours.first} to {ours.last}",
                    f"charts.{name} {chart.version}, which supports {its}",
                )
        return self
