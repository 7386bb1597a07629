"""Publish to an Iceberg catalog: values, tables and publications that are refused."""

from typing import Any

import pytest
from fakes.iceberg_catalog import IcebergCatalog
from fakes.iceberg_runs import Machine, Reader, run
from materia.errors import SinkError
from materia_store.publication import quoted

TABLE = "serving.prices"
SOME = "CREATE OR REPLACE TABLE serving.prices AS SELECT range AS i FROM range({})"


@pytest.mark.parametrize(
    ("select", "message"),
    [
        (
            "'infinity'::DATE AS d",
            r"serving\.prices: cannot be published: its column d contains an inf",
        ),
        (
            "170141183460469231731687303715884105727 AS h",
            r"serving\.prices: DuckDB cannot export it to",
        ),
    ],
)
def test_a_value_that_iceberg_lacks_is_an_error_and_nothing_is_published(
    machine: Machine, reader: Reader, select: str, message: str
) -> None:
    run(machine("home"), "0", SOME.format(1), TABLE)
    with pytest.raises(SinkError, match=message):
        run(
            machine("home"),
            "1",
            f"CREATE OR REPLACE TABLE serving.prices AS SELECT {select}",
            TABLE,
        )

    assert machine("two").fingerprint() == "0"
    assert reader.rows(TABLE) == [(0,)]


def test_a_table_with_any_name_is_published_unless_no_address_can_have_it(
    machine: Machine, catalog: IcebergCatalog, reader: Reader
) -> None:
    names = ["x" * 255, "表" * 80, "a.b", "it's", 'a"b', "select", "Ünï +"]
    make = "CREATE TABLE serving.{} AS SELECT 1 AS i"
    made = [make.format(quoted(name)) for name in names]
    run(machine("one"), "1", "; ".join(made), *(f"serving.{name}" for name in names))
    for name in ("..", "a/b", "%41", "a\nb"):
        with pytest.raises(SinkError, match="catalogs cannot find a table of that name again"):
            run(machine("two"), "2", make.format(quoted(name)), f"serving.{name}")

    assert set(reader.published()) == {f"serving.{name}" for name in names}
    assert {name for space, name in catalog.tables if space == "serving"} == set(names)


@pytest.fixture
def odd(catalog: IcebergCatalog, machine: Machine) -> dict[str, Any]:
    """The metadata of a published table, for a test to change."""
    run(machine("home"), "0", SOME.format(1), TABLE)
    return catalog.tables["serving", "prices"]


def test_a_table_that_another_program_partitioned_is_refused(
    odd: dict[str, Any], machine: Machine
) -> None:
    field = {"source-id": 1, "field-id": 1000, "name": "i", "transform": "identity"}
    odd["partition-specs"] = [{"spec-id": 0, "fields": [field]}]
    with pytest.raises(SinkError, match=r"serving\.prices: was partitioned by another program"):
        run(machine("home"), "1", SOME.format(2), TABLE)


def test_a_table_in_a_newer_format_is_refused(odd: dict[str, Any], machine: Machine) -> None:
    odd["format-version"] = 3
    with pytest.raises(SinkError, match=r"serving\.prices: has the format version 3"):
        run(machine("home"), "1", SOME.format(2), TABLE)


@pytest.mark.parametrize("text", ["[]", "{}", '{"pointer": {}, "tables": [], "dropped": []}'])
def test_a_damaged_older_publication_is_an_error_and_changes_nothing(
    catalog: IcebergCatalog, machine: Machine, text: str
) -> None:
    sink = machine("one")
    for number in ("1", "2"):
        run(sink, number, SOME.format(number), TABLE)
    table = catalog.tables["publication", "run"]
    first = table["snapshots"][0]
    first["summary"]["materia.publication"] = text
    before = catalog.metadata(TABLE)

    with pytest.raises(SinkError, match="is damaged"):
        run(sink, "3", SOME.format(3), TABLE)
    assert catalog.metadata(TABLE) == before
    with pytest.raises(SinkError, match="is damaged"):
        sink.publications()


def test_a_damaged_publication_run_is_an_error(catalog: IcebergCatalog, machine: Machine) -> None:
    run(machine("home"), "0", SOME.format(1), TABLE)
    (one,) = catalog.tables["publication", "run"]["snapshots"][-1:]
    one["summary"]["materia.publication"] = "{}"
    with pytest.raises(SinkError, match=r"publication\.run of .* is damaged"):
        machine("home").fingerprint()
