"""`materia providers price` and `materia providers list`, as a user runs them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fakes.rentals import GOOD_TOKEN
from fakes.workshop import Workshop
from materia_ovh.emulator.service import Ovh

CREDENTIALS = {"HOURS_TOKEN": GOOD_TOKEN, "SECONDS_TOKEN": GOOD_TOKEN}
THREE = ("--provider", "hours,seconds,dollars")
SMALL = ("--vcpus", "2", "--memory", "8", "--disk", "20")
RATE = """
[currency.rates.USD]
worth = "0.9"
date = 2026-11-20
source = "a bank"
"""


@pytest.fixture
def rented(workshop: Workshop) -> Workshop:
    """A workshop with the providers of `fakes.rentals`."""
    workshop.install("rentals", "fakes.rentals")
    return workshop


def price(workshop: Workshop, *arguments: str, **environment: str) -> dict[str, Any]:
    ended = workshop.run(
        "providers",
        "price",
        "--json",
        *SMALL,
        *arguments,
        environment={**CREDENTIALS, **environment},
    )
    assert ended.returncode == 0, ended.stderr
    comparison: dict[str, Any] = json.loads(ended.stdout)["comparisons"][0]
    return comparison


def ranked(comparison: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["offer"]["provider"], one["cost"]["amount"]) for one in comparison["quotes"]]


def test_the_best_for_this_duration_comes_first(rented: Workshop) -> None:
    """Worked out by hand: the hour costs 0.06 + 0.001, a second (0.12 + 0.001) / 3600."""
    short = price(rented, *THREE, "--duration", "10m")
    long = price(rented, *THREE, "--duration", "50m")

    assert [name for name, _ in ranked(short)] == ["seconds", "hours"]
    assert [name for name, _ in ranked(long)] == ["hours", "seconds"]
    assert Decimal(ranked(long)[0][1]) == Decimal("0.061")
    assert Decimal(ranked(short)[0][1]) == Decimal("0.02") + Decimal("0.001") / 6


def test_the_table_has_what_is_needed_to_choose(rented: Workshop) -> None:
    ended = rented.run(
        "providers", "price", *SMALL, *THREE, "--duration", "50m", environment=CREDENTIALS
    )

    assert ended.returncode == 0
    row = next(line for line in ended.stdout.splitlines() if line.startswith("hours "))
    assert row.split() == [
        "hours",
        "h8",
        "north",
        "2",
        "dedicated",
        "8",
        "GiB",
        "x86_64",
        "0.0600",
        "EUR",
        "0.0610",
        "EUR",
        "available",
        "2026-11-20",
        "08:30",
    ]
    assert "total 0.0610 EUR" in ended.stdout
    assert "https://hour.example/rule" in ended.stdout
    assert "\x1b" not in ended.stdout
    assert ended.stderr == ""


def test_without_options_the_stages_of_the_pipeline_are_compared(rented: Workshop) -> None:
    rented.write(
        "materia.toml",
        "[stages.extract]\nvcpus = 1\nmemory_gib = 1\nminutes = 50\n"
        "[stages.transform]\nvcpus = 2\nmemory_gib = 8\nminutes = 5\n",
    )

    ended = rented.run("providers", "price", *THREE, environment=CREDENTIALS)

    assert re.findall(r"^(\w+): (\d vCPU, \d GiB)", ended.stdout, re.MULTILINE) == [
        ("extract", "1 vCPU, 1 GiB"),
        ("transform", "2 vCPU, 8 GiB"),
    ]
    assert "hours     h2" in ended.stdout.split("transform:")[0]


def test_providers_that_cannot_answer_stand_below_with_the_remedy(rented: Workshop) -> None:
    rented.write("materia.toml", '[providers.dollars]\nfailure = "closed today"\n')

    ended = rented.run("providers", "price", *SMALL, environment={})

    lines = ended.stdout.splitlines()
    assert "hours: set HOURS_TOKEN to use it" in lines
    assert "dollars: closed today" in lines
    assert "broken: its plugin failed: KeyError: 'a fault of the plugin, in work'" in lines
    assert "seconds: public prices; set SECONDS_TOKEN to see what is available" in lines
    assert ended.returncode == 0


def test_the_machine_itself_takes_part_only_when_it_is_named(rented: Workshop) -> None:
    every = rented.run("providers", "price", "--json", *SMALL, environment=CREDENTIALS)
    named = price(rented, "--provider", "local", "--vcpus", "1", "--memory", "1", "--disk", "1")

    asked = {one["provider"] for one in json.loads(every.stdout)["comparisons"][0]["providers"]}
    assert "local" not in asked
    assert {"hours", "seconds", "dollars", "broken"} <= asked
    assert ranked(named) == [("local", "0")]


def test_another_currency_without_a_rate_is_not_compared(rented: Workshop) -> None:
    comparison = price(rented, *THREE)

    assert "dollars" not in dict(ranked(comparison))
    (reason,) = [one["reason"] for one in comparison["passed_over"] if one["provider"] == "dollars"]
    assert "[currency.rates.USD]" in reason


def test_another_currency_with_a_rate_is_compared_and_marked(rented: Workshop) -> None:
    rented.write("materia.toml", RATE)

    ended = rented.run(
        "providers", "price", *SMALL, *THREE, "--duration", "50m", environment=CREDENTIALS
    )

    row = next(line for line in ended.stdout.splitlines() if line.startswith("dollars"))
    assert "0.0500 USD  0.0459 EUR*" in row
    assert (
        "* converted with the rates in materia.toml: 1 USD = 0.9 (2026-11-20, a bank)"
        in ended.stdout
    )


def test_the_currency_can_be_chosen(rented: Workshop) -> None:
    rented.write("materia.toml", RATE)

    comparison = price(rented, *THREE, "--currency", "usd", "--duration", "50m")

    amounts = {name: Decimal(amount) for name, amount in ranked(comparison)}
    assert amounts["dollars"] == Decimal("0.051")
    assert amounts["hours"] == Decimal("0.061") / Decimal("0.9")


def test_a_second_look_asks_nobody(rented: Workshop) -> None:
    first, second = (price(rented, "--provider", "hours") for _ in range(2))

    assert [first["providers"][0]["cached"], second["providers"][0]["cached"]] == [False, True]


def test_offline_uses_what_was_kept_and_says_how_old_it_is(rented: Workshop) -> None:
    price(rented, "--provider", "hours")

    ended = rented.run("providers", "price", *SMALL, "--offline", environment={})

    assert "hours: cached answer, less than 1 min old" in ended.stdout
    assert "seconds: no cached answer to this question" in ended.stdout


def test_a_slow_provider_is_left_behind(rented: Workshop) -> None:
    rented.write("materia.toml", '[providers.hours]\ndelay = "60"\n')
    began = time.monotonic()

    comparison = price(rented, *THREE, "--timeout", "1s")

    assert time.monotonic() - began < 60
    (slow,) = [one for one in comparison["providers"] if one["provider"] == "hours"]
    assert slow["reason"] == "hours: no answer within 1 s; try again later"


def test_all_shows_what_was_passed_over_and_why(rented: Workshop) -> None:
    ended = rented.run(
        "providers", "price", *SMALL, "--provider", "hours", "--all", environment=CREDENTIALS
    )

    assert re.search(r"^hours +h2 +north +2 GiB of memory, 8 needed$", ended.stdout, re.MULTILINE)


def test_when_nothing_fits_the_reason_and_the_exit_code_say_so(rented: Workshop) -> None:
    ended = rented.run(
        "providers", "price", "--memory", "500", "--provider", "hours", environment=CREDENTIALS
    )

    assert ended.returncode == 4
    assert "hours: none of its 2 offers fits: " in ended.stdout
    assert ended.stderr.startswith("materia: no provider has an offer for ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--duration", "10"), "write 10m or 10h"),
        (("--duration", "10x"), "'10x' is not a duration like 10m or 1h30m"),
        (("--memory", "lots"), "'lots' is not a size like 8, 16GiB or 500MB"),
        (("--arch", "sparc"), "'sparc' is neither x86_64 nor arm64"),
        (("--currency", "euro"), "'euro' is not a currency code"),
        (("--provider", "hour"), "did you mean 'hours'?"),
        (("--refresh", "--offline"), "give --refresh or --offline, not both"),
        (("--chart", "picture.doc"), "end the name in .svg, .png or .pdf"),
        (("--chart", "no/such/folder/picture.svg"), "the folder no/such/folder does not exist"),
    ],
)
def test_a_mistake_in_an_option_says_what_to_write(
    rented: Workshop, arguments: tuple[str, ...], message: str
) -> None:
    ended = rented.run("providers", "price", *arguments)

    assert ended.returncode == 2
    assert message in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def test_a_chart_shows_where_the_costs_cross(rented: Workshop) -> None:
    """60 minutes of 0.061 against 0.121 an hour by the second: they meet at 30.25 minutes."""
    ended = rented.run(
        "providers", "price", *SMALL, *THREE, "--duration", "50m", "--chart",
        environment=CREDENTIALS,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert "h hours" in ended.stdout
    assert "s seconds" in ended.stdout
    assert "cheapest: seconds from 1 min to 30 min, hours from 31 min to 3 h" in ended.stdout
    assert "\x1b" not in ended.stdout


@pytest.mark.parametrize(("name", "begin"), [("c.svg", b"<?xml"), ("c.png", b"\x89PNG")])
def test_a_chart_is_drawn_to_a_file(rented: Workshop, name: str, begin: bytes) -> None:
    ended = rented.run(
        "providers", "price", *SMALL, *THREE, "--duration", "50m", "--chart", name,
        environment=CREDENTIALS,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    picture = (rented.directory / name).read_bytes()
    assert picture.startswith(begin)
    assert f"wrote the chart to {name}" in ended.stdout


def test_without_the_packages_for_charts_the_extra_is_named(rented: Workshop) -> None:
    rented.module("plotext", "raise ImportError('not installed')\n")

    ended = rented.run("providers", "price", *SMALL, *THREE, "--chart", environment=CREDENTIALS)

    assert ended.returncode == 2
    assert "to install them: `uv sync --inexact --extra chart`\n" in ended.stderr


def test_the_list_tells_credentials_apart(rented: Workshop) -> None:
    ended = rented.run(
        "providers", "list", "--json",
        environment={"HOURS_TOKEN": GOOD_TOKEN},
    )  # fmt: skip

    states = {one["name"]: one["credentials"] for one in json.loads(ended.stdout)}
    assert states["hours"] == "good"
    assert states["seconds"] == "missing"
    assert states["dollars"] == "not needed"
    assert states["local"] == "not needed"
    assert ended.returncode == 0


def test_the_list_shows_what_is_running_with_what_hangs_on_it(rented: Workshop) -> None:
    ended = rented.run("providers", "list", "--provider", "hours", environment=CREDENTIALS)

    assert "running      1 instance" in ended.stdout
    assert "materia-r1-extract  h8 in north, expires 2026-11-24 12:00 UTC, with volume" in (
        ended.stdout
    )


def test_a_check_fails_when_credentials_are_refused_and_keeps_them_secret(
    rented: Workshop,
) -> None:
    ended = rented.run(
        "providers", "list", "--check", "--provider", "hours",
        environment={"HOURS_TOKEN": "a-secret-word"},
    )  # fmt: skip

    assert ended.returncode == 2
    assert "credentials  refused" in ended.stdout
    assert "a-secret-word" not in ended.stdout + ended.stderr


def test_the_list_asks_all_at_once_and_none_for_long(rented: Workshop) -> None:
    rented.write("materia.toml", '[providers.hours]\ndelay = "60"\n')
    began = time.monotonic()

    ended = rented.run("providers", "list", "--timeout", "1s", environment=CREDENTIALS)

    assert time.monotonic() - began < 60
    assert "hours: no answer within 1 s" in ended.stdout
    assert "credentials  good" in ended.stdout


def test_the_regions_of_the_newest_prices_are_listed(rented: Workshop) -> None:
    price(rented, "--provider", "dollars", "--currency", "USD")

    ended = rented.run("providers", "list", "--provider", "dollars")

    assert "regions      north  (from its newest prices)" in ended.stdout


def test_help_and_comparison_import_no_library_of_a_provider(rented: Workshop) -> None:
    code = (
        "import sys; from materia_runner.cli.main import app; "
        "sys.argv = ['materia', 'providers', 'price', '--offline']\n"
        "try: app()\n"
        "except BaseException as ended: pass\n"
        "heavy = {'httpx', 'hcloud', 'ovh', 'scaleway', 'oci', 'sqlmesh', 'duckdb', "
        "'matplotlib', 'plotext', 'rich', 'asyncssh'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    program = Path(rented.directory / "program.py")
    program.write_text(code)

    ended = subprocess.run(
        [sys.executable, str(program)],
        cwd=rented.directory,
        env=rented.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.stderr.splitlines()[-1] == "[]"


def test_a_public_price_list_without_places_is_told_as_such(workshop: Workshop) -> None:
    with Ovh() as ovh:
        settings = "\n".join(f"{key} = {json.dumps(of)}" for key, of in ovh.settings().items())
        workshop.write("materia.toml", f"[providers.ovh]\n{settings}\n")
        priced = workshop.run("providers", "price", "--provider", "ovh", *SMALL)
        listed = workshop.run("providers", "list", "--provider", "ovh")
        for_programs = workshop.run("providers", "list", "--provider", "ovh", "--json")

    assert "any region" in priced.stdout, priced.stderr
    assert "regions      all, at the same prices; set its credentials to list them" in listed.stdout
    [described] = json.loads(for_programs.stdout)
    assert (described["regions"], described["same_everywhere"]) == ([], True)
