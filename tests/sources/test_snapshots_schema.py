"""Columns and types that appear, vanish or change: refused, asked about, or taken."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.snapshot_files import PRICES, Shelf, with_
from materia.data import Fetched, Known, Refused, Unchanged
from materia.errors import ConfigError
from materia.hookspecs import Opening
from materia.kit.files import sha256_of
from materia_snapshots import Column, JsonLines
from materia_snapshots.loading.models import project_files

EVOLVES = with_(PRICES, schema="evolve")
ASKS = with_(PRICES, schema="ask")
PLAIN = "item,price\nnails,1.00\n"
MORE = "item,Unit Name,price\nnails,kg,1.00\n"
EVERY = "SELECT * FROM raw.prices_row ORDER BY partition, item"


def test_a_new_column_is_text(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, EVOLVES)
    shelf.put("2026-01", PLAIN)
    shelf.put("2026-02", MORE)
    shelf.load()

    assert shelf.rows("SELECT partition, unit_name FROM raw.prices_row ORDER BY 1") == [
        ("2026-01", None),
        ("2026-02", "kg"),
    ]


def test_a_new_column_of_releases_goes_with_the_last_one_that_has_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, with_(EVOLVES, each="release"))
    shelf.put("2026-01", MORE)
    shelf.load()
    shelf.put("2026-01", PLAIN)
    shelf.load()

    assert [len(row) for row in shelf.rows("SELECT * FROM raw.prices_row")] == [2]


def test_a_column_stays_while_the_history_has_its_values(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, EVOLVES)
    shelf.put("2026-01", MORE)
    shelf.load()
    ((before,),) = shelf.rows("SELECT max(seen)::VARCHAR FROM raw.prices_file")
    shelf.put("2026-01", PLAIN)
    shelf.load()

    assert shelf.rows(f"SELECT item, unit_name FROM prices_as_of('{before}')") == [("nails", "kg")]
    assert shelf.rows("SELECT item, unit_name FROM raw.prices_row") == [("nails", None)]


NAMES = ("row", "day", "wanted", "file", "first", "text", "known", "price_text", "seen")


@pytest.mark.parametrize("each", ["slice", "release"])
def test_whatever_name_a_new_column_has_its_values_are_those_of_the_file(
    each: str, tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path, with_(EVOLVES, each=each))
    shelf.put("2026-01", f"item,price,{','.join(NAMES)}\nnails,cheap,{','.join(NAMES)}\n")
    assert shelf.load().refused == {}
    place = "2026-01" if each == "release" else "2999-01-01"
    columns = ", ".join(f'"{name}"' for name in NAMES[:7])
    rows = shelf.rows(f"SELECT {columns}, price_text, price_text_2 FROM prices_as_of('{place}')")

    assert rows == [(*NAMES[:7], "cheap", "price_text")]


@pytest.mark.parametrize("each", ["slice", "release"])
def test_whatever_name_a_column_is_declared_with_its_values_are_those_of_the_file(
    each: str, tmp_path: Path
) -> None:
    names = NAMES[:7]
    columns = {"item": "TEXT", **dict.fromkeys(names, "TEXT")}
    shelf = Shelf(tmp_path, with_(PRICES, each=each, columns=columns))
    content = f"item,{','.join(names)}\nnails,{','.join(names)}\n"
    shelf.put("2026-01", content)
    shelf.load()
    shelf.put("2026-02", content)
    shelf.drop("2026-01")
    shelf.load()
    place = "2026-02" if each == "release" else "2999-01-01"
    chosen = ", ".join(f'"{name}"' for name in names)

    assert shelf.rows(f"SELECT {chosen} FROM prices_as_of('{place}')") == [names]
    assert shelf.rows(f"SELECT {chosen} FROM raw.prices_row") == [names]


def test_a_missing_column_is_empty(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, EVOLVES)
    shelf.put("2026-01", "item\nnails\n")
    shelf.load()

    assert shelf.rows("SELECT item, price FROM raw.prices_row") == [("nails", None)]


def test_a_value_of_another_type_is_kept_as_text_beside_its_column(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, EVOLVES)
    shelf.put("2026-01", "item,price\nnails,1.00\nscrews,about 2\n")
    shelf.load()

    assert shelf.rows("SELECT item, price::VARCHAR, price_text FROM raw.prices_row ORDER BY 1") == [
        ("nails", "1.00", None),
        ("screws", None, "about 2"),
    ]


def test_a_new_column_comes_with_a_word_on_where_it_is_until_it_is_published(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path, EVOLVES)
    shelf.put("2026-01", PLAIN)
    shelf.put("2026-02", "item,Unit Name,price\nnails,kg,cheap\n")
    shelf.put("2026-03", MORE)
    first, again = shelf.load(), shelf.load()
    published = shelf.load(published=Path(shutil.copy(shelf.database, tmp_path / "published")))

    place = (
        "raw.prices_row has them as texts in {0}, and staging.stg_prices in undeclared ->> '{0}'"
    )
    new = place.format("unit_name")
    assert first.remarks == {
        "2026-02": [
            f"has values of price that are no DECIMAL(18, 2): {place.format('price_text')}",
            f"has the column unit_name, which is not declared: until it is, {new}",
        ]
    }
    assert again.remarks == first.remarks
    assert published.remarks == {}


@pytest.mark.parametrize("each", ["slice", "release"])
def test_the_generated_model_has_what_is_not_declared_in_one_column(
    each: str, tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path, with_(EVOLVES, each=each))
    shelf.put("2026-01", PLAIN)
    shelf.load()
    _, _, model = project_files(shelf.declared).values()
    select = model.partition(");\n\n")[2]
    before = shelf.rows(select)
    shelf.put("2026-02", 'item,"Unit\'s ""Name""",price\nnails,kg,1\nscrews,,cheap\n')
    shelf.load()

    assert [row[-1] for row in before] == [None]
    assert [row[-1] for row in sorted(shelf.rows(select), key=str)[-2:]] == [
        '{"price_text":null,"unit_s_name":"kg"}',
        '{"price_text":"cheap","unit_s_name":null}',
    ]
    shelf.declared = with_(PRICES, each=each)
    shelf.drop("2026-02")
    shelf.load()
    views = shelf.rows("SELECT view_name FROM duckdb_views() WHERE schema_name = 'raw'")
    assert views == [("prices_history",)]


def test_releases_evolve_too_and_keep_their_history(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, with_(EVOLVES, each="release"))
    shelf.put("2026-02", MORE)
    shelf.put("2026-01", PLAIN)
    shelf.put("2026-03", "item,price\nnails,cheap\n")
    shelf.load()

    assert [shelf.rows(f"SELECT * FROM prices_as_of('2026-0{month}')") for month in (1, 2, 3)] == [
        [("nails", pytest.approx(1), None, None)],
        [("nails", pytest.approx(1), None, "kg")],
        [("nails", None, "cheap", None)],
    ]


def test_a_file_without_a_key_column_is_refused_whatever_the_contract(tmp_path: Path) -> None:
    result = Shelf(tmp_path, EVOLVES).put("2026-01", "price\n1\n")

    assert isinstance(result, Refused)
    assert "lacks the key column item" in result.reason


def test_an_ignored_column_is_neither_new_nor_read(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, with_(PRICES, ignore=("unit name",)))
    shelf.put("2026-01", MORE)

    assert shelf.load().refused == {}
    assert len(shelf.rows(EVERY)[0]) == 4


def test_a_column_may_have_another_name_in_some_files(tmp_path: Path) -> None:
    price = Column(type="DECIMAL(18, 2)", header=("price", "Price, euros"))
    shelf = Shelf(tmp_path, with_(PRICES, columns={"item": "TEXT", "price": price}))
    shelf.put("2026-01", PLAIN)
    shelf.put("2026-02", 'item,"Price, euros"\nnails,2.00\n')
    both = shelf.put("2026-03", 'item,price,"Price, euros"\nnails,1.00,2.00\n')

    assert shelf.load().refused == {}
    assert shelf.rows("SELECT price::VARCHAR FROM raw.prices_row ORDER BY 1") == [
        ("1.00",),
        ("2.00",),
    ]
    assert isinstance(both, Refused)
    assert "has two columns for price" in both.reason


def test_a_changed_file_asks_with_the_setting_that_accepts_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, ASKS)
    result = shelf.put("2026-01", "item,Unit Name\nnails,kg\n")

    assert isinstance(result, Refused)
    assert result.reason.startswith(
        "has also the column Unit Name and lacks the column price; expected the columns "
        'item,price; to load it all the same, set sources.prices.accept = ["Unit Name", "price"] '
        "in materia.toml"
    )


def test_once_accepted_the_file_in_quarantine_is_fetched_again_and_loaded(tmp_path: Path) -> None:
    refused = Shelf(tmp_path, ASKS).put("2026-01", MORE)
    assert isinstance(refused, Refused)
    known = Known(
        url=f"{(tmp_path / 'files').as_uri()}/2026-01.csv",
        checked_at=datetime.now(UTC),
        refused=refused.reason,
        refused_sha256=refused.sha256,
        etag=refused.etag,
        last_modified=refused.last_modified,
    )
    shelf = Shelf(tmp_path, ASKS, accept=("Unit Name",))

    assert isinstance(shelf.fetch("2026-01", known), Fetched)
    assert shelf.load().refused == {}
    assert shelf.rows("SELECT unit_name FROM raw.prices_row") == [("kg",)]
    other = replace(known, refused="is an HTML page")
    assert not isinstance(shelf.fetch("2026-01", other), Fetched), "nothing new to ask about"


@pytest.mark.parametrize("content", ["item,cost\nnails,1.00\n", "item,price\nnails,one\n"])
def test_a_refused_file_is_asked_for_again_once_the_declaration_is_another(
    content: str, tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path, PRICES)
    result = shelf.put("2026-01", content)
    reason = result.reason if isinstance(result, Refused) else shelf.load().refused["2026-01"]
    path = tmp_path / "files/2026-01.csv"
    state = path.stat()
    known = Known(
        url=path.as_uri(),
        checked_at=datetime.now(UTC),
        refused=reason,
        refused_sha256=sha256_of(path),
        etag=f'"{state.st_mtime_ns:x}:{state.st_size:x}"',
    )
    assert isinstance(shelf.fetch("2026-01", known), Unchanged)
    shelf.declared = with_(
        PRICES, columns={"item": "TEXT", "price": Column(type="TEXT", header=("price", "cost"))}
    )

    assert isinstance(shelf.fetch("2026-01", known), Fetched)
    assert shelf.load().refused == {}


def test_a_form_whose_columns_only_load_sees_asks_there(tmp_path: Path) -> None:
    lines = '{"item": "nails", "price": 1.00, "unit": "kg"}\n'
    shelf = Shelf(tmp_path, with_(ASKS, form=JsonLines()))
    shelf.put("2026-01", lines)
    said = shelf.load().refused["2026-01"]
    accepting = Shelf(tmp_path, with_(ASKS, form=JsonLines()), accept=("unit",))
    accepting.raw = shelf.raw

    assert 'set sources.prices.accept = ["unit"]' in said
    assert accepting.load().refused == {}
    assert shelf.rows("SELECT unit FROM raw.prices_row") == [("kg",)]


WRONG = {
    "ftp://prices.example": "an http:, https: or file: address, or a folder",
    "https://me:secret@prices.example": "must contain no user name and no password",
    "https://prices.example?key=secret": "must be without ? and what follows",
    "https://": "an address such as https://host/folder",
    "nowhere": "a folder that exists",
}


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_address_is_an_error_with_its_key(url: str, tmp_path: Path) -> None:
    check = PRICES.plugin().check
    assert check is not None
    with pytest.raises(ConfigError, match=r"sources\.prices\.url") as raised:
        check(Opening(secrets={}, settings={"url": url, "since": "2026-01"}, directory=tmp_path))

    assert WRONG[url] in str(raised.value)
    assert "secret" not in str(raised.value)


def test_all_wrong_settings_are_reported_at_once(tmp_path: Path) -> None:
    check = PRICES.plugin().check
    assert check is not None
    settings = {"url": "nowhere", "since": "January"}
    with pytest.raises(ConfigError) as raised:
        check(Opening(secrets={}, settings=settings, directory=tmp_path))

    assert "sources.prices.url" in str(raised.value)
    assert "sources.prices.since must be a month such as 2024-01, is 'January'" in str(raised.value)
