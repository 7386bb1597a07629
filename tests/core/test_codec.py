from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia.forms import FILE_NAME, PARTITION_KEY, SHA256, TABLE_NAME, Count, Sha256
from materia_runner import codec
from materia_runner.codec import MalformedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    name: str
    hash: Sha256 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    leaf: Leaf
    either: Leaf | Other
    many: tuple[Leaf, ...] = ()
    pair: tuple[int, str] = (1, "a")
    by_name: Mapping[str, Count] | None = None
    level: Literal["low", "high"] = "low"
    at: datetime | None = None
    on: date | None = None
    lasts: timedelta = timedelta(0)
    place: Path = Path("/")
    anything: object = None


TREE = Tree(
    leaf=Leaf(name="a", hash="0" * 64),
    either=Other(amount=Decimal("0.0577")),
    many=(Leaf(name="b"), Leaf(name="c")),
    by_name={"x": 3},
    level="high",
    at=datetime(2026, 11, 29, 12, tzinfo=UTC),
    on=date(2026, 11, 29),
    lasts=timedelta(minutes=3),
    place=Path("/a b/ü"),
    anything={"list": [1, 2.5, None, True, {"deep": "x"}]},
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
# What stands in the place of a part: some of it makes `json`, `Decimal` or `fromisoformat` fail.
ODD: list[Any] = [
    *(None, True, -1, 0.5, 10**400, 2**63, "", "x", "\ud800", "9" * 100, "NaN", "1e9999999"),
    *("2026-13-40T99:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-29"),
    *([], {}, [[]], {"type": "os.system"}, {"type": ["x"]}, {"type": "Leaf"}, "/../../x", "a\0b"),
]


def test_a_value_comes_back_equal() -> None:
    text = json.dumps(codec.encode(TREE))

    assert codec.decode(Tree, codec.parse(text)) == TREE


@given(st.one_of(JSON, st.just({**codec.encode(TREE)}).map(lambda one: {**one, "many": [3]})))
def test_whatever_is_no_such_value_is_one_sentence(value: object) -> None:
    with pytest.raises(MalformedError) as raised:
        codec.decode(Tree, value)

    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("name", [*codec.encode(TREE)])
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: ascii(odd)[:12])
def test_a_part_is_what_it_should_be_or_a_sentence(name: str, odd: Any) -> None:
    value = {**codec.encode(TREE), name: odd}
    try:
        found = codec.decode(Tree, value)
    except MalformedError as error:
        assert str(error).isprintable()  # noqa: PT017 -- either is right, nothing else
    else:
        assert codec.decode(Tree, codec.encode(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000 + "]" * 200_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        "",
        "{",
        '{"a": NaN}',
        '{"a": Infinity}',
        "9" * 5000,
        '"' + "x" * (1 << 20) + '"',
        '{"a": "\x1b[2J"}',
    ],
    ids=range(9),
)
def test_what_is_no_json_of_a_sensible_size_is_one_sentence(text: str) -> None:
    with pytest.raises(MalformedError) as raised:
        codec.parse(text)

    assert str(raised.value).isprintable()


def test_json_that_stands_for_anything_is_bounded_too() -> None:
    for value in ([[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]], float("inf"), 2**63, {"a": "x" * 70_000}):
        with pytest.raises(MalformedError):
            codec.decode(object, value)


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        (SHA256, ["0a" * 32], ["", "0A" * 32, "0" * 63, "0" * 65, "0" * 63 + "\n", "/../" * 16]),
        (
            FILE_NAME,
            ["psd_alldata_csv.zip", ".env", "a b", "ü..x"],
            ["", ".", "..", "...", "a/b", "/a", "a\\b", "a\0", "a\n", "\u202ea", "x" * 201],
        ),
        (
            PARTITION_KEY,
            ["2026-11", "2026/11", "a.b/c", "P/a."],
            ["", ".", "..", "a/..", "../a", "a//b", "/a", "a/", "a/./b", "a\n", "a\x1b[2J"],
        ),
        (
            TABLE_NAME,
            ["serving.obt_x", "t", "raw.psd-1"],
            ["", "a.b.c", "a b", 'a"; drop', "x').show()", "1a", "a.", ".a", "a\n"],
        ),
    ],
    ids=["hash", "file", "partition", "table"],
)
def test_a_form_takes_the_plain_and_refuses_the_rest(form: Any, good: Any, bad: Any) -> None:
    assert [text for text in good if not form.fits(text)] == []
    assert [text for text in bad if form.fits(text)] == []


def test_what_users_read_has_no_names_of_classes() -> None:
    assert codec.plain(TREE.many) == [{"name": "b", "hash": None}, {"name": "c", "hash": None}]


def test_a_field_of_a_newer_version_is_passed_over_only_where_that_is_asked_for() -> None:
    written = {**codec.encode(TREE), "leaf": {"name": "a", "hash": "0" * 64, "colour": "green"}}

    assert codec.decode(Tree, written, newer=True) == TREE
    with pytest.raises(MalformedError, match="leaf: a Leaf has no 'colour'"):
        codec.decode(Tree, written)


def test_a_part_that_is_known_already_cannot_be_given_again() -> None:
    assert codec.decode_parts(Leaf, {"hash": None}, {"name": "a"}) == Leaf(name="a")
    with pytest.raises(MalformedError, match="a Leaf has no 'name'"):
        codec.decode_parts(Leaf, {"name": "b"}, {"name": "a"})
