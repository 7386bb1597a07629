"""Share the ledger of a sweep with other computers, through the bucket of artifacts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from materia_runner.cli.context import load_environment
from materia_runner.cli.echo import echo

if TYPE_CHECKING:
    from materia.plugins import Registry

    from materia_runner.config.pipeline import Pipeline
    from materia_runner.schedule.ledger_copies import LedgerCopies


@contextmanager
def shared_ledger(
    registry: Registry, pipeline: Pipeline, *, trial: bool, whole: bool
) -> Iterator[None]:
    """Sweep, in the block, what dead runs of other computers left, too.

    Before the block it reads from the bucket what they rented; after it, it writes there what is
    gone. When the bucket cannot be used, the sweep goes by deadlines and by the ledger of this
    computer: that is a warning.

    Args:
        registry: All plugins.
        pipeline: The pipeline; without a bucket, nothing is shared.
        trial: Whether the block changes nothing.
        whole: Whether the block sweeps every provider of the pipeline: the bucket then has that
            this computer sweeps.
    """
    if pipeline.artifacts is None or trial:
        yield
        return
    environment = load_environment(registry, pipeline, using=(), bucket=True)
    usable = _try(pipeline, environment, _restore)
    swept = False
    try:
        yield
        swept = True
    except BaseException as error:
        swept = getattr(error, "exit_code", None) == 3  # it did sweep, and something is left
        raise
    finally:
        if usable:
            _try(pipeline, environment, lambda copies: copies.push_left())
        if usable and swept and whole:
            _note_sweep(pipeline, environment)


def _try(
    pipeline: Pipeline, environment: Mapping[str, str], call: Callable[[LedgerCopies], None]
) -> bool:
    from materia.errors import MateriaError

    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State
    from materia_runner.run.ledger_copy import opened

    state = State(state_folder(os.environ))
    try:
        with state.ledger() as ledger:
            if copies := opened(pipeline, environment, state=state, ledger=ledger):
                call(copies)
    except MateriaError as error:
        echo(f"materia: warning: the ledger in the bucket was left out: {error}", err=True)
        return False
    return True


def _restore(copies: LedgerCopies) -> None:
    from datetime import UTC, datetime

    for problem in copies.restore(now=datetime.now(UTC)).problems:
        echo(f"materia: warning: {problem}", err=True)


def _note_sweep(pipeline: Pipeline, environment: Mapping[str, str]) -> None:
    import socket

    from materia.errors import MateriaError

    from materia_runner.artifact.bucket import ArtifactBucket
    from materia_runner.schedule.sweeps import write_sweep

    if pipeline.artifacts is None:
        return
    try:
        bucket = ArtifactBucket(pipeline.artifacts, environment)
        write_sweep(bucket, pipeline.name, host=socket.gethostname())
    except MateriaError as error:
        echo(f"materia: warning: this sweep was not noted in the bucket: {error}", err=True)
