"""Messages between a worker and the sink at home: they come back equal, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia.data import (
    Absent,
    Fetched,
    Known,
    Partition,
    PublishRequest,
    RawFile,
    Refused,
    Unchanged,
)
from materia.forms import FILE_NAME, PARTITION_KEY
from materia_runner.messages import sink_messages as relay_messages
from materia_runner.messages import stage_request as worker_request
from materia_runner.messages.sink_messages import (
    AskFingerprint,
    AskKnown,
    AskPublished,
    AskRaw,
    AtHome,
    CheckOut,
    Message,
    Publish,
    Record,
    Refuse,
)
from materia_runner.messages.stage_request import WorkerRequest

TEXT = st.text(max_size=12)
WHEN = st.datetimes(datetime(1990, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 -- the zone is beside it
SHA256 = st.text("0123456789abcdef", min_size=64, max_size=64)
PRINTED = st.characters(exclude_categories=("C", "Z"), exclude_characters="/\\")
FILE = st.text(PRINTED, min_size=1, max_size=12).filter(FILE_NAME.fits)
KEY = st.lists(FILE, min_size=1, max_size=3).map("/".join).filter(PARTITION_KEY.fits)
TABLE = st.sampled_from(["serving.obt_x", "t", "raw.psd-1", "a.ü$"])
COUNT = st.integers(0, 2**63 - 1)
RAW = st.builds(
    RawFile,
    partition=KEY,
    file=FILE,
    url=TEXT,
    sha256=SHA256,
    content=TEXT,
    size=COUNT,
    etag=st.none() | TEXT,
    last_modified=st.none() | TEXT,
    fetched_at=WHEN,
)
KNOWN = st.builds(Known, url=TEXT, checked_at=WHEN, raw=st.none() | RAW, refused=st.none() | TEXT)
RESULT = st.one_of(
    st.builds(
        Fetched,
        raw=RAW,
        path=st.just(Path("/there/x")),
        remarks=st.lists(TEXT, max_size=2).map(tuple),
    ),
    st.builds(Unchanged, etag=TEXT, last_modified=st.none()),
    st.builds(Absent),
    st.builds(Refused, reason=TEXT, etag=TEXT, last_modified=TEXT, path=st.none()),
)
PARTITION = st.builds(Partition, key=KEY, url=TEXT, file=FILE)
SOURCE = st.sampled_from(["psdonline", "a-sample", "b_2"])
THERE = st.none() | st.just(Path("/a b/ü"))
ASKS_RAW = AskRaw(source="a", partition="p", file="f", sha256="0" * 64)
MESSAGES = st.one_of(
    st.builds(Record, source=SOURCE, partition=PARTITION, result=RESULT, sha256=st.none() | SHA256),
    st.sampled_from([CheckOut(), AskFingerprint(), AskPublished(), AskKnown(source="a")]),
    st.builds(Refuse, source=SOURCE, raw=RAW, reason=TEXT),
    st.builds(AskRaw, source=SOURCE, partition=KEY, file=FILE, sha256=SHA256),
    st.builds(
        Publish,
        sha256=SHA256,
        request=st.builds(
            PublishRequest,
            run=TEXT,
            database=st.just(Path("x.duckdb")),
            tables=st.lists(TABLE, max_size=3).map(tuple),
            fingerprint=TEXT,
        ),
    ),
)
ANSWERS = st.one_of(
    st.tuples(st.just(AskKnown(source="a")), st.dictionaries(KEY, KNOWN, max_size=3)),
    st.tuples(st.just(ASKS_RAW), THERE),
    st.tuples(st.just(AskFingerprint()), st.none() | TEXT),
    st.tuples(st.just(CheckOut()), st.tuples(TEXT, THERE)),
)


@given(number=COUNT, value=MESSAGES)
def test_a_message_is_one_line_and_comes_back_equal(number: int, value: object) -> None:
    line = relay_messages.encode(number, value)

    assert "\n" not in line
    assert relay_messages.decode(line) == (number, value)


@given(number=COUNT, exchange=ANSWERS)
def test_an_answer_comes_back_as_what_its_message_asked_for(
    number: int, exchange: tuple[Message, object]
) -> None:
    asked, value = exchange
    line = relay_messages.encode(number, value)

    assert relay_messages.decode_answer(line, {number: asked}) == (number, value)


@pytest.mark.parametrize("line", ["", "hello", '{"event": "log"}', '{"relays": 1}', "[]"])
def test_a_line_that_is_no_message_is_told_apart(line: str) -> None:
    assert relay_messages.decode(line) is None


@given(known=st.dictionaries(TEXT, st.dictionaries(KEY, KNOWN, max_size=3), max_size=2))
def test_a_request_takes_along_what_is_known_at_home(known: dict[str, dict[str, Known]]) -> None:
    request = WorkerRequest(
        run="r",
        stage="extract",
        pipeline="a",
        sources=("a",),
        sink="b",
        settings={"source": {"a": {}}, "sink": {"b": {}}},
        secrets={"source": {"a": {}}, "sink": {"b": {}}},
        directory=Path("/srv"),
        workspace=Path("/srv/work"),
        at_home=AtHome(known=known, kept=Path("/srv/raw")),
    )

    assert worker_request.decode(worker_request.encode(request)) == request
