"""`materia tables export`: Parquet, CSV and Excel files, whole or not at all."""

from __future__ import annotations

import json
import zipfile
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest
from fakes.workshop import Workshop
from materia.errors import ConfigError, SinkError
from materia_runner.tables.export import export_table

needs_xlsx = pytest.mark.skipif(find_spec("xlsxwriter") is None, reason="needs the extra xlsx")


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_file_has_the_rows_and_the_codes_of_the_table(
    database: Path, tmp_path: Path, ending: str
) -> None:
    file = tmp_path / f"it's.{ending}"
    file.write_text("of yesterday")

    assert export_table(database, "serving.fct_crop", file) == 2
    text = {"parquet": "", "csv": ", types = {'code': 'VARCHAR'}"}[ending]
    reader = {"parquet": "read_parquet", "csv": "read_csv"}[ending]
    found = duckdb.execute(f"SELECT code, tonnes FROM {reader}($1{text})", [str(file)]).fetchall()
    assert [(code, float(tonnes)) for code, tonnes in found] == [
        ("0410000", 12.5),
        ("0440000", 99999999999999.99),
    ]


@pytest.mark.parametrize(
    ("table", "file", "said"),
    [
        ("serving.fct_crops", "a.csv", "did you mean 'serving.fct_crop'"),
        ("fct_crop", "a.csv", "did you mean serving.fct_crop"),
        ("Serving.FCT_CROP", "a.csv", "did you mean serving.fct_crop"),
        ('serving.fct_crop"; DROP TABLE serving.large; --', "a.csv", "no table"),
        ("serving.fct_crop", "a.txt", "must end in .parquet, .csv or .xlsx"),
        ("serving.fct_crop", "no/a.csv", "no such folder"),
        ("serving.fct_crop", "folder.csv", "is a folder"),
    ],
)
def test_a_wrong_name_is_an_error_that_says_what_to_write(
    database: Path, tmp_path: Path, table: str, file: str, said: str
) -> None:
    (tmp_path / "folder.csv").mkdir()

    with pytest.raises(ConfigError, match=said):
        export_table(database, table, tmp_path / file)


def test_a_view_that_reads_a_file_exports_nothing_and_keeps_the_old_file(
    database: Path, tmp_path: Path
) -> None:
    file = tmp_path / "spy.csv"
    file.write_text("of yesterday")

    with pytest.raises(SinkError, match="cannot be read"):
        export_table(database, "serving.spy", file)
    assert file.read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "spy.csv"]


def test_a_file_is_never_the_database_itself(database: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.parquet"
    link.symlink_to(database)

    with pytest.raises(ConfigError, match="is the database itself"):
        export_table(database, "serving.fct_crop", link)


def test_a_full_disk_leaves_the_old_file(database: Path) -> None:
    with pytest.raises(SinkError, match="cannot be written"):
        export_table(database, "serving.fct_crop", Path("/proc/crop.csv"))


def test_the_command_prints_rows_and_file(desk: Workshop) -> None:
    done = desk.run("tables", "export", "serving.fct_crop", "crop.parquet")
    machine = desk.run("tables", "export", "serving.fct_crop", "crop.csv", "--json")

    assert done.stdout == "serving.fct_crop: 2 rows written to crop.parquet\n"
    assert json.loads(machine.stdout) == {
        "table": "serving.fct_crop",
        "file": str(desk.directory / "crop.csv"),
        "rows": 2,
    }


@needs_xlsx
def test_a_sheet_keeps_codes_and_formulas_as_text(database: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE serving.fct_crop SET share = 2 WHERE isnan(share)")
        connection.execute("UPDATE serving.fct_crop SET tonnes = 7 WHERE code = '0440000'")
    file = tmp_path / "crop.xlsx"

    assert export_table(database, "serving.fct_crop", file) == 2
    with zipfile.ZipFile(file) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<t>0410000</t>" in sheet
    assert "<t>=1+1</t>" in sheet
    assert "<f>" not in sheet
    assert "<v>12.50</v>" in sheet


@needs_xlsx
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1234567890123456", "more than 15 digits"),
        ("'NaN'::DOUBLE", "no number of a sheet"),
        ("DATE '1899-12-31'", "is before 1900-03-01"),
        ("repeat('x', 32768)", "32,768 characters"),
    ],
)
def test_a_sheet_refuses_what_it_cannot_hold(
    database: Path, tmp_path: Path, value: str, said: str
) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"CREATE VIEW serving.odd AS SELECT {value} AS odd")
    file = tmp_path / "odd.xlsx"

    with pytest.raises(SinkError, match=f"serving.odd, row 1, column odd: .*{said}"):
        export_table(database, "serving.odd", file)
    assert not file.exists()


@needs_xlsx
def test_a_sheet_refuses_more_rows_than_it_has(database: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE VIEW serving.long AS SELECT range FROM range(1048576)")

    with pytest.raises(SinkError, match="1,048,576 rows; a sheet holds 1,048,575"):
        export_table(database, "serving.long", tmp_path / "long.xlsx")
