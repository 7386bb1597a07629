"""What this computer lists, so that a rented machine may record nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from materia._entry_points import EntryPoint
from materia.data import Fetched, Partition, RawFile
from materia.kit.files import sha256_of
from materia.plugins import load_plugins
from materia_runner.config.pipeline import Pipeline
from materia_runner.config.stages import STAGES
from materia_runner.ledger.ledger import Ledger
from materia_runner.ledger.state import State
from materia_runner.pricing.currency import Exchange
from materia_runner.rental.cost_meter import CostMeter
from materia_runner.run.context import RunContext
from materia_runner.run.recorder import Recorder
from materia_runner.signals import interrupts

URL = "http://127.0.0.1:9/v1"


def context(folder: Path, ledger: Ledger) -> RunContext:
    modules = {"readings": "fakes.readings", "duckdb": "materia_duckdb"}
    registry = load_plugins(
        [
            EntryPoint(name=name, value=module, distribution="fakes", version="1")
            for name, module in modules.items()
        ]
    )
    sink = registry.sink("duckdb").plugin
    pipeline = Pipeline(
        directory=folder,
        providers=("rental",),
        sources=("readings",),
        sink="duckdb",
        stages=STAGES[:1],
        project=None,
        settings={
            ("source", "readings"): {"url": URL},
            ("sink", "duckdb"): {one.name: one.default for one in sink.settings},
        },
    )
    state = State(folder / "state")
    recorder = Recorder("r1", state=state, ledger=ledger, observe=lambda *_: None, hidden=())
    with interrupts() as signals:
        return RunContext(
            run="r1",
            pipeline=pipeline,
            registry=registry,
            environment={},
            everything=False,
            bundled_only=True,
            state=state,
            recorder=recorder,
            cost_meter=CostMeter(Exchange()),
            signals=signals,
        )


def test_a_machine_may_record_the_run_behind_the_ones_that_are_kept(
    tmp_path: Path, ledger: Ledger
) -> None:
    here = context(tmp_path, ledger)
    assert here.partitions(STAGES[0]) == {"readings": frozenset({"000001"})}
    file = tmp_path / "pages.jsonl"
    file.write_text('{"id": "1"}\n')
    sink = here.home_sink()
    assert sink is not None
    first = Partition(key="000001", url=URL, file="readings.jsonl")
    raw = RawFile(
        partition=first.key,
        file=first.file,
        url=URL,
        sha256=sha256_of(file),
        content=f"{sha256_of(file)}#after=2",
        size=file.stat().st_size,
        etag=None,
        last_modified=None,
        fetched_at=datetime.now(UTC),
    )
    sink.record("readings", first, Fetched(raw=raw, path=file))

    assert here.partitions(STAGES[0]) == {"readings": frozenset({"000001", "000002"})}
