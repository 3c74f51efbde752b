"""Where media lies: a volume, or a bucket."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.choices import Built, Media
from matrixfleet.model.database import Certificates
from matrixfleet.model.peers import Reach
from matrixfleet.model.types import Generation, HttpsUrl, Memory, at_least, expected, words

Bucket = Annotated[
    str,
    BeforeValidator(
        words(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name (3 to 63 of a-z, 0-9, '.', '-')")
    ),
]
"""A bucket, as S3 names them."""
Region = Annotated[str, BeforeValidator(words(r"[a-z0-9]+(-[a-z0-9]+)*", "a region (eu-central-1)"))]
"""A region, as its provider calls it."""
Folder = Annotated[
    str, BeforeValidator(words(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}", "one word without slashes (chat.example.com)"))
]
"""The first part of every key in a bucket."""


def server_of(endpoint: object) -> str:
    """Whose buckets an endpoint has: host and port, or Amazon, which has many names for the same ones. Takes whatever
    was written."""
    try:
        address = urlsplit(str(endpoint or "https://s3.amazonaws.com"))
        host, port = address.hostname or "", address.port or 443
    except ValueError:
        return str(endpoint)
    amazon = host.rstrip(".").endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return "Amazon" if amazon else f"{host.rstrip('.')}:{port}"


class S3Bucket(Model):
    """A tenant's part of a bucket that speaks S3. The keys are a Secret with the key `credentials`, a file as the AWS
    tools read it, which a person creates."""

    endpoint: HttpsUrl | None = None
    """Its server. Unset, it is Amazon's own of the region."""
    region: Region
    """Requests are signed for it. Servers of one's own mostly take us-east-1."""
    bucket: Bucket
    """Several tenants may share one."""
    prefix: Folder | None = None
    """The first folder: the tenant's own part of the bucket. It cannot change once something is there.
    Unset, it is server_name, which is nobody else's and cannot change either."""
    generation: Generation = 1
    """Of the keys."""
    ca: Certificates | None = None
    """The authority that signed the endpoint's certificate, unless it is one that everybody trusts."""
    reach: tuple[Reach, ...] = ()
    """Where it is, unless it is on the Internet."""
    checksums: Literal["when_required", "when_supported"] | None = None
    """When boto (Synapse's media, Barman) and WAL-G add checksums of their own to requests. Unset, it is
    when_required with an endpoint: many servers that are not Amazon's refuse them otherwise. Say when_supported where
    yours takes them."""

    @property
    def checksum_environment(self) -> dict[str, str]:
        """What boto and the AWS SDKs read (AWS SDKs and Tools Reference Guide, "Data integrity protections")."""
        when = self.checksums or ("when_required" if self.endpoint else None)
        names = ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION")
        return dict.fromkeys(names, when) if when else {}

    @property
    def host(self) -> str:
        """Who serves it."""
        return (urlsplit(self.endpoint).hostname if self.endpoint else None) or f"s3.{self.region}.amazonaws.com"

    @property
    def port(self) -> int:
        """Where the endpoint listens."""
        return (urlsplit(self.endpoint).port if self.endpoint else None) or 443

    def is_bucket_of(self, other: S3Bucket) -> bool:
        """Whether another one names the same bucket, however it is written."""
        return (server_of(self.endpoint), self.bucket) == (server_of(other.endpoint), other.bucket)

    @model_validator(mode="after")
    def _an_authority_of_something(self) -> S3Bucket:
        if self.ca and not self.endpoint:
            raise expected("endpoint, since ca is said", "none", "Amazon's own certificates are trusted already")
        return self


class S3(S3Bucket):
    """The bucket of synapse-s3-storage-provider. Own media is in it before an upload is answered. The keys are the
    Secret `<tenant>-media-<generation>`."""

    store_remote: bool = True
    """Whether media of other servers is kept there too. Without, it is fetched from them again once it left the
    cache, as long as they are there."""


class MediaSpec(Model):
    """Uploaded and fetched media."""

    kind: Built[Media] = Media.PVC
    """Where it lies."""
    storage: Annotated[Memory, at_least("1Gi")] = "10Gi"
    """Of kind pvc: its volume."""
    cache: Memory = Field(default="2Gi", validate_default=True)
    """Of kind s3: the disk of its node that each process with media may fill with what was last asked for. Four
    fifths are filled at most; a Pod that takes more than all is evicted."""
    s3: S3 | None = None
    """Of kind s3, required."""

    @model_validator(mode="after")
    def _keys_of_this_kind(self) -> MediaSpec:
        if (self.s3 is not None) != (self.kind is Media.S3):
            wanted = "s3, since kind is s3" if self.s3 is None else "kind: s3, since s3 is said"
            raise expected(wanted, "none" if self.s3 is None else str(self.kind))
        return self
