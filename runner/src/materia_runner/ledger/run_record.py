"""Record the start and the end of a run in the ledger.

The same record serves a run of a pipeline, a rollback, and the creation of a manual worker.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from materia.errors import BudgetError

from materia_runner.ledger.rows import RunRow, RunState
from materia_runner.signals import Interrupted

if TYPE_CHECKING:
    from materia_runner.ledger.ledger import Ledger


def new_run(now: datetime) -> str:
    """A new unique identity of a run, which sorts by time: `20261124T085500-ab12cd`."""
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


@contextmanager
def recorded_run(ledger: Ledger, row: RunRow, *, clean: Callable[[str], str]) -> Iterator[None]:
    """Record that the run of *row* starts in this process, and how this block ends.

    Args:
        ledger: The ledger.
        row: The run; this function fills in its process and version.
        clean: Redacts secrets from the reason of a failure.
    """
    ledger.begin_run(
        replace(
            row,
            pid=os.getpid(),
            host=socket.gethostname(),
            version=version("materia-runner"),
        )
    )
    outcome: RunState = "failed"
    reason = None
    try:
        yield
        outcome = "ok"
    except Interrupted as interrupted:
        outcome, reason = "interrupted", str(interrupted)
        raise
    except BudgetError as refused:
        outcome, reason = "over budget", str(refused)
        raise
    except Exception as failure:
        reason = str(failure) or type(failure).__name__
        raise
    finally:
        said = None if reason is None else clean(reason)
        ledger.end_run(row.run, outcome, at=datetime.now(UTC), error=said)
