"""materia runs data pipelines on the cheapest machine on offer, and leaves nothing behind.

Plugins import these names: the declarations, the protocols, the values and the errors. Each is
imported on first use, because `materia --help` needs none of them. `materia.kit` and the kits
beside it hold code that several plugins share; `docs/plugin-api.md` lists all of it.
"""

# Each of these modules has its own __all__, which type checkers read.
# ruff: noqa: F403, F405
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from materia.compute import *
    from materia.data import *
    from materia.errors import *
    from materia.hookspecs import *
    from materia.protocols import *

# The modules to search for a name, in this order: a plugin that only declares imports no values.
_HOMES = ("hookspecs", "protocols", "errors", "compute", "data")

__all__ = [
    "ANY_REGION",
    "Absent",
    "Architecture",
    "ArtifactError",
    "Attached",
    "Availability",
    "Billing",
    "BudgetError",
    "BusyError",
    "CapacityError",
    "ConfigError",
    "Cpu",
    "CredentialsError",
    "Extra",
    "FetchRequest",
    "FetchResult",
    "Fetched",
    "HasClock",
    "HasHistory",
    "HostKeyError",
    "Instance",
    "InstanceRequest",
    "Known",
    "LedgerError",
    "LoadReport",
    "LoadRequest",
    "Made",
    "MateriaError",
    "MissingSecretError",
    "Money",
    "NoOfferError",
    "Offer",
    "Opening",
    "OrphanError",
    "OtherMachineError",
    "Partition",
    "PartitionsRequest",
    "Plugin",
    "PluginError",
    "Provider",
    "ProviderError",
    "PublishRequest",
    "PublishedState",
    "RawFile",
    "ReadyTimeoutError",
    "Refused",
    "Requirements",
    "Setting",
    "SettingKind",
    "Sink",
    "SinkError",
    "Source",
    "SourceError",
    "StageError",
    "Table",
    "Unchanged",
    "VariableError",
    "WorkerLostError",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        for home in _HOMES:
            module = importlib.import_module(f"materia.{home}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module 'materia' has no attribute {name!r}")
