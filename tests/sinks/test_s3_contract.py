from collections.abc import Mapping

import pytest
from fakes.s3 import KEY, SECRET, S3Server
from materia_testing.contracts.sink import SinkContract
from materia_testing.contracts.sinks.care import Stored


class TestS3Sink(SinkContract):
    module = "fakes.s3_quick"  # materia_s3, and no second between two writes to one name
    package = "materia_s3 materia_store.bucket"
    plugin = "s3"

    @pytest.fixture
    def settings(self, s3_server: S3Server, bucket: str) -> Mapping[str, object]:
        return {"bucket": f"s3://{bucket}/some/where", "endpoint": s3_server.endpoint}

    @pytest.fixture
    def secrets(self) -> Mapping[str, str]:
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    @pytest.fixture
    def stored(self, s3_server: S3Server, bucket: str) -> Stored:
        return lambda: s3_server.contents(bucket)
