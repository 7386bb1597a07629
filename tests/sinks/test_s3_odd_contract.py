from collections.abc import Iterator, Mapping

import pytest
from fakes.odd_store import Habits, OddStore
from fakes.patience import APART
from fakes.s3 import KEY, SECRET
from materia_testing.contracts.sink import SinkContract
from materia_testing.contracts.sinks.care import Stored

HABITS = Habits(
    apart=APART.total_seconds(),
    page=1,
    listing=frozenset({"strangers", "sizes", "twice", "no etags", "ancient"}),
    deletes=501,
    bare_etags=True,
)


class TestS3SinkAtAnOddStore(SinkContract):
    module = "fakes.s3_quick"
    package = "materia_s3 materia_store.bucket"
    plugin = "s3"

    @pytest.fixture
    def odd(self) -> Iterator[OddStore]:
        store = OddStore(HABITS)
        yield store
        store.close()

    @pytest.fixture
    def settings(self, odd: OddStore) -> Mapping[str, object]:
        return {"bucket": "s3://acme/some/where", "endpoint": odd.endpoint}

    @pytest.fixture
    def stored(self, odd: OddStore) -> Stored:
        return lambda: [one.content for one in odd.state.objects.values()]

    @pytest.fixture
    def secrets(self) -> Mapping[str, str]:
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
