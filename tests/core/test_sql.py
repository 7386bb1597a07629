"""Literals mean what they were made from, and need no NumPy."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from materia.kit.sql import literal

values = st.one_of(
    st.none(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.dates(),
    st.datetimes(),
)


@given(value=values)
@example(value="it's \0 'quoted'; DROP TABLE x --")
def test_a_literal_is_read_back_as_the_value(value: str | int | date | datetime | None) -> None:
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {literal(value)}").fetchone() == (value,)


@pytest.mark.parametrize("value", ["text", 1, date(2025, 11, 1)])
def test_a_literal_loads_no_numpy(value: object) -> None:
    code = (
        "import datetime, sys, duckdb; from materia.kit.sql import literal; "
        f"duckdb.connect().execute('SELECT ' + literal({value!r})).fetchall(); "
        "assert not {'numpy', 'pandas'} & sys.modules.keys()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
