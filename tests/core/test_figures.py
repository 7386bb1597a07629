"""Money and durations are written in one way, wherever they are shown."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import materia_runner
import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia.compute import Money
from materia.text import duration_text
from materia_runner.figures import (
    age_text,
    elapsed_text,
    moment_text,
    money_text,
    quantity_text,
    unit_price_text,
)

HOME = Path(materia_runner.__path__[0])
HALF = Money(Decimal("0.01245"), "EUR")  # half even would make it 0.0124
# What rounds or shapes a figure by itself; a format of bytes or of a share is none.
ROUNDING = re.compile(r"\.quantize\(|ROUND_|:\.[2-9]f\}|:\.[0-9]g\}|:g\} (s|min)\b|%H:%M\}")
ALLOWED = {
    "figures.py",  # the one place
    "ledger/costs.py",  # shares of a cost, whose sum must stay exact
    "worker/sqlmesh/audit_rows.py",  # values of a user, as they are
}
CLOCK_ONLY = ":%H:%M} UTC"  # when to try again, today


def test_an_amount_is_rounded_half_up() -> None:
    assert money_text(HALF) == "0.0125 EUR"
    assert unit_price_text(Money(Decimal("0.000000125"), "EUR")) == "0.00000013"
    assert quantity_text(Decimal("0.00005")) == "0.0001"
    assert quantity_text(Decimal(100)) == "100"


@given(st.decimals(min_value=0, max_value=10**9, places=9))
def test_a_rounded_amount_is_nearest_to_the_exact_one(amount: Decimal) -> None:
    shown = Decimal(money_text(Money(amount, "EUR")).removesuffix(" EUR"))

    assert abs(shown - amount) <= Decimal("0.00005")
    assert shown >= amount or (amount - shown) < Decimal("0.00005")  # half goes up
    assert shown.as_tuple().exponent == -4


def test_no_other_file_of_the_runner_rounds_a_figure() -> None:
    found = []
    for path in sorted(HOME.rglob("*.py")):
        name = path.relative_to(HOME).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if name not in ALLOWED and ROUNDING.search(line.replace(CLOCK_ONLY, "")):
                found.append(f"{name}:{number}: {line.strip()}")

    assert found == []


def test_no_file_formats_an_amount_and_its_currency_by_itself() -> None:
    """`{x.amount} {x.currency}` in a sentence is money; with `:f` it is an exact price."""
    found = []
    for path in sorted(HOME.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                text = ast.unparse(node)
                rounded = re.search(r"\.amount(?!:f\})[^}]*\} \{[^}]*\.currency\}", text)
                if rounded and path.name != "figures.py":
                    found.append(f"{path.relative_to(HOME)}:{node.lineno}: {text}")

    assert found == []


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0 s"),
        (timedelta(milliseconds=1500), "1.5 s"),
        (timedelta(seconds=10), "10 s"),
        (timedelta(minutes=14), "14 min"),
        (timedelta(hours=1, minutes=30), "1 h 30 min"),
        (timedelta(days=2, seconds=7), "48 h 7 s"),
    ],
)
def test_a_duration_is_hours_minutes_and_seconds(length: timedelta, text: str) -> None:
    assert duration_text(length) == text
    assert elapsed_text(length.total_seconds()) == duration_text(
        timedelta(seconds=int(length.total_seconds()))
    )


def test_an_age_is_told_to_the_minute() -> None:
    ages = [timedelta(seconds=-5), timedelta(seconds=59), timedelta(minutes=61), timedelta(days=2)]

    assert [age_text(age) for age in ages] == [
        "less than 1 min",
        "less than 1 min",
        "1 h 1 min",
        "2 d 0 h",
    ]


def test_a_moment_is_shown_in_utc_wherever_it_comes_from() -> None:
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)

    assert moment_text(noon) == "2026-11-24 12:00"
    assert moment_text(noon.astimezone(timezone(timedelta(hours=-5)))) == "2026-11-24 12:00"
