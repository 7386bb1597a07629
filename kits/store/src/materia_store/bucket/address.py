"""Settings of a sink in a bucket: bucket, prefix, endpoint and region, checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from materia.errors import ConfigError
from materia.kit.mistakes import Mistakes

from materia_store.object_store import BucketPrefix, check_endpoint

__all__ = [
    "Address",
]

# Names of buckets: S3 user guide, "General purpose bucket naming rules", 2026-08.
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
REGION = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_.-]*"
)  # the region is part of AWS's host name and of signatures


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A bucket and the prefix of all objects of this sink.

    Attributes:
        bucket: Its name.
        prefix: The prefix, without slashes at either end; may be empty.
        endpoint: URL of the object store, or None for AWS.
        region: The store's name of the region.
        table: Table of materia.toml with these settings, such as `sinks.s3`; part of messages.
        keys: Environment variables with the key; part of messages.
    """

    bucket: str
    prefix: str
    endpoint: str | None
    region: str
    table: str
    keys: str

    @classmethod
    def of_settings(cls, settings: Mapping[str, object], *, table: str, keys: str) -> Address:
        """The address in the settings of *table*; the variables *keys* hold the key.

        Raises:
            ConfigError: some settings are missing or invalid; it has every mistake.
        """
        mistakes = Mistakes()
        with mistakes.kept():
            bucket, prefix = _bucket(table, str(settings["bucket"] or ""))
        with mistakes.kept():
            endpoint = _endpoint(table, str(settings["endpoint"] or "").rstrip("/"))
        with mistakes.kept():
            region = _region(table, str(settings["region"] or "").strip())
        mistakes.finish()
        return cls(
            bucket=bucket, prefix=prefix, endpoint=endpoint, region=region, table=table, keys=keys
        )

    @property
    def place(self) -> BucketPrefix:
        """The address in the form of the client."""
        return BucketPrefix(
            bucket=self.bucket,
            prefix=self.prefix,
            endpoint=self.endpoint,
            region=self.region,
            table=self.table,
        )

    def url(self, name: str = "") -> str:
        """The URL of an object: `s3://bucket/prefix/name`."""
        return "/".join(filter(None, (f"s3://{self.bucket}", self.prefix, name)))

    @property
    def folder(self) -> str:
        """A folder name for the cache of this bucket alone."""
        whole = f"{self.endpoint} {self.url()}"
        return f"{self.bucket}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def _bucket(table: str, url: str) -> tuple[str, str]:
    """The name of the bucket, and the prefix without slashes at either end."""
    rest = url.removeprefix("s3://")
    bucket, _, prefix = rest.partition("/")
    parts = prefix.strip("/").split("/")
    if rest == url or not BUCKET.fullmatch(bucket) or {".", ".."} & set(parts):
        raise _wrong(table, "bucket", 'an address like "s3://bucket/prefix"', url)
    if parts != [""] and "" in parts:
        raise _wrong(table, "bucket", "without two slashes in a row", url)
    return bucket, "/".join(parts)


def _endpoint(table: str, url: str) -> str | None:
    if not url:
        return None
    check_endpoint(url, f"{table}.endpoint")
    split = urlsplit(url)
    if split.path or split.query:
        alone = f'"{split.scheme}://{split.netloc}" alone, the bucket is in {table}.bucket'
        raise _wrong(table, "endpoint", alone, url)
    return url


def _region(table: str, name: str) -> str:
    if not REGION.fullmatch(name):
        raise _wrong(table, "region", 'the name of a region, for example "us-east-1"', name)
    return name


def _wrong(table: str, setting: str, should: str, found: str | None) -> ConfigError:
    if found == "":
        return ConfigError(f"{table}.{setting} is not set; it must be {should}")
    said = "" if found is None else f", is {found!r}"
    return ConfigError(f"{table}.{setting} must be {should}{said}")
