"""The ledger: what was run, rented and paid, in one SQLite file that survives any crash.

Intent is written before each effect, so a machine that may exist is always known. Every write is
one transaction, on the disk when the method returns. Many processes may write and read at once.
Texts come without secrets; this module does not look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from materia.cost import Line
from materia.ledger_rows import (
    CostRow,
    MachineRow,
    Note,
    RunRow,
    RunState,
    StageRow,
    StageState,
)
from materia.machines import Money


class Ledger:
    """The ledger in one file; usable from several threads."""

    def __init__(self, path: Path) -> None:
        """Open *path*, and make it when missing.

        Raises:
            ConfigError: it cannot be opened, or is of a newer materia.
            LedgerError: it is damaged.
        """
        self.path = path
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        raise NotImplementedError

    def begin_run(self, row: RunRow) -> None:
        """A run begins."""
        raise NotImplementedError

    def end_run(self, run: str, state: RunState, *, at: datetime, error: str | None = None) -> bool:
        """A run has ended, and with it its stages; False when it had before, which stands."""
        raise NotImplementedError

    def save_plan(self, run: str, plan: Mapping[str, object]) -> None:
        """What was planned, ready for JSON; the newest plan counts."""
        raise NotImplementedError

    def plan(self, run: str) -> Mapping[str, object] | None:
        """The plan that was saved last, or None."""
        raise NotImplementedError

    def intend_machine(self, row: MachineRow) -> None:
        """A machine will be asked for: written before it is.

        Raises:
            LedgerError: an open machine has this name.
        """
        raise NotImplementedError

    def machine_created(
        self,
        name: str,
        *,
        id: str,  # noqa: A002 -- the word of the instance it comes from
        region: str,
        created_at: datetime | None,
        at: datetime,
    ) -> bool:
        """It exists. False, here and below, when no open machine has the name: nothing is changed.

        Args:
            name: As it was intended.
            id: The provider's own identity of it.
            region: Where it is.
            created_at: When the provider says it was created.
            at: When we were told; stands in for *created_at*.
        """
        raise NotImplementedError

    def machine_ready(self, name: str, *, host: str | None, at: datetime) -> bool:
        """It can be reached."""
        raise NotImplementedError

    def machine_destroying(self, name: str, *, at: datetime) -> bool:
        """Its end will be asked for: written before it is. The first moment stands."""
        raise NotImplementedError

    def machine_gone(
        self, name: str, *, at: datetime, cost: Money, lines: Sequence[Line] = ()
    ) -> bool:
        """The provider no longer lists it; what it came to."""
        raise NotImplementedError

    def machine_failed(self, name: str, reason: str) -> bool:
        """Nothing was created, and nothing is owed."""
        raise NotImplementedError

    def begin_stage(self, row: StageRow) -> None:
        """A worker is started."""
        raise NotImplementedError

    def end_stage(
        self,
        run: str,
        stage: str,
        attempt: int,
        *,
        state: StageState,
        at: datetime,
        result: Mapping[str, object] | None = None,
        error: str | None = None,
    ) -> bool:
        """An attempt has ended; False when it had before, which stands."""
        raise NotImplementedError

    def note(self, run: str, *, at: datetime, stage: str, text: str) -> None:
        """Remember a sentence."""
        raise NotImplementedError

    def runs(
        self, *, limit: int | None = None, since: datetime | None = None
    ) -> tuple[RunRow, ...]:
        """Runs that began at *since* or later, newest first."""
        raise NotImplementedError

    def run(self, identity: str) -> RunRow:
        """The run of this identity, or the only one whose identity begins with it.

        Raises:
            ConfigError: there is none, or there are several.
        """
        raise NotImplementedError

    def machines(
        self, *, run: str | None = None, open_only: bool = False
    ) -> tuple[MachineRow, ...]:
        """Machines in the order they were wanted, of one run or of all."""
        raise NotImplementedError

    def stages(self, run: str) -> tuple[StageRow, ...]:
        """Attempts at the stages of a run, in the order they were started."""
        raise NotImplementedError

    def notes(self, run: str) -> tuple[Note, ...]:
        """The notes of a run, oldest first."""
        raise NotImplementedError

    def costs(self, *, since: datetime | None = None, now: datetime) -> tuple[CostRow, ...]:
        """What rented machines cost by month, provider and stage; those wanted since *since*."""
        raise NotImplementedError

    def month_spent(self, month: date, now: datetime) -> tuple[Money, ...]:
        """What machines wanted in the month of the day *month* cost, one amount for each currency.

        Those that are gone count with their cost, open ones with their worst case, or with what
        they cost until *now* when that is more. Empty when nothing was rented.
        """
        raise NotImplementedError

    def expected(self, source: str, stage: str) -> timedelta | None:
        """How long a rented machine is needed for the stage, boot and teardown included.

        The median of the last 5 runs that succeeded on the real data; None without any.
        """
        raise NotImplementedError
