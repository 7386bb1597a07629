from collections.abc import Iterator

import pytest
from acme_server import AcmeServer, acme_server
from materia_testing.contracts.source import SourceContract


class TestAcmeSource(SourceContract):
    module = "materia_acme"
    plugin = "acme"

    @pytest.fixture
    def world(self) -> Iterator[AcmeServer]:
        with acme_server() as world:
            yield world
