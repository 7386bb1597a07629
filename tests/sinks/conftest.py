from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.s3 import S3Server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One store for all tests of a process; each makes its own bucket in it."""
    server = S3Server()
    yield server
    server.close()
