"""What goes wrong between this machine and an Iceberg REST catalog, in materia's words.

A catalog's own message may repeat what it was sent, so the token is taken out of what is shown.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from materia.errors import BusyError, ConfigError, MateriaError, SinkError
from materia.kit.text import on_one_line

SHOWN = 200
LATER = "run again: nothing that was kept is harmed"
PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class ConflictError(BusyError):
    """A commit was refused, as something is not any more as it was when it was looked at."""


class UnclearError(SinkError):
    """There was no answer, or one that leaves open whether a commit was applied."""


def answered(status: int, text: str, *, catalog: str, doing: str, token: str) -> MateriaError:
    """The error of an answer; the names of variables and settings are those of this sink."""
    said = _message(text, token)
    more = f" ({said})" if said else ""
    start = f"{catalog}: cannot {doing}: "
    if status == HTTPStatus.UNAUTHORIZED:
        return SinkError(
            f"{start}it refuses the token{more}; set ICEBERG_TOKEN to one of this catalog"
        )
    if status == HTTPStatus.FORBIDDEN:
        return SinkError(
            f"{start}the token has not the rights{more}; it needs those to read and write the "
            "catalog and its storage"
        )
    if status == HTTPStatus.NOT_FOUND:
        return ConfigError(
            f"{start}there is no such catalog or warehouse{more}; correct sinks.iceberg.catalog "
            "and sinks.iceberg.warehouse"
        )
    if status == HTTPStatus.CONFLICT:
        return ConflictError(f"{start}another has changed it{more}; run again")
    if status in PASSING:
        return UnclearError(f"{start}it answers {status}{more}; {LATER}")
    return SinkError(
        f"{start}it answers {status}{more}; correct the settings of [sinks.iceberg], or run again"
    )


def unanswered(error: Exception, *, catalog: str, doing: str, token: str) -> UnclearError:
    """The error of a request that got no answer."""
    reason = on_one_line(str(error).replace(token, "***"))[:SHOWN] or type(error).__name__
    return UnclearError(
        f"{catalog}: cannot {doing}: it does not answer ({reason}); check the network and "
        f"sinks.iceberg.catalog, and {LATER}"
    )


def not_iceberg(*, catalog: str, doing: str) -> ConfigError:
    """The error of an answer that is in no form of the REST catalog."""
    return ConfigError(
        f"{catalog}: cannot {doing}: it answers what is not of an Iceberg REST catalog; correct "
        "sinks.iceberg.catalog"
    )


def _message(text: str, token: str) -> str:
    try:
        found = json.loads(text)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return ""
    return on_one_line(str(found).replace(token, "***"))[:SHOWN]
