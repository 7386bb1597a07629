"""Where the bucket is: what `bucket`, `endpoint` and `region` in materia.toml say, checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from materia.errors import ConfigError

from materia_store.object_store import Place, check_endpoint

# Names of buckets: S3 user guide, "General purpose bucket naming rules", 2026-08.
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # it is a part of AWS's host, and of signatures


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A bucket, and what the names of all objects of this sink begin with.

    Attributes:
        bucket: Its name.
        prefix: Without slashes at either end; may be empty.
        endpoint: Address of the object store, or None for that of AWS.
        region: As the store calls it.
        table: Of materia.toml, where these are set, such as `sinks.s3`; stands in messages.
        keys: The variables that hold the key; stand in messages.
    """

    bucket: str
    prefix: str
    endpoint: str | None
    region: str
    table: str
    keys: str

    @classmethod
    def of_settings(cls, settings: Mapping[str, object], *, table: str, keys: str) -> Address:
        """The address that the settings of *table* give; *keys* are the variables of its key.

        Raises:
            ConfigError: one of them is not set, or is not usable.
        """
        url = str(settings["bucket"] or "")
        scheme, _, rest = url.partition("://")
        bucket, _, prefix = rest.partition("/")
        parts = prefix.strip("/").split("/")
        if scheme != "s3" or not BUCKET.fullmatch(bucket) or {".", ".."} & set(parts):
            raise _wrong(table, "bucket", 'an address like "s3://bucket/prefix"', url)
        if parts != [""] and "" in parts:
            raise _wrong(table, "bucket", "without two slashes in a row", url)
        endpoint = str(settings["endpoint"] or "").rstrip("/") or None
        if endpoint is not None:
            check_endpoint(endpoint, f"{table}.endpoint")
            split = urlsplit(endpoint)
            if split.path or split.query:
                raise _wrong(
                    table,
                    "endpoint",
                    f'"{split.scheme}://{split.netloc}" alone, the bucket is in {table}.bucket',
                    endpoint,
                )
        region = str(settings["region"] or "").strip()
        if not region or not REGION.fullmatch(region):
            raise _wrong(table, "region", 'the name of a region, for example "us-east-1"', region)
        return cls(
            bucket=bucket,
            prefix="/".join(parts),
            endpoint=endpoint,
            region=region,
            table=table,
            keys=keys,
        )

    @property
    def place(self) -> Place:
        """The same for the client."""
        return Place(
            bucket=self.bucket,
            prefix=self.prefix,
            endpoint=self.endpoint,
            region=self.region,
            table=self.table,
        )

    def url(self, name: str = "") -> str:
        """The object of that name, as people write it."""
        return "/".join(filter(None, (f"s3://{self.bucket}", self.prefix, name)))

    @property
    def folder(self) -> str:
        """A name for a folder with copies of this bucket, and of no other."""
        whole = f"{self.endpoint} {self.url()}"
        return f"{self.bucket}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def _wrong(table: str, setting: str, should: str, found: str | None) -> ConfigError:
    if found == "":
        return ConfigError(f"{table}.{setting} is not set; it must be {should}")
    said = "" if found is None else f", is {found!r}"
    return ConfigError(f"{table}.{setting} must be {should}{said}")
