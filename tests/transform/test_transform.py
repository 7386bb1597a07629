"""What a transform does to the database, to the console and to the folders it reads."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest
from fakes.psd import WHEAT, balance, balances, csv_text, zip_text
from fakes.releases import Releases
from fakes.sqlmesh_builds import killed_behind
from materia.errors import StageError
from materia_runner.worker.sqlmesh.build import TransformReport, TransformRequest, transform
from materia_runner.worker.sqlmesh.fingerprint import models_fingerprint

Ask = Callable[[str], list[tuple[object, ...]]]
Build = Callable[..., TransformReport]
Projects = tuple[Path, Path]
SERVED = ("dim_commodity", "dim_country", "fct_balance", "agg_world_balance")


def test_the_view_that_an_older_loader_made_gives_way_to_the_model_of_its_name(
    releases: Releases, build: Build, projects: Projects, ask: Ask
) -> None:
    releases.publish("2025-11", balances("2025-11"))
    releases.load()
    with duckdb.connect(str(releases.database)) as connection:
        connection.execute("CREATE VIEW raw.psd_current AS SELECT 'older' AS maker")

    build(projects[1:])

    assert ask("FROM raw.psd_value SELECT count(*)") == ask(
        "FROM raw.psd_current SELECT count(value)"
    )


def test_a_first_build_says_what_it_built_and_prints_nothing(
    releases: Releases,
    own_projects: Projects,
    capfd: pytest.CaptureFixture[str],
) -> None:
    releases.publish("2025-11", balances("2025-11"))
    affected = releases.load().affected
    steps: list[tuple[str, int, int]] = []
    files = sorted(path for folder in own_projects for path in folder.rglob("*"))
    report = transform(
        TransformRequest(
            database=releases.database,
            projects=own_projects,
            affected=affected,
            progress=lambda name, done, total: steps.append((name, done, total)),
        )
    )

    assert {f"serving.{name}" for name in SERVED} < set(report.tables)
    models = [(done, total) for _, done, total in steps if total]
    assert report.models == len(report.tables) == len(models)
    assert models == [(number + 1, len(models)) for number in range(len(models))]
    assert report.tests >= len(report.tables)
    assert report.audits > report.models
    assert capfd.readouterr() == ("", "")
    assert sorted(path for folder in own_projects for path in folder.rglob("*")) == files


def test_nothing_is_built_again_when_nothing_changed(build: Build, built: TransformReport) -> None:
    assert built.models > 0
    assert build(affected=()).models == 0


def test_a_copy_under_any_name_is_read_by_plain_duckdb(
    releases: Releases, built: TransformReport, tmp_path: Path
) -> None:
    tables = built.tables
    copy = tmp_path / "quarter report.db"
    shutil.copyfile(releases.database, copy)

    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{copy}' AS another (READ_ONLY)")
        for table in tables:
            connection.execute(f"SELECT * FROM another.{table} LIMIT 1")
        described = connection.execute(
            "SELECT count(*), count(comment) FROM duckdb_columns() WHERE database_name = 'another' "
            "AND schema_name || '.' || table_name IN (SELECT unnest(?))",
            [list(tables)],
        ).fetchone()
    assert described is not None
    assert described[0] == described[1] > 100


def test_a_failed_blocking_audit_names_model_audit_and_rows(
    releases: Releases, build: Build, own_projects: Projects
) -> None:
    model = own_projects[0] / "models/serving/fct_balance.sql"
    audited = model.read_text().replace(
        "    supply_equals_distribution,",
        '    ACCEPTED_RANGE("column" := production, max_v := 4),\n    supply_equals_distribution,',
    )
    model.write_text(audited)
    rows = balance(WHEAT, "US", 2023, "2025-11", {"028": 5})
    releases.publish("2025-11", [*rows, *balance(WHEAT, "CA", 2023, "2025-11", {"028": 4})])

    with pytest.raises(
        StageError,
        match=r"^serving\.fct_balance: audit accepted_range on .*production.* failed for 1 row: "
        r"commodity_code 0410000, country_code US, market_year 2023, production 5$",
    ):
        build(own_projects)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            ("  balance.crush,", "  balance.seed_to_lint_ratio AS lint,\n  balance.crush,"),
            "its SELECT has lint, which its columns (...) do not declare; add each",
        ),
        (
            ("    crush DECIMAL(18, 4),", "    crush DECIMAL(18, 4),\n    lint DECIMAL(18, 4),"),
            "its columns (...) declare lint, which its SELECT does not have; select",
        ),
    ],
)
def test_a_column_that_is_not_both_declared_and_selected_is_named_with_its_model(
    releases: Releases, build: Build, own_projects: Projects, edit: tuple[str, str], said: str
) -> None:
    model = own_projects[0] / "models/serving/fct_balance.sql"
    model.write_text(model.read_text().replace(*edit))
    releases.publish("2025-11", balances("2025-11", years=(2025,)))

    with pytest.raises(StageError, match=f"^serving.fct_balance: {re.escape(said)}"):
        build(own_projects)


def test_audits_that_only_warn_are_reported_and_stop_nothing(
    releases: Releases, build_shipped: Build
) -> None:
    figures = {"004": 50, "028": 5, "125": 5}
    rows = [
        *balance(WHEAT, "E4", 2023, "2025-11", figures),
        *balance(WHEAT, "CA", 2023, "2025-11", figures),
        *balance(WHEAT, "US", 2023, "2025-11", figures),
        *balance(WHEAT, "US", 2024, "2025-11", {**figures, "020": 99}),
    ]
    wrong = {"178": 7.0, "184": 9.0}  # total distribution and yield
    rows = [
        replace(row, value=wrong.get(row.attribute, row.value)) if row.country == "E4" else row
        for row in rows
        if (row.country, row.attribute) != ("US", "086")
    ]
    lines = csv_text(rows).splitlines(keepends=True)
    member = [
        line.replace(b'CA,"Canada"', b'FR,"France"')
        .replace(b'08,"(1000 MT)"', b'21,"(MT)"')
        .replace(b'130,"Feed Dom. Consumption"', b'999,"Unheard of"')
        if b"Canada" in line
        else line
        for line in lines
    ]
    releases.keep("2025-11", zip_text(b"".join(member)))
    warnings = build_shipped().warnings
    found = {warning.split(" found ")[0] for warning in warnings}

    pivoted = "cleaned.cln_psdalldata__commodity_pivoted: audit"
    assert found == {
        f"{pivoted} every_row_has_a_cell",
        f"{pivoted} one_unit_for_quantities",
        f"{pivoted} european_union_is_not_counted_twice",
        "serving.fct_balance: audit stocks_are_carried_over",
        "serving.fct_balance: audit supply_equals_distribution",
        "serving.fct_balance: audit not_null_non_blocking",
        "serving.obt_commodity_metrics: audit yield_agrees_with_area",
    }
    assert len(warnings) == len(found)
    row = "commodity_code 0410000, country_code {}, market_year {}"
    assert (
        "serving.fct_balance: audit stocks_are_carried_over found 1 row: "
        f"{row.format('US', 2023)}, ending_stocks 0, beginning_stocks 99"
    ) in warnings
    assert (
        f"{pivoted} one_unit_for_quantities found 1 row: {row.format('FR', 2023)}, "
        "quantity_unit_id 21, other_unit_id null, usual_unit_id 8"
    ) in warnings
    assert (
        "serving.fct_balance: audit not_null_non_blocking found 2 rows: "
        f"{row.format('US', 2023)}, total_supply null, domestic_use 5; "
        f"{row.format('US', 2024)}, total_supply null, domestic_use 5"
    ) in warnings


def test_a_changed_model_is_built_and_the_others_are_left_alone(
    build: Build, built: TransformReport, own_projects: Projects, ask: Ask
) -> None:
    model = own_projects[0] / "models/serving/dim_country.sql"
    model.write_text(model.read_text().replace("AS country,", "|| '!' AS country,"))
    unit_tests = own_projects[0] / "tests/test_serving.yaml"
    before = unit_tests.read_text()

    with pytest.raises(StageError, match=r"unit tests? of models failed\n.*test_countries"):
        build(own_projects, ())

    unit_tests.write_text(
        before.replace("country: European Union, is", "country: European Union!, is")
        .replace("country: Netherlands Antilles, is", "country: Netherlands Antilles!, is")
        .replace("country: France, is", "country: France!, is")
        .replace("country: XX, is", "country: XX!, is")
    )
    report = build(own_projects, ())

    assert 0 < report.models < 5 < built.models
    assert ("NA", "Netherlands Antilles!") in ask(
        "SELECT country_code, country FROM serving.dim_country"
    )


def test_killed_halfway_the_next_build_comes_to_the_same_result(  # noqa: PLR0917 -- of fixtures
    releases: Releases,
    build: Build,
    build_shipped: Build,
    built: TransformReport,
    projects: Projects,
    ask: Ask,
) -> None:
    assert built.models > 0
    releases.publish("2025-11", balances("2025-11", seed=1))
    affected = releases.load().affected
    killed_behind(
        "cleaned.cln_psdalldata__revision",
        database=releases.database,
        projects=projects,
        affected=affected,
    )
    build(affected=affected)
    resumed = {name: ask(f"SELECT * FROM serving.{name} ORDER BY ALL") for name in SERVED}
    revised = ask("SELECT * FROM serving.fct_revision ORDER BY ALL")
    releases.database.unlink()
    build_shipped()

    assert revised
    assert {name: ask(f"SELECT * FROM serving.{name} ORDER BY ALL") for name in SERVED} == resumed
    assert ask("SELECT * FROM serving.fct_revision ORDER BY ALL") == revised


def test_the_stamp_follows_the_files_and_not_their_place(
    own_projects: Projects, projects: Projects, tmp_path: Path
) -> None:
    before = models_fingerprint(own_projects)
    shutil.copytree(own_projects[0], tmp_path / "elsewhere")
    (own_projects[0] / ".cache").mkdir()
    (own_projects[0] / ".cache" / "model.sql").write_text("left behind")

    assert models_fingerprint((tmp_path / "elsewhere", own_projects[1])) == before
    assert models_fingerprint(own_projects) == before
    assert models_fingerprint(projects) != before

    model = own_projects[1] / "models/raw/psd_alldata.sql"
    model.rename(model.with_name("renamed.sql"))
    assert models_fingerprint(own_projects) != before


def test_neighbouring_releases_are_one_span() -> None:
    from materia_runner.worker.sqlmesh.intervals import spans

    days = [date(2025, month, 1) for month in (1, 2, 3, 7, 8, 11)]
    assert spans([*reversed(days), days[0]]) == [
        (days[0], days[2]),
        (days[3], days[4]),
        (days[5], days[5]),
    ]
