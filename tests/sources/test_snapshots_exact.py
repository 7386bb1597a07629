"""Numbers keep every digit on their way from JSON into a table: no float is in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fakes.readings import GaugeApi, gauge_api
from fakes.readings import source as declared
from fakes.snapshot_files import NOW, PRICES, Shelf, with_
from hypothesis import given
from hypothesis import strategies as st
from materia.data import Fetched, FetchRequest, PartitionsRequest
from materia.errors import SourceError
from materia.hookspecs import Opening
from materia_snapshots import Api, JsonLines, Page, Pages
from materia_snapshots.exact_numbers import exact, whole_lines

PRICE = "SELECT price::VARCHAR FROM raw.prices_row ORDER BY item"
LONG = "12345678901234567890.123456789012345678"
EXACT = with_(PRICES, form=JsonLines(), columns={"item": "TEXT", "price": "DECIMAL(38, 18)"})


def test_a_number_of_more_digits_than_a_float_holds_is_loaded_exactly(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, EXACT)
    lines = (f'{{"item": "a", "price": {LONG}}}', '{"item": "b", "price": -1.5e-7}')
    shelf.put("2026-01", "\n".join(lines))

    assert shelf.load().refused == {}
    assert shelf.rows(PRICE) == [(LONG,), ("-0.000000150000000000",)]


@pytest.mark.parametrize("kind", ["TEXT", "DOUBLE"])
def test_a_column_of_another_type_has_the_number_as_it_was_written(
    kind: str, tmp_path: Path
) -> None:
    columns = {"item": "TEXT", "price": kind}
    shelf = Shelf(tmp_path, with_(EXACT, columns=columns))
    shelf.put("2026-01", '{"item": "a, 1.50", "price": 1.50}\n{"item": "b", "price": 0.1}\n')
    shelf.load()

    assert shelf.rows(PRICE) == [("1.50" if kind == "TEXT" else "1.5",), ("0.1",)]
    assert shelf.rows("SELECT max(item) FROM raw.prices_row WHERE item > 'a,'") == [("b",)]


@pytest.mark.parametrize(
    "line", ['{"item": 01.5}', '{"item": 1.}', '{"item": --1.5}', '{"item": "1.5}', '{"item": 1.5']
)
def test_what_is_no_json_stays_no_json(line: str, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, EXACT)
    shelf.put("2026-01", f"{line}\n")

    assert "cannot be read" in shelf.load().refused["2026-01"]


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=20) | st.integers()
VALUES = st.recursive(
    NUMBERS | st.text() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def written(value: object) -> str:
    """JSON with all digits of its numbers."""
    if isinstance(value, dict):
        return (
            f"{{{', '.join(f'{json.dumps(key)}: {written(one)}' for key, one in value.items())}}}"
        )
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return f"{value:f}" if isinstance(value, Decimal) else json.dumps(value)


def same(read: object, value: object) -> bool:
    """Whether *read*, with texts in place of some numbers, has the values of *value*."""
    match value:
        case dict():
            return isinstance(read, dict) and all(same(read[key], value[key]) for key in value)
        case list():
            return isinstance(read, list) and all(map(same, read, value))
        case Decimal():
            return isinstance(read, str | float) and Decimal(str(read)) == value
    return read == value


@given(
    records=st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=3),
    length=st.integers(1, 40),
)
def test_every_line_has_the_values_it_had_wherever_its_text_is_cut(
    records: list[dict[str, object]], length: int
) -> None:
    text = "".join(f"{written(one)}\n" for one in records)
    parts = (text[at : at + length] for at in range(0, len(text), length))
    lines = [line for line in "".join(exact(whole_lines(parts))).split("\n") if line]

    assert [same(json.loads(line), one) for line, one in zip(lines, records, strict=True)] == [
        True for _ in records
    ]


@pytest.fixture
def api() -> Iterator[GaugeApi]:
    with gauge_api() as api:
        yield api


def fetched(api: GaugeApi, folder: Path, read: Callable[[Api], Iterator[Page]]) -> str:
    """The file of the first run of the gauge."""
    source = with_(declared, form=Pages(read)).plugin()
    opened = source.open(Opening(secrets={}, settings={"url": api.url}, directory=folder))
    (partition,) = opened.partitions(PartitionsRequest(known={}, now=NOW))
    result = opened.fetch(FetchRequest(partition=partition, known=None, directory=folder))
    assert isinstance(result, Fetched)
    return result.path.read_text()


def doubled(api: Api) -> Iterator[Page]:
    answer = api.get("readings", after=0)
    yield Page([{"id": "1", "level": 2 * answer["readings"][0]["level"]}], "1")


def test_the_numbers_of_an_api_are_decimals_and_are_kept_with_all_digits(
    api: GaugeApi, tmp_path: Path
) -> None:
    api.content = b'{"readings": [{"level": 1.2345678901234567891}]}'

    assert fetched(api, tmp_path, doubled) == '{"id": "1", "level": "2.4691357802469135782"}\n'


ODD_RECORDS: dict[str, tuple[Any, str]] = {
    "no number": ([{"id": Decimal("NaN")}], "a record has NaN, a Decimal; give text, a number, a"),
    "a time": ([{"id": NOW}], "a record has 2026-03-20 00:00:00+00:00, a datetime; give text"),
    "one record": ({"id": "1"}, "a record must be a mapping from column names to values, is 'id'"),
}


@pytest.mark.parametrize("name", ODD_RECORDS)
def test_a_record_of_no_use_is_an_error_that_names_it(
    name: str, api: GaugeApi, tmp_path: Path
) -> None:
    records, said = ODD_RECORDS[name]
    with pytest.raises(SourceError) as raised:
        fetched(api, tmp_path, lambda _: iter([Page(records, "1")]))

    assert str(raised.value).startswith(f"{api.url}: {said}")
