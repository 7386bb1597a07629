"""Errors of an Iceberg REST catalog: HTTP status codes and network faults as errors of materia.

The catalog's own message may repeat the request, so messages show `***` in place of the token.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from materia.errors import BusyError, ConfigError, MateriaError, SinkError
from materia.kit.text import on_one_line

SHOWN = 200
LATER = "run again: the files and tables already kept are unharmed"
PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class ConflictError(BusyError):
    """The catalog refused a commit, since another writer has changed a table meanwhile."""


class UnclearError(SinkError):
    """No answer, or one that leaves open whether the catalog applied a commit."""


def answered(status: int, text: str, *, catalog: str, doing: str, token: str) -> MateriaError:
    """The error for an HTTP status; it names the variables and settings of this sink."""
    said = _message(text, token)
    more = f" ({said})" if said else ""
    start = f"{catalog}: cannot {doing}: "
    if status == HTTPStatus.UNAUTHORIZED:
        return SinkError(
            f"{start}it refuses the token{more}; set ICEBERG_TOKEN to a token of this catalog"
        )
    if status == HTTPStatus.FORBIDDEN:
        return SinkError(
            f"{start}the token lacks permission{more}; it needs permission to read and write the "
            "catalog and its storage"
        )
    if status == HTTPStatus.NOT_FOUND:
        return ConfigError(
            f"{start}there is no such catalog or warehouse{more}; correct sinks.iceberg.catalog "
            "and sinks.iceberg.warehouse"
        )
    if status == HTTPStatus.CONFLICT:
        return ConflictError(f"{start}another writer has changed it{more}; run again")
    if status in PASSING:
        return UnclearError(f"{start}it answers {status}{more}; {LATER}")
    return SinkError(
        f"{start}it answers {status}{more}; correct the settings of [sinks.iceberg], or run again"
    )


def unanswered(error: Exception, *, catalog: str, doing: str, token: str) -> UnclearError:
    """The error for a request without an answer."""
    reason = on_one_line(str(error).replace(token, "***"))[:SHOWN] or type(error).__name__
    return UnclearError(
        f"{catalog}: cannot {doing}: it does not answer ({reason}); check the network and "
        f"sinks.iceberg.catalog, and {LATER}"
    )


def too_long(*, catalog: str, doing: str, longest: int) -> SinkError:
    """The error for an answer of more than *longest* bytes."""
    return SinkError(
        f"{catalog}: cannot {doing}: the answer has more than {longest // 1_000_000} MB; correct "
        "sinks.iceberg.catalog, or drop the table if its metadata has grown that large"
    )


def not_iceberg(*, catalog: str, doing: str) -> ConfigError:
    """The error for an answer that does not follow the Iceberg REST specification."""
    return ConfigError(
        f"{catalog}: cannot {doing}: the answer is not that of an Iceberg REST catalog; correct "
        "sinks.iceberg.catalog"
    )


def _message(text: str, token: str) -> str:
    try:
        found = json.loads(text)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return ""
    return on_one_line(str(found).replace(token, "***"))[:SHOWN]
