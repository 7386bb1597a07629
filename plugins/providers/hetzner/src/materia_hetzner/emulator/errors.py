"""Errors of the emulated Hetzner Cloud, with the codes and messages of the real one."""

from __future__ import annotations

from collections.abc import Mapping

from materia_testing.emulation.exchange import Answer


def refusal(status: int, code: str, message: str, details: object = None) -> Answer:
    """An error as the API words it."""
    return Answer(
        status=status, body={"error": {"code": code, "message": message, "details": details}}
    )


ERRORS: Mapping[str, Answer] = {
    "sold_out": refusal(412, "resource_unavailable", "error during placement"),
    "quota": refusal(403, "resource_limit_exceeded", "server limit exceeded"),
    "address_quota": refusal(403, "resource_limit_exceeded", "Primary IP limit exceeded"),
    "unsupported_location": refusal(422, "invalid_input", "unsupported location for server type"),
    "placement": refusal(422, "placement_error", "Placement Error"),
    "rate_limit": refusal(429, "rate_limit_exceeded", "limit of 3600 requests per hour reached"),
    "unauthorized": refusal(401, "unauthorized", "unable to authenticate"),
    "forbidden": refusal(403, "forbidden", "insufficient permissions for this request"),
    "read_only": refusal(403, "token_readonly", "only GET requests are allowed by this token"),
    "not_found": refusal(404, "not_found", "resource not found"),
    "conflict": refusal(409, "conflict", "conflict detected, try again"),
    "name_taken": refusal(409, "uniqueness_error", "server name is already used"),
    "not_stopped": refusal(422, "server_not_stopped", "server must be stopped"),
    "locked": refusal(423, "locked", "server is locked"),
    "protected": refusal(403, "protected", "server deletion is protected"),
    "invalid": refusal(422, "invalid_input", "invalid input in field 'name'"),
    "removed": refusal(410, "deprecated_api_endpoint", "this endpoint was removed"),
    "maintenance": refusal(503, "maintenance", "the service is in maintenance"),
    "unavailable": refusal(503, "unavailable", "the service is not available"),
    "server_error": refusal(500, "server_error", "an internal error occurred"),
    "service_error": refusal(500, "service_error", "a service failed"),
}
