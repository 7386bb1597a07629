from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from fakes import folder
from fakes.rental import Rental, offer
from fakes.workshop import Workshop
from materia import Plugin
from materia.compute import Instance
from materia.errors import NoOfferError, OrphanError, StageError
from materia.plugins import InstalledPlugin, Kind, Registry
from materia_runner.config.pipeline import Pipeline
from materia_runner.ledger.run_record import new_run
from materia_runner.ledger.state import State
from materia_runner.messages.events import Event, Log
from materia_runner.run.placement import instance_name
from materia_runner.run.report import RunReport
from materia_runner.run.runner import run

Run = Callable[..., RunReport]


def found(kind: Kind, plugin: Plugin[object]) -> InstalledPlugin[object]:
    return InstalledPlugin(
        kind=kind, plugin=plugin, module="fakes", distribution="materia-fakes", version="1.2"
    )


@pytest.fixture
def rental(tmp_path: Path) -> Rental:
    return Rental(tmp_path / "machines")


@pytest.fixture
def other(tmp_path: Path) -> Rental:
    return Rental(tmp_path / "others")


@pytest.fixture
def heard() -> list[tuple[str, Event]]:
    return []


@pytest.fixture
def run_extract(
    folders: Workshop, rental: Rental, other: Rental, heard: list[tuple[str, Event]]
) -> Run:
    """Runs the stage extract of the folder pipeline on the rental, or on those that are named."""
    from materia_runner.config.stages import STAGES

    rented: Plugin[object] = Plugin(name="rental", summary="", open=lambda _: rental, rents=False)
    registry = Registry(
        found=(
            found("provider", rented),
            found("provider", replace(rented, name="other", open=lambda _: other)),
            found("source", folder.materia_sources()[0]),
            found("sink", folder.materia_sinks()[0]),
        ),
        failures=(),
    )
    pipeline = Pipeline(
        directory=folders.directory,
        providers=("rental",),
        sources=("folder",),
        sink="folder",
        stages=STAGES[:1],
        project=None,
        settings={
            ("provider", "rental"): {},
            ("provider", "other"): {},
            ("source", "folder"): {"folder": "in"},
            ("sink", "folder"): {"folder": "out"},
        },
    )

    def go(*providers: str) -> RunReport:
        return run(
            replace(pipeline, providers=providers or pipeline.providers),
            registry,
            folders.environment(),
            state=State(folders.home / "state"),
            observe=lambda stage, event: heard.append((stage, event)),
        )

    return go


def test_a_stage_runs_on_an_instance_that_is_gone_afterwards(
    run_extract: Run, rental: Rental
) -> None:
    report = run_extract()

    assert report.stages[0].result["fetched"] == 2
    assert rental.created == rental.destroyed == [instance_name(report.run, "extract")]
    assert rental.running == {}


def test_a_sold_out_offer_gives_way_to_the_next(
    run_extract: Run, rental: Rental, heard: list[tuple[str, Event]]
) -> None:
    rental.sold = [offer("cheap"), offer("dear")]
    rental.sold_out = {"cheap"}

    assert run_extract().stages[0].result["fetched"] == 2
    said = "rental: cheap is sold out; trying the next offer"
    assert ("extract", Log(level="warning", message=said)) in heard


def test_without_a_machine_each_offer_is_told_with_its_reason(
    run_extract: Run, rental: Rental
) -> None:
    rental.sold = [offer("cheap"), offer("dear")]
    rental.sold_out = {"cheap", "dear"}

    with pytest.raises(NoOfferError) as raised:
        run_extract()

    assert str(raised.value).splitlines() == [
        "no machine can run the stage extract",
        "  rental: cheap is sold out",
        "  rental: dear is sold out",
        "  try again later, name other providers, or ask for less under [stages.<name>]",
    ]


def test_a_provider_that_refuses_ten_times_gives_way_to_the_others(
    run_extract: Run, rental: Rental, other: Rental
) -> None:
    names = [f"cheap-{number}" for number in range(12)]
    rental.sold = [offer(name, hourly="0.01") for name in names]
    rental.sold_out = set(names)
    other.sold = [offer("dear", hourly="1")]

    report = run_extract("rental", "other")

    assert report.stages[0].provider == "other"
    assert len(rental.asked) == 10


def test_a_failed_stage_leaves_no_instance(
    run_extract: Run, rental: Rental, folders: Workshop
) -> None:
    folders.write("in/2024-03.csv", "#die\n")

    with pytest.raises(StageError):
        run_extract()

    assert rental.running == {}


def test_an_instance_that_is_still_listed_is_told_beside_what_failed_before(
    run_extract: Run, rental: Rental, folders: Workshop
) -> None:
    rental.keeps = True
    folders.write("in/2024-03.csv", "#die\n")

    with pytest.raises(OrphanError, match="still listed") as raised:
        run_extract()

    assert raised.value.exit_code == 3
    assert isinstance(raised.value.__context__, StageError)


@pytest.mark.parametrize(("hours", "destroyed"), [(-1, ["old"]), (1, [])])
def test_only_an_instance_whose_time_is_over_is_swept(
    run_extract: Run, rental: Rental, hours: int, destroyed: list[str]
) -> None:
    rental.running["old"] = Instance(
        provider="rental",
        id="old",
        name="old",
        run="20240101T000000-abcdef",
        stage="extract",
        region="here",
        expires_at=datetime.now(UTC) + timedelta(hours=hours),
    )

    run_extract()

    assert [name for name in rental.destroyed if name == "old"] == destroyed


def test_runs_sort_by_time_and_never_share_a_name() -> None:
    start = datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC)
    runs = [new_run(start + timedelta(seconds=second)) for second in range(4)]

    assert all(earlier < later for earlier, later in pairwise(runs))
    assert runs[0].startswith("20261231T235958-")
    assert len({new_run(start) for _ in range(100)}) == 100


def test_instance_names_suit_every_cloud() -> None:
    name = instance_name(new_run(datetime(2026, 11, 24, tzinfo=UTC)), "transform")

    assert re.fullmatch(r"[a-z][a-z0-9-]{0,61}[a-z0-9]", name)


def test_each_machine_of_a_run_has_a_name_of_its_own() -> None:
    run_name = new_run(datetime(2026, 11, 24, tzinfo=UTC))

    assert len({instance_name(run_name, "x" * 80, number) for number in range(1, 12)}) == 11
    assert all(len(instance_name(run_name, "x" * 80, number)) <= 63 for number in (1, 9, 10))
