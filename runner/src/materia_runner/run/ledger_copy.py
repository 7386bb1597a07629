"""Keep a copy of the ledger in the bucket while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from materia.errors import MateriaError

from materia_runner.run.context import RunContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from materia_runner.config.pipeline import Pipeline
    from materia_runner.ledger.ledger import Ledger
    from materia_runner.ledger.state import State
    from materia_runner.schedule.ledger_copies import LedgerCopies

# A stage that has ended waits for its copy on a machine that is paid for.
LIMIT = timedelta(seconds=30)


def opened(
    pipeline: Pipeline, environment: Mapping[str, str], *, state: State, ledger: Ledger
) -> LedgerCopies | None:
    """The copies of the pipeline's runs; None without a bucket.

    Raises:
        MissingSecretError: the bucket's credentials are missing.
        PluginError: obstore is not installed.
    """
    if pipeline.artifacts is None:
        return None
    from materia_store.object_store import Patience

    from materia_runner.artifact.bucket import REACH_LIMIT, ArtifactBucket
    from materia_runner.schedule.ledger_copies import LedgerCopies

    patience = Patience(request=LIMIT, reach=REACH_LIMIT, overall=LIMIT)
    bucket = ArtifactBucket(pipeline.artifacts, environment, patience)
    return LedgerCopies(bucket, pipeline.name, state=state, ledger=ledger)


@contextmanager
def copied_ledger(context: RunContext) -> Iterator[None]:
    """Begin with the runs of other computers, and keep the copy of this one in the block.

    A bucket that cannot be used is a warning; a run that rents is refused by the first intent then.
    """
    pipeline, ledger = context.pipeline, context.recorder.ledger
    try:
        context.copies = opened(pipeline, context.environment, state=context.state, ledger=ledger)
    except MateriaError:  # a run that rents is refused by its lease; of another, its status warns
        context.copies = None
    if context.copies is None:
        yield
        return
    _try(context, lambda copies: _restore(context, copies))
    failed = _warner(context)
    with context.copies.beating(context.run, failed=failed):
        yield


def copy_ledger(context: RunContext, *, alive: bool = True) -> None:
    """Write what the ledger has of the run to the bucket; a failure is a warning, once."""

    def push(copies: LedgerCopies) -> None:
        copies.push(context.run, alive=alive)
        if not alive:
            copies.push_left()  # of runs that were swept meanwhile

    _try(context, push)


def _restore(context: RunContext, copies: LedgerCopies) -> None:
    restored = copies.restore(now=datetime.now(UTC))
    first = context.pipeline.stages[0].name
    if restored.runs:
        count = len(restored.runs)
        many = "1 run of another computer" if count == 1 else f"{count} runs of other computers"
        context.recorder.say(first, f"{many} read from the bucket into the ledger")
    for problem in restored.problems:
        context.recorder.say(first, problem, warning=True)


def _try(context: RunContext, call: Callable[[LedgerCopies], None]) -> None:
    if context.copies is None:
        return
    context.recorder.doing("copy the ledger to the bucket")
    try:
        call(context.copies)
    except MateriaError as error:
        _warner(context)(error)


def _warner(context: RunContext) -> Callable[[MateriaError], None]:
    def warn(error: MateriaError) -> None:
        message = f"the copy of the ledger in the bucket is behind, and is written later: {error}"
        if "copy of the ledger" not in context.said:
            context.said.add("copy of the ledger")
            context.recorder.say(context.pipeline.stages[0].name, message, warning=True)

    return warn
