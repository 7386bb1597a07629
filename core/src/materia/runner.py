"""Run a pipeline: for each stage an instance, a worker on it, and nothing left of either."""

from __future__ import annotations

import secrets as randomness
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from materia.errors import CapacityError, NoOfferError
from materia.events import Event, Log, Observe
from materia.launch import run_worker
from materia.lifecycle import ephemeral_instance, sweep
from materia.machines import Instance, InstanceRequest, Offer
from materia.model import Pipeline, RunReport, Stage, StageReport
from materia.plugins import Found, Registry, open_plugin, take_secrets
from materia.protocols import Provider
from materia.secrets import without_secrets
from materia.signals import Interrupts, interrupts
from materia.worker_request import WorkerRequest

# A worker that outlives this many times what was expected may be destroyed by anyone.
EXPIRY = 6
SHORTEST_EXPIRY = timedelta(hours=1)


def _unheard(_stage: str, _event: Event) -> None:
    """Nobody listens."""


def run(
    pipeline: Pipeline,
    registry: Registry,
    environment: Mapping[str, str],
    *,
    everything: bool = False,
    bundled_only: bool = False,
    observe: Observe = _unheard,
) -> RunReport:
    """Run the stages one after the other; the first that fails is the last.

    Partitions that could not be had do not fail a stage: they are `problems` in its result.

    Raises:
        Interrupted: SIGINT, SIGTERM or SIGHUP came; everything is cleared away.
        MateriaError: of the class that says what to do about it.
    """
    started = time.monotonic()
    identity = new_run(datetime.now(UTC))
    request = _request(pipeline, registry, environment, run=identity)
    request = replace(request, everything=everything, bundled_only=bundled_only)
    worker_environment = without_secrets(environment, registry)
    provider = open_plugin(
        registry.provider(pipeline.providers[0]),
        environment,
        settings=pipeline.settings["provider", pipeline.providers[0]],
        directory=pipeline.directory,
    )
    reports = []
    with interrupts() as signals:
        with signals.held():
            swept = sweep(provider)
        for stage in pipeline.stages:
            for left in swept:
                message = f"{left.name} was left by an earlier run and is destroyed now"
                observe(stage.name, Log(level="info", message=message))
            swept = ()
            begun = time.monotonic()
            with _instance(provider, identity, stage, signals, observe) as instance:
                result = run_worker(
                    instance,
                    replace(request, stage=stage.name, workspace=Path(instance.directory)),
                    environment=worker_environment,
                    observe=observe,
                )
            reports.append(
                StageReport(
                    stage=stage.name,
                    provider=pipeline.providers[0],
                    seconds=round(time.monotonic() - begun, 3),
                    result=result,
                )
            )
    return RunReport(
        run=identity,
        stages=tuple(reports),
        seconds=round(time.monotonic() - started, 3),
        sample=pipeline.sample,
    )


def _request(
    pipeline: Pipeline, registry: Registry, environment: Mapping[str, str], *, run: str
) -> WorkerRequest:
    """What all stages of the run are asked, with the secrets of the source and the sink alone."""
    found: dict[str, Found[Any]] = {
        "source": registry.source(pipeline.source),
        "sink": registry.sink(pipeline.sink),
    }
    return WorkerRequest(
        run=run,
        stage="",
        source=pipeline.source,
        sink=pipeline.sink,
        settings={
            kind: pipeline.settings[one.kind, one.plugin.name] for kind, one in found.items()
        },
        secrets={kind: take_secrets(one, environment) for kind, one in found.items()},
        directory=pipeline.directory.absolute(),
        workspace=pipeline.directory,
        project=pipeline.project and pipeline.project.absolute(),
        sample=pipeline.sample,
    )


def new_run(now: datetime) -> str:
    """An identity that sorts by time and names no other run: `20261124T085500-ab12cd`."""
    return f"{now:%Y%m%dT%H%M%S}-{randomness.token_hex(3)}"


def instance_name(run: str, stage: str) -> str:
    """A name that every cloud takes: `a-z`, `0-9` and `-`, at most 63."""
    return f"materia-{run}-{stage}".lower()[:63]


@contextmanager
def _instance(
    provider: Provider, run: str, stage: Stage, signals: Interrupts, observe: Observe
) -> Iterator[Instance]:
    """An instance of the first offer that can be had."""
    refusals = []
    for offer in _usable(provider, stage):
        request = InstanceRequest(
            name=instance_name(run, stage.name),
            run=run,
            stage=stage.name,
            offer=offer,
            expires_at=datetime.now(UTC)
            + max(SHORTEST_EXPIRY, EXPIRY * stage.requirements.expected),
        )
        taken = False
        try:
            with ephemeral_instance(provider, request, signals) as instance:
                taken = True
                yield instance
                return
        except CapacityError as error:
            if taken:
                raise
            refusals.append(str(error))
            observe(stage.name, Log(level="info", message=f"{error}; trying the next offer"))
    raise NoOfferError("\n  ".join([f"nothing to run the stage {stage.name} on", *refusals]))


def _usable(provider: Provider, stage: Stage) -> list[Offer]:
    offers = [
        offer
        for offer in provider.offers(stage.requirements)
        if offer.availability not in {"unavailable", "no_quota"}
    ]
    if paid := [offer for offer in offers if offer.hourly.amount > 0]:
        raise NoOfferError(
            f"{paid[0].provider}: stages run on this machine only so far, and nothing was rented; "
            f"use --provider local, or compare with `materia providers price`"
        )
    return offers
