"""The difference of two texts: exact as a multiset, whatever the texts are."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia_psdonline.line_diff import LineTooLongError, diff_lines

# Few distinct lines, so that they repeat and move; some long enough to fill windows.
line = st.sampled_from([b"a", b"b", b"c", b"", b'0410000,"Wheat"', b"x" * 700, b"y" * 3000])
texts = st.lists(line, max_size=60).map(b"\n".join)


def in_chunks(text: bytes, size: int) -> list[bytes]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def lines_of(text: bytes) -> Counter[bytes]:
    return Counter(text.removesuffix(b"\n").split(b"\n") if text else [])


@given(old=texts, new=texts, size=st.integers(1, 5000))
def test_removed_and_added_lines_lead_from_one_text_to_the_other(
    old: bytes, new: bytes, size: int
) -> None:
    found = diff_lines(in_chunks(old, size), in_chunks(new, size + 7), limit=1000)

    assert found is not None
    assert lines_of(old) - Counter(found.removed) + Counter(found.added) == lines_of(new)
    assert not Counter(found.removed) & Counter(found.added)


@given(lines=st.lists(st.integers(0, 9), min_size=1, max_size=400), edits=st.data())
def test_a_few_edits_in_a_long_text_are_all_that_is_found(
    lines: list[int], edits: st.DataObject
) -> None:
    before = [f"{number},{digit}\r\n".encode() * 9 for number, digit in enumerate(lines)]
    place = edits.draw(st.integers(0, len(before) - 1))
    after = [*before[:place], b"edited\r\n", *before[place + 1 :]]

    found = diff_lines(before, after, limit=100)

    assert found is not None
    assert b"\n".join([*found.removed, b""]) == before[place]
    assert found.added == [b"edited\r"]


def test_more_differences_than_the_limit_are_not_listed() -> None:
    old = [b"%d\n" % number for number in range(100)]
    new = [b"%d\n" % number for number in range(1000, 1100)]

    assert diff_lines(old, new, limit=199) is None
    assert diff_lines(old, new, limit=200) is not None


def test_a_line_that_fills_the_window_is_not_taken_apart() -> None:
    with pytest.raises(LineTooLongError):
        diff_lines([b"x" * 10_000], [b"y" * 10_000], limit=10)
