"""What `[sinks.iceberg]` in materia.toml says, checked; what Cloudflare R2 needs no words for."""

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
# What Cloudflare calls these: "R2 Data Catalog" and "Authentication" in its documents, 2026-08.
CATALOG = "https://catalog.cloudflarestorage.com/{account}/{bucket}"
WAREHOUSE = "{account}_{bucket}"
ENDPOINT = "https://{account}.r2.cloudflarestorage.com"
ACCOUNT = re.compile(r"[0-9a-f]{32}")
# What every engine takes for a name without quotes.
NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where things are, and what opens them.

    Attributes:
        address: The bucket of raw files and databases.
        identity: Of the bucket's key.
        secret: Of the bucket's key.
        catalog: Address of the REST catalog, without a slash at its end.
        warehouse: As the catalog calls it; may be empty.
        token: What the catalog is asked with.
        prefix: What the names of all namespaces begin with.
        layers: Those whose tables are published.
    """

    address: Address
    identity: str
    secret: str = field(repr=False)
    catalog: str
    warehouse: str
    token: str = field(repr=False)
    prefix: str
    layers: tuple[str, ...]

    @property
    def folder(self) -> str:
        """A name for a folder with copies of this place, and of no other."""
        whole = f"{self.catalog} {self.warehouse} {self.prefix}"
        return f"{self.address.folder}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The settings without secrets, as in `Settings`; *of_r2*: `account` is set."""

    address: Address
    catalog: str
    warehouse: str
    prefix: str
    layers: tuple[str, ...]
    of_r2: bool


def read_places(settings: Mapping[str, object]) -> Places:
    """The settings, with what follows from an account of R2.

    Raises:
        ConfigError: some are missing or invalid; it has every mistake.
    """
    mistakes = Mistakes()
    account = str(settings["account"] or "")
    with mistakes.kept():
        if account and not ACCOUNT.fullmatch(account):
            raise _wrong("account", "the id of an account of R2, 32 hex digits", account)
    bucket = str(settings["bucket"] or "")
    if account and bucket and "://" not in bucket:
        bucket = f"s3://{bucket}"
    names = {"account": account, "bucket": bucket.removeprefix("s3://").partition("/")[0]}

    def either(name: str, of_r2: str, otherwise: str) -> str:
        given = str(settings[name] or "").strip().rstrip("/")
        return given or (of_r2.format(**names) if account else otherwise)

    with mistakes.kept():
        address = Address.of_settings(
            {
                "bucket": bucket,
                "endpoint": either("endpoint", ENDPOINT, ""),
                "region": either("region", "auto", "us-east-1"),
            },
            table=TABLE,
            keys=KEYS,
        )
    catalog = either("catalog", CATALOG, "")
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
        of_r2=bool(account),
    )


def read_settings(settings: Mapping[str, object], *, token: str, key: str) -> Settings:
    """The settings and the two secrets.

    Raises:
        ConfigError: some are missing or invalid; it has every mistake.
    """
    places = read_places(settings)
    identity, secret = _key(key, token, of_r2=places.of_r2)
    return Settings(
        address=places.address,
        identity=identity,
        secret=secret,
        catalog=places.catalog,
        warehouse=places.warehouse,
        token=_token(token),
        prefix=places.prefix,
        layers=places.layers,
    )


def _check_catalog(catalog: str) -> None:
    if not catalog:
        raise ConfigError(f"{TABLE}.catalog is not set, nor is {TABLE}.account: set one of them")
    check_endpoint(catalog, f"{TABLE}.catalog")
    if urlsplit(catalog).query:
        raise _wrong("catalog", "an address without a question", catalog)


def _key(key: str, token: str, *, of_r2: bool) -> tuple[str, str]:
    """The id and the secret of the bucket's key.

    Those of an R2 token are the token's own id, and the SHA-256 of the token ("Get S3 API
    credentials from an API token" in Cloudflare's documents, 2026-08).
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
        raise _wrong("namespace_prefix", 'small letters, digits and "_", as in "coffee_"', prefix)
    return prefix


def _layers(value: object) -> tuple[str, ...]:
    layers = tuple(map(str, value)) if isinstance(value, list | tuple) else ()
    if not layers or not all(NAME.fullmatch(layer) for layer in layers):
        raise _wrong("tables", 'names of layers, as in ["serving", "cleaned"]', str(value))
    return tuple(dict.fromkeys(layers))


def _wrong(setting: str, should: str, found: str) -> ConfigError:
    return ConfigError(f"{TABLE}.{setting} must be {should}, is {found!r}")
