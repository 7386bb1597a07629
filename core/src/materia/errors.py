"""Exceptions and exit codes of materia: one class for each decision a caller can make.

MateriaError                     exit 1
├── ConfigError                  exit 2   materia.toml or an option is wrong
├── PluginError                  exit 2   a plugin cannot load, is unknown, or is declared twice
├── VariableError                exit 2   a variable for proxies or certificates cannot be used
├── MissingSecretError           exit 2   a variable is not set; under auto the provider is skipped
├── ProviderError                exit 1   the provider's API failed; under auto it is skipped
│   ├── CredentialsError         exit 1   it refused the credentials; under auto it is skipped
│   ├── CapacityError            exit 1   the offer is sold out; the runner tries the next one
│   ├── ReadyTimeoutError        exit 1   the instance never answered; destroyed, then the next one
│   │   └── HostKeyError         exit 1   another host key answered at its address; not trusted
│   ├── OtherMachineError        exit 1   it has another Python or processor; rented once more
│   └── OrphanError              exit 3   something could not be destroyed and still costs money
├── NoOfferError                 exit 4   no provider can run the stage
├── BudgetError                  exit 4   the plan, or the run, would pass the cap
├── BusyError                    exit 5   another process holds what this one needs
├── LedgerError                  exit 1   the record of runs failed; machines are destroyed anyway
├── ArtifactError                exit 1   the worker artifact cannot be built or pushed
├── SourceError                  exit 1   a partition could not be fetched or loaded
├── SinkError                    exit 1   the sink could not keep or publish something
├── WorkerLostError              exit 1   a worker is out of reach: how its stage ended is unknown
└── StageError                   exit 1   a stage failed

A message says what could not be done, on what, and what to do about it. It holds no secret.
Mistakes in the program itself (TypeError, KeyError, ...) are not here and keep their traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from materia.text import together

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = [
    "ArtifactError",
    "BudgetError",
    "BusyError",
    "CapacityError",
    "ConfigError",
    "CredentialsError",
    "HostKeyError",
    "LedgerError",
    "Made",
    "MateriaError",
    "MissingSecretError",
    "NoOfferError",
    "OrphanError",
    "OtherMachineError",
    "PluginError",
    "ProviderError",
    "ReadyTimeoutError",
    "SinkError",
    "SourceError",
    "StageError",
    "VariableError",
    "WorkerLostError",
]

Made = Literal["", "address", "machine"]


class MateriaError(Exception):
    """Any error that materia raises on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigError(MateriaError):
    """A key of materia.toml, or a command line option, has an invalid value.

    Each argument is the message of one mistake.
    """

    exit_code = 2

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class PluginError(MateriaError):
    """A plugin cannot be loaded, is not installed, or has the same name as another."""

    exit_code = 2


class VariableError(MateriaError):
    """An environment variable for proxies or certificates has an invalid value."""

    exit_code = 2


class MissingSecretError(MateriaError):
    """An environment variable that a plugin needs is not set."""

    exit_code = 2

    def __init__(self, plugin: str, names: tuple[str, ...]) -> None:
        self.plugin = plugin
        self.names = names
        super().__init__(f"{plugin}: set {together(names)} to use it")

    def __reduce__(self) -> tuple[type[MissingSecretError], tuple[str, tuple[str, ...]]]:
        return type(self), (self.plugin, self.names)


class ProviderError(MateriaError):
    """A provider's API failed.

    Attributes:
        made: What the failed create made and removed again, which the provider bills. Empty:
            nothing.
        retry_after: How long the service asks to wait before the next try, or None.
    """

    made: Made = ""  # for an error that came from another process, without arguments
    retry_after: timedelta | None = None

    def __init__(
        self, *words: object, made: Made = "", retry_after: timedelta | None = None
    ) -> None:
        super().__init__(*words)
        self.made = made
        self.retry_after = retry_after

    def after_undoing(self, made: Made) -> Self:
        """The same error for a create that was undone, with what the provider bills all the same.

        A subclass must take the arguments of this class.
        """
        return type(self)(*self.args, made=made, retry_after=self.retry_after)


class CredentialsError(ProviderError):
    """A provider refused the credentials it was given."""


class CapacityError(ProviderError):
    """The offer is sold out, or the account's quota is used up."""


class ReadyTimeoutError(ProviderError):
    """An instance did not answer over SSH before its deadline."""


class HostKeyError(ReadyTimeoutError):
    """The server at an instance's address shows another SSH host key than the instance got."""


class OtherMachineError(ProviderError):
    """A machine has another Python or processor than expected; no artifact for it is built yet."""


class OrphanError(ProviderError):
    """An orphan that costs money could not be destroyed; the message says how to delete it."""

    exit_code = 3


class NoOfferError(MateriaError):
    """No provider can run the stage; the message gives the reason of each provider on a line."""

    exit_code = 4


class BudgetError(MateriaError):
    """The plan, or the run, would cost more than the budget allows."""

    exit_code = 4


class BusyError(MateriaError):
    """Another process holds the lock; the message names it."""

    exit_code = 5


class LedgerError(MateriaError):
    """The ledger of runs could not be read or written; its earlier contents are unharmed.

    The runner destroys its machines all the same.
    """


class ArtifactError(MateriaError):
    """The worker artifact cannot be built for its Python and processor, or its bucket failed."""


class SourceError(MateriaError):
    """A partition could not be fetched or loaded; no partial file has its final name."""


class SinkError(MateriaError):
    """The sink could not keep a raw file or publish tables; its earlier contents are unharmed."""


class WorkerLostError(MateriaError):
    """A worker is out of reach, so it is unknown whether its stage succeeded.

    It means neither success nor failure: ask the sink what was kept before the stage runs again.
    """


class StageError(MateriaError):
    """A stage failed; the message ends with its last output."""


def _tree(kind: type[MateriaError]) -> Iterator[type[MateriaError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _tree(below)


# The classes above, and none that a plugin derives from them later.
_BY_NAME = {kind.__name__: kind for kind in _tree(MateriaError)}
# The classes that a stage can fail with. The others are about machines or money, which the runner
# checks for itself: a worker that says "sold out" must not make it rent another machine.
OF_A_STAGE = frozenset(
    kind.__name__
    for kind in (
        *(ConfigError, PluginError, MissingSecretError, VariableError, BusyError),
        *(SourceError, SinkError, StageError),
    )
)


def error_of_worker(kind: str, message: str) -> MateriaError:
    """The error that a worker reported; StageError for a class that no stage can fail with."""
    return error_called(kind if kind in OF_A_STAGE else StageError.__name__, message)


def error_called(kind: str, message: str) -> MateriaError:
    """The error that another process sent as a class name and a message; StageError otherwise."""
    found = _BY_NAME.get(kind, StageError)
    error = found.__new__(found)
    Exception.__init__(error, message)  # not the class's own arguments: the message is complete
    return error
