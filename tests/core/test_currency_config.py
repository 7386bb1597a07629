"""The table `[currency]` of materia.toml."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from materia.errors import ConfigError
from materia.plugins import Registry
from materia_runner.config.parse import parse_config
from materia_runner.config.pipeline import Pipeline
from materia_runner.pricing.currency import Exchange, Rate


def parse(text: str) -> Pipeline:
    registry = Registry(found=(), failures=())
    return parse_config(
        tomllib.loads(text), registry, name="materia.toml", directory=Path("no-such-folder")
    )


def test_without_the_table_costs_are_in_euro_and_there_are_no_rates() -> None:
    assert parse("").exchange == Exchange()


def test_a_rate_keeps_every_digit_its_day_and_its_source() -> None:
    text = """
        [currency]
        code = "EUR"
        [currency.rates.USD]
        worth = "0.865400000000000000001"
        date = 2026-11-20
        source = "ECB reference rates"
    """

    assert parse(text).exchange.rates == (
        Rate(
            currency="USD",
            worth=Decimal("0.865400000000000000001"),
            on=date(2026, 11, 20),
            source="ECB reference rates",
        ),
    )


def test_stages_ask_for_prices_in_the_configured_currency() -> None:
    pipeline = parse('[currency]\ncode = "USD"')

    assert {stage.requirements.currency for stage in pipeline.stages} == {"USD"}
    assert pipeline.exchange.shown == "USD"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[currency]\ncode = "euro"', "currency.code must be a currency code, for example"),
        ("[currency.rates.USD]\ndate = 2026-11-20", "currency.rates.USD.worth must be a number"),
        (
            '[currency.rates.USD]\nworth = "0"\ndate = 2026-11-20',
            "worth must be a number above 0, for example \"0.8654\", is '0'",
        ),
        ('[currency.rates.USD]\nworth = "1"', "date must be a date, for example 2026-11-20"),
        (
            '[currency.rates.USD]\nworth = 1\ndate = "2026-11-20"',
            "without quotes, is '2026-11-20'",
        ),
        ("[currency.rates.EUR]\nworth = 1\ndate = 2026-11-20", "other than EUR"),
        (
            "[currency.rates.USD]\nworth = 1\ndate = 2026-11-20\nsourc = 'x'",
            "unknown key currency.rates.USD.sourc (did you mean 'source'?)",
        ),
    ],
)
def test_a_mistake_names_the_key_and_what_it_should_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)

    assert message in str(caught.value)
