"""Hetzner API client: the SDK `hcloud` with a request timeout and retries."""

from __future__ import annotations

import os
from datetime import timedelta
from importlib.metadata import version

import hcloud
from materia_http.environment import check_requests

from materia_hetzner.settings import Settings


def open_client(
    token: str, settings: Settings, *, request_timeout: timedelta, first_retry: timedelta
) -> hcloud.Client:
    """The SDK's client, with a request timeout and a chosen first retry pause.

    Raises:
        VariableError: a variable for proxies or certificates cannot be used.
    """
    check_requests(settings.api_url, os.environ)
    client = hcloud.Client(
        token=token,
        api_endpoint=settings.api_url,
        application_name="materia",
        application_version=version("materia-hetzner"),
        timeout=request_timeout.total_seconds(),
    )
    # The SDK has no argument for the retry pause; a test fails when this attribute is gone.
    base = first_retry.total_seconds()
    client._client._retry_interval_func = lambda retries: base * 2**retries  # noqa: SLF001 -- see above
    return client
