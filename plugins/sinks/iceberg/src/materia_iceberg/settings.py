"""Settings of the sink iceberg: `[sinks.iceberg]` in materia.toml, with defaults for R2."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from materia.errors import ConfigError
from materia.kit.mistakes import Mistakes
from materia_store.bucket.address import Address
from materia_store.object_store import check_endpoint

TABLE = "sinks.iceberg"
TOKEN, KEYS = "ICEBERG_TOKEN", "ICEBERG_BUCKET_KEY"
# Addresses from Cloudflare's documentation, "R2 Data Catalog" and "Authentication", 2026-08.
CATALOG = "https://catalog.cloudflarestorage.com/{account}/{bucket}"
WAREHOUSE = "{account}_{bucket}"
ENDPOINT = "https://{account}.r2.cloudflarestorage.com"
ACCOUNT = re.compile(r"[0-9a-f]{32}")
# A name that needs no quotes in any engine.
NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The bucket, the catalog and the names of tables.

    Attributes:
        address: The bucket of raw files and databases.
        catalog: Address of the REST catalog, without a slash at its end.
        warehouse: Name of the warehouse in the catalog; may be empty.
        prefix: Prefix of all namespaces.
        layers: The layers whose tables are published.
        is_r2: Whether the places follow from an account of Cloudflare R2.
    """

    address: Address
    catalog: str
    warehouse: str
    prefix: str
    layers: tuple[str, ...]
    is_r2: bool

    @property
    def folder(self) -> str:
        """A folder name for the cache of these places alone."""
        whole = f"{self.catalog} {self.warehouse} {self.prefix}"
        return f"{self.address.folder}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Places):
    """The places, and the secrets to access them.

    Attributes:
        identity: The id of the bucket's key.
        secret: The secret of the bucket's key.
        token: The catalog's token.
    """

    identity: str
    secret: str = field(repr=False)
    token: str = field(repr=False)


def read_settings(settings: Mapping[str, object], *, token: str, key: str) -> Settings:
    """Read the settings and the two secrets, with defaults for an account of R2.

    Raises:
        ConfigError: some are missing or invalid; it has every mistake of the settings.
    """
    places = read_places(settings)
    identity, secret = _key(key, token, of_r2=places.is_r2)
    return Settings(
        address=places.address,
        catalog=places.catalog,
        warehouse=places.warehouse,
        prefix=places.prefix,
        layers=places.layers,
        is_r2=places.is_r2,
        identity=identity,
        secret=secret,
        token=_token(token),
    )


def read_places(settings: Mapping[str, object]) -> Places:
    """Read the settings without the secrets; this opens nothing.

    Raises:
        ConfigError: some are missing or invalid; it has every mistake.
    """
    mistakes = Mistakes()
    account = str(settings["account"] or "")
    bucket = str(settings["bucket"] or "")
    if account and bucket and "://" not in bucket:
        bucket = f"s3://{bucket}"
    names = {"account": account, "bucket": bucket.removeprefix("s3://").partition("/")[0]}

    def either(name: str, of_r2: str, otherwise: str) -> str:
        given = str(settings[name] or "").strip().rstrip("/")
        return given or (of_r2.format(**names) if account else otherwise)

    where = {
        "bucket": bucket,
        "endpoint": either("endpoint", ENDPOINT, ""),
        "region": either("region", "auto", "us-east-1"),
    }
    catalog = either("catalog", CATALOG, "")
    with mistakes.kept():
        if account and not ACCOUNT.fullmatch(account):
            raise _wrong("account", "an account id of Cloudflare R2, 32 hex digits", account)
    with mistakes.kept():
        address = Address.of_settings(where, table=TABLE, keys=KEYS)
    with mistakes.kept():
        _check_catalog(catalog)
    with mistakes.kept():
        prefix = _prefix(str(settings["namespace_prefix"] or ""))
    with mistakes.kept():
        layers = _layers(settings["tables"])
    mistakes.finish()
    return Places(
        address=address,
        catalog=catalog,
        warehouse=either("warehouse", WAREHOUSE, ""),
        prefix=prefix,
        layers=layers,
        is_r2=bool(account),
    )


def _check_catalog(catalog: str) -> None:
    if not catalog:
        raise ConfigError(f"{TABLE}.catalog is not set, nor is {TABLE}.account: set one of them")
    check_endpoint(catalog, f"{TABLE}.catalog")
    if urlsplit(catalog).query:
        raise _wrong("catalog", 'an address without "?"', catalog)


def _key(key: str, token: str, *, of_r2: bool) -> tuple[str, str]:
    """The id and the secret of the bucket's key.

    For R2 these are the id of the API token, and the SHA-256 of the token ("Get S3 API
    credentials from an API token" in Cloudflare's documentation, 2026-08).
    """
    identity, colon, secret = key.strip().partition(":")
    if not colon and of_r2:
        secret = hashlib.sha256(token.strip().encode()).hexdigest()
    if not identity or not secret:
        more = "; for R2 the Access Key ID alone is enough" if of_r2 else ""
        raise ConfigError(f"{KEYS} must be the bucket's key as ID:SECRET{more}")
    return identity, secret


def _token(token: str) -> str:
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"{TOKEN} cannot be sent in a header: set it to the token alone")
    return token


def _prefix(prefix: str) -> str:
    if prefix and not NAME.fullmatch(prefix):
        should = 'lower-case letters, digits and "_", as in "coffee_"'
        raise _wrong("namespace_prefix", should, prefix)
    return prefix


def _layers(value: object) -> tuple[str, ...]:
    layers = tuple(map(str, value)) if isinstance(value, list | tuple) else ()
    if not layers or not all(NAME.fullmatch(layer) for layer in layers):
        raise _wrong("tables", 'names of layers, such as ["serving", "cleaned"]', str(value))
    return tuple(dict.fromkeys(layers))


def _wrong(setting: str, should: str, found: str) -> ConfigError:
    return ConfigError(f"{TABLE}.{setting} must be {should}, is {found!r}")
