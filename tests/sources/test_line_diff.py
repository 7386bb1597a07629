"""The difference of two texts: exact as a multiset, whatever the texts are."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia_psdonline.release_file.line_diff import LineDiff, LineTooLongError, diff_lines

# Few distinct lines, so that they repeat and move; some long enough to fill windows.
line = st.sampled_from([b"a", b"b", b"c", b"", b'0410000,"Wheat"', b"x" * 700, b"y" * 3000])
texts = st.lists(line, max_size=60).map(b"\n".join)


def in_chunks(text: bytes, size: int) -> list[bytes]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def lines_of(text: bytes) -> Counter[bytes]:
    return Counter(text.removesuffix(b"\n").split(b"\n") if text else [])


def assert_leads(old: bytes, new: bytes, found: LineDiff | None) -> None:
    assert found is not None
    assert all(text.endswith(b"\n") for text in (found.removed, found.added) if text)
    removed, added = lines_of(found.removed), lines_of(found.added)
    assert not removed - lines_of(old)
    assert lines_of(old) - removed + added == lines_of(new)


# Places in a text of 6,000 lines, what happens there, and to how many lines.
edits = st.lists(
    st.tuples(
        st.integers(0, 5_999),
        st.sampled_from(["insert", "delete", "edit", "double", "move"]),
        st.sampled_from([1, 2, 13, 800]),
    ),
    max_size=12,
)


@given(
    edits=edits,
    chunk=st.sampled_from([1_000, 40_000, 1_000_000]),
    end=st.sampled_from([b"", b"\n"]),
)
def test_edits_anywhere_in_a_text_of_many_windows_are_found(
    edits: list[tuple[int, str, int]], chunk: int, end: bytes
) -> None:
    before = [b"%d,a line like any other,%d\r" % (k, k % 7) for k in range(6_000)]
    after = list(before)
    for number, (place, edit, count) in enumerate(edits):
        chosen = after[place : place + count]
        if edit in ("delete", "move", "edit"):
            del after[place : place + count]
        if edit == "insert":
            chosen = [b"%d,new,%d\r" % (number, k) for k in range(count)]
        elif edit == "edit":
            chosen = [line + b"%d" % number for line in chosen]
        if edit != "delete":
            to = place // 2 if edit == "move" else place
            after[to:to] = chosen
    old, new = (b"\n".join(lines) + end for lines in (before, after))

    found = diff_lines(in_chunks(old, chunk), in_chunks(new, chunk + 99), limit=1 << 30)

    assert_leads(old, new, found)


def test_a_long_end_without_a_line_feed_gets_one() -> None:
    old = b"".join(b"%d\n" % number for number in range(10_000))
    new = old + b"\n".join(b"%d" % number for number in range(10_000, 99_999))

    found = diff_lines([old], [new], limit=1 << 30)

    assert found == LineDiff(b"", new[len(old) :] + b"\n")


@given(old=texts, new=texts, size=st.integers(1, 5000))
def test_removed_and_added_lines_lead_from_one_text_to_the_other(
    old: bytes, new: bytes, size: int
) -> None:
    found = diff_lines(in_chunks(old, size), in_chunks(new, size + 7), limit=1 << 20)

    assert_leads(old, new, found)


@given(lines=st.lists(st.integers(0, 9), min_size=1, max_size=400), edits=st.data())
def test_a_few_edits_in_a_long_text_are_all_that_is_found(
    lines: list[int], edits: st.DataObject
) -> None:
    before = [f"{number},{digit}\r\n".encode() * 9 for number, digit in enumerate(lines)]
    place = edits.draw(st.integers(0, len(before) - 1))
    after = [*before[:place], b"edited\r\n", *before[place + 1 :]]

    found = diff_lines(before, after, limit=10_000)

    assert found == LineDiff(removed=before[place], added=b"edited\r\n")


@pytest.mark.parametrize("lines", [1, 100, 20_000])
def test_lines_put_in_or_taken_out_are_all_that_is_found(lines: int) -> None:
    text = [b"%07d,%s\r\n" % (number, b"as long as others" * 5) for number in range(40_000)]
    less = [*text[:7_000], *text[7_000 + lines :]]
    gone = b"".join(text[7_000 : 7_000 + lines])

    assert diff_lines(text, less, limit=1 << 21) == LineDiff(removed=gone, added=b"")
    assert diff_lines(less, text, limit=1 << 21) == LineDiff(removed=b"", added=gone)


def test_lines_that_grew_are_all_that_is_found() -> None:
    old = [b"%07d,%d\r\n" % (number, number % 7) for number in range(40_000)]
    new = [line.replace(b",3", b",30") if k % 5_000 < 13 else line for k, line in enumerate(old)]

    found = diff_lines(
        in_chunks(b"".join(old), 99_999), in_chunks(b"".join(new), 70_001), limit=9999
    )

    assert found is not None
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    between = lines_of(found.removed) & lines_of(found.added)
    assert lines_of(found.removed) - between == Counter(a[:-1] for a, _ in changed)
    assert lines_of(found.added) - between == Counter(b[:-1] for _, b in changed)
    assert between.total() < 13 * 8


def test_more_differences_than_the_limit_are_not_listed() -> None:
    old = [b"%02d\n" % number for number in range(50)]
    new = [b"%02d\n" % number for number in range(50, 100)]

    assert diff_lines(old, new, limit=299) is None
    assert diff_lines(old, new, limit=300) is not None


def test_a_line_longer_than_any_look_is_not_taken_apart() -> None:
    with pytest.raises(LineTooLongError):
        diff_lines([b"x" * 3_000_000], [b"y" * 3_000_000], limit=10)
