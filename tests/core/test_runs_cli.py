from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fakes.rows import (
    MINUTE,
    NOON,
    OFFER,
    euro,
    machine_row,
    run_row,
    stage_row,
    write_machine,
)
from fakes.workshop import Workshop
from materia import Money
from materia_runner.cli.output.runs.follow import followed
from materia_runner.config.stages import STAGES
from materia_runner.figures import money_text
from materia_runner.ledger.state import State
from materia_runner.planning.plan import make_plan
from materia_runner.planning.plan_json import plan_values
from materia_runner.pricing.cost import cost
from materia_runner.pricing.currency import Exchange

GOOD = "20261124T120000-ab12cd"
BAD = "20261124T130000-ab34ef"
COST = cost(OFFER, 14 * MINUTE, NOON).cost.amount


@pytest.fixture
def state(workshop: Workshop) -> State:
    """What one good run and one that failed left in the home folder of the workshop."""
    state = State(workshop.home / ".local/state/materia")
    later = NOON + timedelta(hours=1)
    with state.ledger() as ledger:
        ledger.begin_run(run_row(GOOD))
        sold_out = machine_row(f"materia-{GOOD.lower()}-first", run=GOOD)
        ledger.intend_machine(sold_out)
        ledger.machine_failed(sold_out.name, "acme: a2 in north is sold out")
        ledger.note(GOOD, at=NOON, stage="extract", text="a2 is sold out; trying the next offer")
        shared = machine_row(
            f"materia-{GOOD.lower()}-second", run=GOOD, stages=("extract", "transform")
        )
        write_machine(ledger, shared, lengths=(4 * MINUTE, 8 * MINUTE))
        ledger.end_run(GOOD, "ok", at=NOON + 15 * MINUTE)
        ledger.begin_run(run_row(BAD, at=later))
        machine = machine_row(f"materia-{BAD.lower()}-extract", run=BAD, at=later)
        ledger.intend_machine(machine)
        ledger.machine_created(machine.name, id="9", region="north", created_at=later, at=later)
        ledger.begin_stage(stage_row(run=BAD, machine=machine.name, at=later))
        ledger.end_stage(
            BAD, "extract", 1, state="failed", at=later + MINUTE, error="extract: no such file"
        )
        bill = cost(OFFER, 2 * MINUTE, later)
        ledger.machine_gone(machine.name, at=later + 2 * MINUTE, cost=bill.cost, lines=bill.lines)
        ledger.end_run(BAD, "failed", at=later + 2 * MINUTE, error="extract: no such file\n  more")
    log = state.run_folder(BAD) / "extract.1.log"
    log.write_text("".join(f"line {number}\n" for number in range(1, 101)))
    return state


def printed(workshop: Workshop, *words: str) -> str:
    ended = workshop.run("runs", *words)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def values(workshop: Workshop, *words: str) -> Any:
    return json.loads(printed(workshop, *words, "--json"))


def test_before_the_first_run_there_is_nothing_and_nothing_is_made(workshop: Workshop) -> None:
    assert printed(workshop).startswith("no runs yet; they are kept in ")
    assert values(workshop) == []
    assert printed(workshop, "cost") == "nothing was rented\n"
    shown = workshop.run("runs", "show")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "there are no runs yet" in shown.stderr
    assert not (workshop.home / ".local").exists()


@pytest.mark.usefixtures("state")
def test_runs_are_listed_with_how_they_ended_and_what_they_cost(workshop: Workshop) -> None:
    head, bad, good = printed(workshop).splitlines()

    assert head.split() == [
        *("run", "started", "(UTC)", "took", "ended", "what", "where", "estimate", "cost"),
        "reason",
    ]
    assert bad.startswith(f"{BAD}  2026-11-24 13:00  2 min   failed")
    assert bad.endswith("extract: no such file")
    assert "15 min  ok      beans -> folder  acme a2" in good
    assert f"0.0021 EUR  {COST:.4f} EUR" in good
    [newest] = values(workshop, "--limit", "1")
    assert (newest["run"], newest["state"], newest["seconds"]) == (BAD, "failed", 120)
    assert [one["run"] for one in values(workshop, "--since", "2026-11-24")] == [BAD, GOOD]
    assert values(workshop, "--since", "2026-12") == []


@pytest.mark.usefixtures("state")
def test_a_run_is_shown_whole(workshop: Workshop) -> None:
    text = printed(workshop, "show", GOOD[:14])

    for line in (
        f"run {GOOD}: ok",
        "  started    2026-11-24 12:00:00 UTC, took 15 min",
        "  providers  acme, bolt",
        f"  cost       {COST:.4f} EUR, estimated 0.0021 EUR",
        "  cap        0.5000 EUR",
        "    requested 12:00:00, refused: nothing was created",
        "    acme: a2 in north is sold out",
        "    requested 12:00:00, created 12:00:00, ready 12:01:00, gone 12:14:00; existed 14 min",
        f"    estimated 0.0021 EUR, cost {COST:.4f} EUR",
        "      a2 in north: 0.2333 h x 0.012 EUR = 0.0028 EUR; started minutes from create",
        "  transform: ok, 8 min (expected 10 min), on materia-20261124t120000-ab12cd-second",
        "    3 requested, 2 fetched",
        "  12:00:00  extract: a2 is sold out; trying the next offer",
        "  12:01:00  stage extract starts on the machine second",
        "  12:15:00  the run ends: ok",
    ):
        assert line in text.splitlines()
    timeline = text.partition("timeline, UTC:\n")[2].splitlines()
    moments = [line.split()[0] for line in timeline if line.strip()]
    assert moments == sorted(moments)


def test_an_hour_of_a_price_by_the_month_is_shown_in_eight_digits(
    workshop: Workshop, state: State
) -> None:
    monthly = replace(OFFER.extras[0], name="volume", hourly=Money(Decimal(2) / 744, "EUR"))
    bill = cost(replace(OFFER, extras=(monthly,)), 15 * MINUTE, NOON)
    run = "20261124T140000-ab56ab"
    with state.ledger() as ledger:
        ledger.begin_run(run_row(run))
        machine = machine_row("materia-third", run=run)
        ledger.intend_machine(machine)
        ledger.machine_gone(machine.name, at=NOON + MINUTE, cost=bill.cost, lines=bill.lines)

    text = printed(workshop, "show", run)

    assert "volume: 0.25 h x 0.00268817 EUR = 0.0007 EUR; started" in text


def test_the_plan_is_shown_with_the_choice_and_what_was_passed_over(
    workshop: Workshop, state: State
) -> None:
    large = replace(OFFER, vcpus=4, memory_gib=Decimal(16))
    offers = [
        large,
        replace(large, provider="bolt", region="south", hourly=euro("0.013")),
        replace(large, region="west", availability="unavailable"),
    ]
    plan = make_plan(STAGES, offers, start=NOON, exchange=Exchange())
    with state.ledger() as ledger:
        ledger.save_plan(GOOD, plan_values(plan))

    text = printed(workshop, "show", GOOD)

    assert f"plan: expected to cost {money_text(plan.total)}, at most " in text
    assert f"  {plan.why}\n" in text
    assert "  extract and transform: chose the first of 2 offers that fit\n" in text
    assert ["1", "acme", "a2", "north"] in [line.split()[:4] for line in text.splitlines()]
    assert "    passed over 1 of acme: sold out\n" in text
    assert values(workshop, "show", GOOD)["plan"]["total"]["amount"] == f"{plan.total.amount:f}"


def test_the_plan_of_another_version_breaks_nothing(workshop: Workshop, state: State) -> None:
    with state.ledger() as ledger:
        ledger.save_plan(GOOD, {"legs": [{"stages": [{"name": "extract"}]}, {}], "colour": "green"})

    assert "plan:\n  extract: no offer was kept" in printed(workshop, "show", GOOD)


def test_a_plan_kept_before_placements_had_their_name_is_shown_under_it(
    workshop: Workshop, state: State
) -> None:
    with state.ledger() as ledger:
        ledger.save_plan(GOOD, {"legs": [{"stages": [{"name": "extract"}]}]})

    plan = values(workshop, "show", GOOD)["plan"]

    assert plan == {"placements": [{"stages": [{"name": "extract"}]}]}


@pytest.mark.usefixtures("state")
def test_the_keys_for_programs_are_the_words_of_the_glossary(workshop: Workshop) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/glossary.md").read_text()
    shown = values(workshop, "show", GOOD)
    keys = set(json.dumps(shown).split('"'))

    assert {"instances", "instance"} <= keys
    assert not keys & {"machines", "machine", "legs"}
    assert all(f"**{word}**" in page for word in ("instance", "placement"))


def test_the_end_of_the_log_of_what_failed_is_shown(workshop: Workshop, state: State) -> None:
    text = printed(workshop, "show")

    assert f"run {BAD}: failed" in text
    assert str(state.log_file(BAD, "extract", 1)) in text
    assert text.endswith("  line 99\n  line 100\n")
    assert "  line 81\n" in text
    assert "line 80\n" not in text


@pytest.mark.usefixtures("state")
def test_programs_get_every_amount_exact(workshop: Workshop) -> None:
    shown = values(workshop, "show", GOOD)

    machine = shown["instances"][1]
    assert machine["cost"] == {"amount": f"{COST:f}", "currency": "EUR"}
    assert machine["offer"]["hourly"]["amount"] == "0.012"
    assert [line["name"] for line in machine["lines"]] == ["a2 in north", "address"]
    assert [one["state"] for one in shown["instances"]] == ["refused", "gone"]
    assert [one["seconds"] for one in shown["stages"]] == [240, 480]
    assert shown["stages"][0]["result"] == {"asked": 3, "fetched": 2}
    assert shown["notes"][0]["text"] == "a2 is sold out; trying the next offer"


@pytest.mark.usefixtures("state")
def test_costs_are_told_by_month_provider_and_stage(workshop: Workshop) -> None:
    lines = printed(workshop, "cost").splitlines()
    told = values(workshop, "cost", "--since", "2026-11-01")

    assert lines[0].split() == [
        *("month", "provider", "stage", "machines", "time", "estimate", "cost")
    ]
    assert lines[1].split()[:4] == ["2026-11", "acme", "extract", "2"]
    assert lines[2].split()[:4] == ["2026-11", "acme", "transform", "1"]
    total = cost(OFFER, 2 * MINUTE, NOON).cost.amount + COST
    assert lines[-1].startswith(f"total {total:.4f} EUR, estimated 0.0042 EUR")
    assert [(row["stage"], row["instances"]) for row in told["rows"]] == [
        ("extract", 2),
        ("transform", 1),
    ]
    assert [one["stage"] for one in told["by_stage"]] == ["extract", "transform"]
    assert told["by_month"][0]["month"] == "2026-11"
    assert float(told["cost"][0]["amount"]) == pytest.approx(float(total), abs=1e-12)
    assert values(workshop, "cost", "--since", "2026-12")["rows"] == []


def test_what_is_still_there_counts_so_far_and_a_killed_run_is_told(
    workshop: Workshop, state: State
) -> None:
    now = NOON + timedelta(hours=2)
    with state.ledger() as ledger:
        ledger.begin_run(run_row("20261124T140000-ffffff", at=now))
        row = machine_row("left", run="20261124T140000-ffffff", at=now)
        ledger.intend_machine(row)
        ledger.machine_created("left", id="9", region="north", created_at=now, at=now)

    shown = workshop.run("runs", "show")
    listed = workshop.run("runs", "--limit", "1")

    assert "so far, estimated 0.0021 EUR" in shown.stdout
    assert "created 14:00:00, still exists, its deadline is 2026-11-24 16:00:00" in shown.stdout
    assert "EUR so far" in listed.stdout
    assert "cut off" in listed.stdout
    assert "3 (1 open)" in workshop.run("runs", "cost").stdout


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("show 20261124", f"several runs: {BAD}, {GOOD}"),
        ("show nothing", "no run 'nothing'; `materia runs` lists all runs"),
        ("cost --since yesterday", "'yesterday' is neither a day like 2026-11-24"),
        ("--limit 0", "greater than or equal to 1"),
    ],
)
def test_a_mistake_is_told(workshop: Workshop, words: str, said: str) -> None:
    ended = workshop.run("runs", *words.split())

    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in " ".join(ended.stderr.split())


def test_a_folder_that_cannot_be_read_is_told(workshop: Workshop) -> None:
    workshop.write("state/ledger.db/file", "")

    ended = workshop.run("runs", environment={"MATERIA_STATE_DIR": "state"})

    assert ended.returncode == 2
    assert "set MATERIA_STATE_DIR to another folder" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.usefixtures("state")
def test_the_shell_completes_the_identities_of_runs(workshop: Workshop) -> None:
    def completed(words: str) -> list[str]:
        environment = {
            "_MATERIA_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": "3",
        }
        return subprocess.run(
            [str(Path(sys.executable).with_name("materia"))],
            cwd=workshop.directory,
            env=workshop.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
        ).stdout.split()

    assert completed("materia runs show ") == [BAD, GOOD]
    assert completed("materia runs show 20261124T12") == [GOOD]


@pytest.mark.parametrize(
    ("words", "taught"),
    [
        ("", "materia runs cost --since 2026-11"),
        ("show", "the newest run"),
        ("cost", "Amounts in different currencies"),
    ],
)
def test_help_teaches(workshop: Workshop, words: str, taught: str) -> None:
    assert taught in " ".join(printed(workshop, *words.split(), "--help").split())


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(
    ("words", "opened"), [("--help", False), ("runs --help", False), ("runs", True)]
)
def test_only_what_looks_into_the_ledger_imports_it(
    workshop: Workshop, words: str, *, opened: bool
) -> None:
    ended = workshop.run(*words.split(), environment={"PYTHONPROFILEIMPORTTIME": "1"})

    assert ended.returncode == 0
    names = {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in ended.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert ("sqlite3" in names) == opened
    assert names & {"asyncio", "duckdb", "httpx", "pluggy", "pydantic", "sqlmesh"} == set()


def test_a_run_is_followed_until_it_ends_and_each_event_is_shown_once() -> None:
    begun = {"at": "2026-11-24T12:00:00+00:00", "text": "the run begins"}
    started = {"at": "2026-11-24T12:00:09+00:00", "text": "stage extract starts"}
    created = {"at": "2026-11-24T12:00:05+00:00", "text": "machine a: created"}
    ended = {"at": "2026-11-24T12:01:00+00:00", "text": "the run ends: ok"}
    head = {"run": GOOD, "started_at": begun["at"], "alive": True}
    looks = [
        {**head, "state": "running", "timeline": [begun]},
        {**head, "state": "running", "timeline": [begun, started]},
        {**head, "state": "running", "timeline": [begun, created, started]},
        {**head, "state": "ok", "timeline": [begun, created, started, ended]},
    ]
    waited: list[int] = []

    lines = list(followed(lambda: looks[len(waited)], lambda: waited.append(1)))

    assert lines == [
        "12:00:00  the run begins",
        "12:00:09  stage extract starts",
        "12:00:05  machine a: created",
        "12:01:00  the run ends: ok",
    ]


@pytest.mark.usefixtures("state")
def test_following_a_run_that_has_ended_shows_its_events_and_its_page(workshop: Workshop) -> None:
    text = printed(workshop, "show", "--follow", GOOD)
    events, page = text.split("\n\n", 1)

    assert events.splitlines()[0].endswith("the run begins")
    assert events.splitlines()[-1].endswith("the run ends: ok")
    assert page == printed(workshop, "show", GOOD)
    assert workshop.run("runs", "show", "--follow", "--json", GOOD).returncode == 2
