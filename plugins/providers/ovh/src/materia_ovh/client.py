"""OVHcloud API client: the SDK `ovh` with credentials and validated answers."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import ovh  # type: ignore[import-untyped]  # the SDK has no types
import ovh.client  # type: ignore[import-untyped]  # as above
from materia_http.environment import check_requests
from ovh.exceptions import APIError  # type: ignore[import-untyped]  # as above

from materia_ovh.credentials import Credentials
from materia_ovh.errors import translated
from materia_ovh.settings import Settings


class Client(ovh.Client):  # type: ignore[misc]  # the SDK has no types
    """The SDK's client, but with the status kept of an answer that is not JSON."""

    def raw_call(self, *words: Any, **options: Any) -> Any:
        """The answer, if it is JSON that the SDK can read."""
        answer = super().raw_call(*words, **options)
        if answer.status_code != 204:
            try:
                body = answer.json()
            except ValueError as error:
                raise APIError("the answer is not JSON", response=answer) from error
            if answer.status_code >= 300 and not isinstance(body, dict):
                raise APIError("no reason given", response=answer)
            if answer.status_code == 400 and "out of time" in str(body.get("message")).lower():
                # The SDK reads the service's time once, and keeps any answer for ever.
                self._time_delta = None
        return answer


def open_client(
    credentials: Credentials, settings: Settings, *, request_timeout: timedelta
) -> ovh.Client:
    """The SDK's client.

    It accepts no URL, only names of a table, so this adds our URL under itself. No section of an
    ovh.conf has that name, so the SDK reads nothing from there.

    Raises:
        VariableError: a variable for proxies or certificates cannot be used.
    """
    check_requests(settings.api_url, os.environ)
    ovh.client.ENDPOINTS.setdefault(settings.api_url, settings.api_url)
    with translated("open the API"):
        return Client(
            endpoint=settings.api_url,
            application_key=credentials.application_key,
            application_secret=credentials.application_secret,
            consumer_key=credentials.consumer_key,
            timeout=request_timeout.total_seconds(),
        )
