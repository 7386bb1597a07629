"""Iceberg REST catalog client: load, create, drop and commit tables, with retries.

pyiceberg has a client too. This one has a time-out for each request and multi-table commits, and
reading the published state needs no import but httpx.
"""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from materia_store.object_store import Patience, Waiting

from materia_iceberg.catalog.errors import (
    PASSING,
    UnclearError,
    answered,
    not_iceberg,
    too_long,
    unanswered,
)
from materia_iceberg.catalog.table_state import TableName, TableState, check_metadata
from materia_iceberg.settings import Settings

if TYPE_CHECKING:
    import httpx

DELEGATION = {"X-Iceberg-Access-Delegation": "vended-credentials"}
SEVERAL = "POST /v1/{prefix}/transactions/commit"
LONGEST = 64_000_000  # bytes of an answer; the metadata of a table has some 100,000
Change = Mapping[str, Any]  # of one table: `identifier`, `requirements` and `updates`


class Catalog:
    """One warehouse of a REST catalog."""

    def __init__(self, settings: Settings, patience: Patience | None = None) -> None:
        """Use the catalog in *settings*; this sends no request."""
        self.where = settings.catalog
        self._warehouse = settings.warehouse
        self._token = settings.token
        self._patience = patience or Patience()
        self._client: httpx.Client | None = None
        self._config: Mapping[str, Any] | None = None
        self._answered = False

    @property
    def commits_several(self) -> bool:
        """Whether the catalog lists multi-table commits among its endpoints."""
        return SEVERAL in (self._configuration().get("endpoints") or ())

    def load(self, name: TableName, *, heads: bool = False) -> TableState | None:
        """Load a table, or None; with *heads* the catalog may omit older snapshots."""
        path = f"{self._namespace(name)}/tables/{quote(name.table, safe='')}"
        doing = f"load the table {name}"
        params = {"snapshots": "refs" if heads else "all"}
        answer = self._ask("GET", path, doing=doing, params=params, fine={HTTPStatus.NOT_FOUND})
        return None if answer is None else self._table(name, answer, doing)

    def tables(self, namespace: str) -> frozenset[str] | None:
        """The names of all tables of a namespace; None if there is no such namespace."""
        doing = f"list the tables of {namespace}"
        path = f"/namespaces/{quote(namespace, safe='')}/tables"
        answer = self._ask("GET", path, doing=doing, fine={HTTPStatus.NOT_FOUND})
        if answer is None:
            return None
        try:
            return frozenset(str(one["name"]) for one in answer["identifiers"])
        except (LookupError, TypeError):
            raise not_iceberg(catalog=self.where, doing=doing) from None

    def create_namespace(self, namespace: str) -> None:
        """Create a namespace, unless it exists."""
        self._ask(
            "POST",
            "/namespaces",
            doing=f"create the namespace {namespace}",
            json={"namespace": [namespace], "properties": {}},
            fine={HTTPStatus.CONFLICT},
        )

    def create(
        self, name: TableName, schema: Mapping[str, Any], properties: Mapping[str, str]
    ) -> TableState | None:
        """Create an empty table; None when another writer was faster."""
        doing = f"create the table {name}"
        answer = self._ask(
            "POST",
            f"{self._namespace(name)}/tables",
            doing=doing,
            json={"name": name.table, "schema": schema, "properties": dict(properties)},
            fine={HTTPStatus.CONFLICT},
        )
        return None if answer is None else self._table(name, answer, doing)

    def drop(self, name: TableName) -> None:
        """Drop a table from the catalog; its files stay. A missing table is not an error."""
        self._ask(
            "DELETE",
            f"{self._namespace(name)}/tables/{quote(name.table, safe='')}",
            doing=f"drop the table {name}",
            params={"purgeRequested": "false"},
            fine={HTTPStatus.NOT_FOUND},
        )

    def commit(self, changes: Sequence[Change]) -> None:
        """Commit changes of one table, or of several tables at once, without retries.

        Raises:
            ConflictError: a requirement does not hold; the catalog applied nothing.
            UnclearError: the catalog may have applied the changes, or may still do so.
            MateriaError: the catalog refused the changes.
        """
        if len(changes) == 1 and not self.commits_several:
            (change,) = changes
            namespace, table = change["identifier"]["namespace"][0], change["identifier"]["name"]
            name = TableName(namespace=namespace, table=table)
            path = f"{self._namespace(name)}/tables/{quote(table, safe='')}"
            self._once("POST", path, doing=f"commit to the table {name}", json=change)
            return
        self._once(
            "POST",
            "/transactions/commit",
            doing=f"commit to {len(changes)} tables",
            json={"table-changes": list(changes)},
        )

    def waiting(self) -> Waiting:
        """The waiting times between the attempts of one request."""
        return Waiting(self._patience, lambda: self._answered)

    def _configuration(self) -> Mapping[str, Any]:
        if self._config is None:
            doing = "read its configuration"
            params = {"warehouse": self._warehouse} if self._warehouse else {}
            found = self._ask("GET", "/config", doing=doing, params=params, prefixed=False)
            if not isinstance(found, dict) or not all(
                isinstance(found.get(name) or kind(), kind)
                for name, kind in (("defaults", dict), ("overrides", dict), ("endpoints", list))
            ):
                raise not_iceberg(catalog=self.where, doing=doing)
            self._config = found
        return self._config

    def _base(self) -> str:
        config = self._configuration()
        settings = {**(config.get("defaults") or {}), **(config.get("overrides") or {})}
        prefix = str(settings.get("prefix") or "").strip("/")
        return f"{self.where}/v1/{prefix}".rstrip("/")

    def _namespace(self, name: TableName) -> str:
        return f"/namespaces/{quote(name.namespace, safe='')}"

    def _table(self, name: TableName, answer: Any, doing: str) -> TableState:
        try:
            metadata = answer["metadata"]
            check_metadata(metadata)
            config = {**(answer.get("config") or {}), **_of_storage(answer, metadata["location"])}
            state = TableState(
                name=name,
                metadata=metadata,
                config={str(key): str(value) for key, value in config.items()},
            )
        except (LookupError, TypeError, ValueError, AttributeError):
            raise not_iceberg(catalog=self.where, doing=doing) from None
        return state

    def _ask(self, method: str, path: str, *, doing: str, **options: Any) -> Any:
        """Send an idempotent request; retry it while the fault may be temporary."""
        waiting = self.waiting()
        while True:
            try:
                return self._once(method, path, doing=doing, **options)
            except UnclearError as error:
                if not waiting.again(error):
                    raise

    def _once(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        fine: set[HTTPStatus] | None = None,
        prefixed: bool = True,
        **options: Any,
    ) -> Any:
        """Send a request once; return its JSON, or None for a status in *fine* or no content."""
        import httpx

        url = f"{self._base() if prefixed else f'{self.where}/v1'}{path}"
        try:
            with self._http().stream(method, url, **options) as answer:
                content = self._content(answer)
        except (httpx.HTTPError, TimeoutError) as error:
            raise unanswered(error, catalog=self.where, doing=doing, token=self._token) from None
        self._answered = self._answered or answer.status_code not in PASSING
        if answer.status_code in (fine or ()):
            return None
        if content is None:
            raise too_long(catalog=self.where, doing=doing, longest=LONGEST)
        if not answer.is_success:
            raise answered(
                answer.status_code,
                content.decode(errors="replace"),
                catalog=self.where,
                doing=doing,
                token=self._token,
            )
        if answer.status_code == HTTPStatus.NO_CONTENT or not content:
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise not_iceberg(catalog=self.where, doing=doing) from None

    def _content(self, answer: httpx.Response) -> bytes | None:
        """The body of an answer; None if it is too long.

        Raises:
            TimeoutError: it comes too slowly; the time-out of httpx begins anew with each byte.
        """
        until = time.monotonic() + self._patience.request.total_seconds()
        content = bytearray()
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > LONGEST:
                return None
            if time.monotonic() > until:
                raise TimeoutError("the answer has no end")
        return bytes(content)

    def _http(self) -> httpx.Client:
        if self._client is None:
            import httpx
            from materia_http.client import client

            patience = self._patience
            self._client = client(
                self.where,
                headers={"Authorization": f"Bearer {self._token}", **DELEGATION},
                timeout=httpx.Timeout(
                    patience.request.total_seconds(), connect=patience.connect.total_seconds()
                ),
            )
            weakref.finalize(self, self._client.close)  # sinks have no close()
        return self._client


def _of_storage(answer: Mapping[str, Any], location: str) -> dict[str, str]:
    """The vended credentials for *location*: those with the longest matching prefix."""
    found = [
        one for one in answer.get("storage-credentials") or () if location.startswith(one["prefix"])
    ]
    found.sort(key=lambda one: len(one["prefix"]))
    return dict(found[-1]["config"]) if found else {}
