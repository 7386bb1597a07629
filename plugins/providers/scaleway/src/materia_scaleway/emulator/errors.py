"""Errors of the emulated Scaleway, with the types and messages of the real one."""

from __future__ import annotations

from collections.abc import Mapping

from materia_testing.emulation.exchange import Answer


def refusal(status: int, kind: str, message: str, **more: object) -> Answer:
    """An error in the APIs' format."""
    return Answer(status=status, body={"type": kind, "message": message, **more})


def invalid(argument: str, reason: str, help_message: str) -> Answer:
    """400 for one argument."""
    detail = {"argument_name": argument, "reason": reason, "help_message": help_message}
    return refusal(400, "invalid_arguments", "invalid argument(s)", details=[detail])


# The answer of the gateway to a zone that does not exist, before any API sees it, without a type;
# recorded in scaleway/scaleway-cli#4378, 2024-12-23.
UNKNOWN_ZONE = Answer(status=400, body={"message": "Unknown zone in path"})
# No recording of out_of_stock and 429 exists; the texts are from Scaleway's Go SDK.
ERRORS: Mapping[str, Answer] = {
    "sold_out": refusal(
        503, "out_of_stock", "the requested resource is out of stock", resource="instance"
    ),
    "quota": refusal(
        403,
        "quotas_exceeded",
        "quota(s) exceeded for this resource",
        details=[{"resource": "instance_server", "quota": 1, "current": 1}],
    ),
    "older_quota": refusal(403, "invalid_request_error", "Quota exceeded for this resource."),
    "rate_limit": refusal(429, "too_many_requests", "too many requests"),
    "unauthorized": refusal(
        401,
        "denied_authentication",
        "authentication is denied",
        method="api_key",
        reason="not_found",
    ),
    "forbidden": refusal(
        403,
        "permissions_denied",
        "insufficient permissions",
        details=[{"action": "write", "resource": "compute_server"}],
    ),
    "not_found": refusal(404, "not_found", "resource is not found", resource="instance_server"),
    "conflict": refusal(
        409,
        "transient_state",
        "resource is in a transient state",
        resource="instance_server",
        current_state="starting",
    ),
    "precondition": refusal(
        412,
        "precondition_failed",
        "precondition is not respected",
        precondition="resource_still_in_use",
        help_message="the resource is in use",
    ),
    "invalid": invalid("name", "constraint", "not a valid value"),
    "server_error": refusal(500, "internal_error", "internal server error"),
}
