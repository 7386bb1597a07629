"""Errors of the emulated Oracle Cloud, with the codes and messages of the real one."""

from __future__ import annotations

from collections.abc import Mapping

from materia_testing.emulation.exchange import Answer


def refusal(status: int, code: str, message: str) -> Answer:
    """An error in the APIs' format."""
    return Answer(status=status, body={"code": code, "message": message})


# From Oracle's "API errors" page and from reports of users.
ERRORS: Mapping[str, Answer] = {
    "sold_out": refusal(500, "InternalError", "Out of host capacity."),
    "quota": refusal(
        400,
        "LimitExceeded",
        "The following service limits were exceeded: standard-e5-core-count. Request a service "
        "limit increase from the service limits page in the console. ",
    ),
    "compartment_quota": refusal(
        400, "QuotaExceeded", "The compartment quota standard-e5-core-count was exceeded."
    ),
    "rate_limit": refusal(429, "TooManyRequests", "Too many requests for the user"),
    "unauthorized": refusal(
        401,
        "NotAuthenticated",
        "The required information to complete authentication was not provided or was incorrect.",
    ),
    "forbidden": refusal(403, "NotAllowed", "The request is not allowed for this user."),
    "not_found": refusal(
        404, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found."
    ),
    "no_shape": refusal(404, "NotAuthorizedOrNotFound", "shape VM.Standard.A1.Flex not found"),
    "conflict": refusal(409, "IncorrectState", "The resource is in an incorrect state."),
    "used_token": refusal(
        409, "InvalidatedRetryToken", "The retry token was used for another request."
    ),
    "invalid": refusal(400, "InvalidParameter", "displayName is not valid"),
    "server_error": refusal(500, "InternalServerError", "An internal server error occurred."),
    "unavailable": refusal(503, "ServiceUnavailable", "The service is unavailable."),
}
