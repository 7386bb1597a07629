"""Files of an Iceberg table in S3: read, write, list, delete, with vended credentials if any.

Vended credentials expire; the sink loads new ones shortly before. Without any, it uses the key of
the bucket.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from materia.errors import SinkError
from materia_store.bucket.address import Address
from materia_store.bucket.objects import ListedObject, Objects
from materia_store.object_store import Patience, check_endpoint

from materia_iceberg.catalog.table_state import TableState
from materia_iceberg.settings import TABLE, Settings

KEY = "s3.access-key-id"
SCHEMES = {"s3", "s3a", "s3n"}
LONGEST = 16_000_000  # bytes of a manifest
SOON = timedelta(minutes=2)  # a request may take that long


class TableFiles:
    """The files of one table."""

    def __init__(
        self,
        state: TableState,
        settings: Settings,
        *,
        reload: Callable[[], TableState | None],
        patience: Patience | None,
    ) -> None:
        """Use the key in *state*, or else that in *settings*; *reload* loads a new one."""
        self._state = state
        self._settings = settings
        self._reload = reload
        self._patience = patience
        self._objects: Objects | None = None
        self._until: datetime | None = None

    def upload(self, location: str, path: Path) -> None:
        """Upload a local file."""
        objects, name = self._at(location)
        objects.upload(name, path)

    def write(self, location: str, content: bytes) -> None:
        """Write a small file."""
        objects, name = self._at(location)
        objects.write(name, content)

    def read(self, location: str) -> bytes:
        """Read a small file.

        Raises:
            SinkError: it is missing, is no small file, or cannot be read.
        """
        objects, name = self._at(location)
        found = objects.read(name, longest=LONGEST)
        if found is None:
            raise SinkError(f"{location}: is missing, though the table {self._state.name} needs it")
        return found.content

    def listed(self, location: str) -> dict[str, ListedObject]:
        """The files listed below *location*, by full address; a listing may be incomplete."""
        objects, folder = self._at(location)
        start = f"{urlsplit(location).scheme}://{objects.address.bucket}"
        return {f"{start}/{name}": found for name, found in objects.listed(folder).items()}

    def delete(self, locations: list[str]) -> None:
        """Delete files until one cannot be deleted; a later run deletes the rest."""
        for location in locations:
            objects, name = self._at(location)
            if objects.delete([name]):
                return

    def _at(self, location: str) -> tuple[Objects, str]:
        """The bucket with a key that has not expired, and the object name of *location*."""
        if self._objects is None:
            self._objects = self._opened()
        # Also before the first use: exports and uploads of other tables come between.
        if self._until is not None and datetime.now(UTC) > self._until - SOON:
            self._state = self._reload() or self._state
            self._objects = self._opened()
        bucket, name = object_of(location)
        if (
            urlsplit(location).scheme not in SCHEMES
            or bucket != self._objects.address.bucket
            or not name
        ):
            raise SinkError(
                f"{location}: is not in s3://{self._objects.address.bucket}, the bucket of the "
                f"table {self._state.name}; the sink uses no file outside it"
            )
        return self._objects, name

    def _opened(self) -> Objects:
        split = urlsplit(self._state.location)
        config, own = self._state.config, self._settings
        lent = KEY in config
        endpoint = self._lent_endpoint() if lent else None
        region = (config.get("s3.region") or config.get("client.region")) if lent else None
        ends = config.get("s3.session-token-expires-at-ms", "") if lent else ""
        self._until = _moment(ends)
        address = Address(
            bucket=split.netloc,
            prefix="",
            endpoint=endpoint or own.address.endpoint,
            region=region or own.address.region,
            table=own.address.table,
            keys="the key that the catalog lends" if lent else own.address.keys,
        )
        return Objects(
            address,
            key=config[KEY] if lent else own.identity,
            secret=config.get("s3.secret-access-key", "") if lent else own.secret,
            token=config.get("s3.session-token") if lent else None,
            patience=self._patience,
        )

    def _lent_endpoint(self) -> str | None:
        """The address of the store that the catalog lends a key for; None for that of the settings.

        Raises:
            SinkError: it is another one that is not encrypted.
        """
        endpoint = self._state.config.get("s3.endpoint", "").rstrip("/")
        if endpoint in {"", self._settings.address.endpoint}:
            return None
        table = f"the catalog's s3.endpoint of the table {self._state.name}"
        check_endpoint(endpoint, table)
        if not endpoint.startswith("https://"):
            raise SinkError(
                f"{table} is {endpoint}, which is neither https nor {TABLE}.endpoint; the sink "
                f"sends no table there: if it is right, set {TABLE}.endpoint to it"
            )
        return endpoint


def object_of(location: str) -> tuple[str, str]:
    """Bucket and name of the object at an address."""
    bucket, _, name = location.partition("://")[2].partition("/")
    return bucket, name.lstrip("/")


def _moment(milliseconds: str) -> datetime | None:
    """The time that a catalog gave in milliseconds since 1970; None if it gave none we can use."""
    try:
        return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None  # as if the key did not expire: the store refuses it when it has
