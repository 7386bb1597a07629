"""Errors of the emulated OVHcloud Public Cloud, with the codes and messages of the real one."""

from __future__ import annotations

from collections.abc import Mapping

from materia_testing.emulation.exchange import Answer


def refusal(status: int, kind: str, message: str, code: str | None = None) -> Answer:
    """An error as the API words it."""
    body = {"class": f"Client::{kind}", "message": message}
    return Answer(status=status, body={**body, "errorCode": code} if code else body)


ERRORS: Mapping[str, Answer] = {
    "sold_out": refusal(409, "Conflict", "No more stock for this flavor in this region"),
    "quota": refusal(403, "Forbidden", "Quota exceeded for instances: 20 of 20 used"),
    "no_host": refusal(500, "Internal", "No valid host was found"),
    "rate_limit": refusal(429, "TooManyRequests", "Too many requests, please retry later"),
    "unauthorized": refusal(403, "Forbidden", "This credential does not exist", "NOT_CREDENTIAL"),
    "forbidden": refusal(403, "Forbidden", "This call has not been granted", "NOT_GRANTED_CALL"),
    "invalid_key": refusal(403, "Forbidden", "This application key is invalid", "INVALID_KEY"),
    "invalid_credential": refusal(
        403, "Forbidden", "This credential is not valid", "INVALID_CREDENTIAL"
    ),
    "invalid_signature": refusal(400, "BadRequest", "Invalid signature", "INVALID_SIGNATURE"),
    "out_of_time": refusal(400, "BadRequest", "Query out of time", "QUERY_TIME_OUT"),
    "not_found": refusal(404, "NotFound", "The requested object does not exist"),
    "bad_parameters": refusal(400, "BadParameters", "Invalid parameter"),
    "conflict": refusal(409, "Conflict", "Another operation is in progress"),
    "expired": refusal(460, "Expired", "This service is expired"),
    "server_error": refusal(500, "Internal", "Internal server error"),
    "unavailable": refusal(503, "Unavailable", "Service is unavailable"),
}
