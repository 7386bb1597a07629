"""Publish to a real catalog of Cloudflare R2: `pytest --live`, needs an account.

`MATERIA_R2_ACCOUNT` and `MATERIA_R2_BUCKET` name a bucket with its catalog enabled; the two secrets
are those of the sink. The tests create their own namespaces, and drop their tables again.
"""

import os
import secrets
from pathlib import Path

import duckdb
import pytest
from materia.data import PublishRequest
from materia.errors import BusyError
from materia_iceberg import SECRETS, materia_sinks
from materia_iceberg.catalog.client import Catalog
from materia_iceberg.catalog.table_state import RUN, TableName
from materia_iceberg.settings import Settings, read_settings
from materia_iceberg.sink import IcebergSink

VARIABLES = ("MATERIA_R2_ACCOUNT", "MATERIA_R2_BUCKET", *SECRETS)
TABLE = "serving.prices"
pytestmark = pytest.mark.live


@pytest.fixture
def settings() -> Settings:
    if missing := [name for name in VARIABLES if not os.environ.get(name)]:
        pytest.skip(f"not set: {', '.join(missing)}")
    account, bucket, token, key = (os.environ[name] for name in VARIABLES)
    (plugin,) = materia_sinks()
    given = {one.name: one.default for one in plugin.settings}
    prefix = f"materia_live_{secrets.token_hex(4)}"
    given |= {"account": account, "bucket": f"s3://{bucket}/{prefix}"}
    return read_settings({**given, "namespace_prefix": f"{prefix}_"}, token=token, key=key)


def build(sink: IcebergSink, rows: int) -> Path:
    database = sink.checkout()
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS serving")
        connection.execute(f"CREATE OR REPLACE TABLE {TABLE} AS SELECT range FROM range({rows})")
    return database


def test_runs_are_published_to_a_real_catalog(settings: Settings, tmp_path: Path) -> None:
    def request(run: str, database: Path) -> PublishRequest:
        return PublishRequest(
            run=run, database=database, tables=(TABLE,), fingerprint=f"live:{run}"
        )

    catalog = Catalog(settings)
    names = [TableName.of(name, settings.prefix) for name in (TABLE, "publication.run")]
    try:
        one, two = (IcebergSink(settings, cache=tmp_path / name) for name in ("one", "two"))
        assert one.fingerprint() is None
        one.publish(request("1", build(one, 3)))
        overtaken = build(two, 4)
        one.publish(request("2", build(one, 5)))
        with pytest.raises(BusyError):
            two.publish(request("3", overtaken))

        assert two.fingerprint() == "live:2"
        state = catalog.load(names[0])
        assert state is not None
        assert [one["summary"][RUN] for one in state.snapshots.values()] == ["1", "2"]
    finally:
        for name in names:
            catalog.drop(name)
