"""The three hooks a plugin can implement, and what they declare.

A plugin is a module named by an entry point of the group `materia`. Its hooks only declare: names,
one line for people, the variables and settings it wants, and a function that opens the real thing.
Importing the module must stay cheap, so SDKs are imported inside `open`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import pluggy

from materia.kit.once import Once, unkept

if TYPE_CHECKING:
    from materia.compute import Offer, Requirements
    from materia.protocols import Provider, Sink, Source

__all__ = ["Opening", "Plugin", "Setting", "SettingKind", "hookimpl"]

hookspec = pluggy.HookspecMarker("materia")
hookimpl = pluggy.HookimplMarker("materia")

T_co = TypeVar("T_co", covariant=True)
SettingKind = Literal["text", "number", "yes_no", "texts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A key that a plugin understands in its table of materia.toml.

    Attributes:
        name: The key.
        kind: `text`, `number` (whole), `yes_no` or `texts` (a list of text).
        default: What it is when materia.toml does not say.
        help: One line for the commented file that `materia init` writes.
        folder: Whether the text may name a folder, as a path or a file: address. A source that
            reads one is not run on a rented machine, where that folder is not.
    """

    name: str
    kind: SettingKind
    default: str | int | bool | tuple[str, ...] | None
    help: str
    folder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a plugin is opened with.

    Attributes:
        secrets: The variables it declared, and no others.
        settings: A value for every setting it declared.
        directory: Folder that relative paths in the settings start from.
        once: Asks the service the same thing once while a command compares what it offers.
    """

    secrets: Mapping[str, str]
    settings: Mapping[str, object]
    directory: Path
    once: Once = field(default_factory=unkept, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin(Generic[T_co]):
    """A provider, source or sink, declared but not yet opened.

    Attributes:
        name: What the user types.
        summary: One line for `materia plugins`.
        open: Imports what it needs and returns the object.
        secrets: Names of the environment variables it needs, all of them.
        settings: Keys it understands in materia.toml.
        sample: Settings under which a source reads the small data that comes with it, or None;
            `materia run --sample` uses them.
        public_offers: For a provider whose prices anyone may read: what `Provider.offers` says, as
            far as it can be said without credentials. It is called when a secret is not set, with
            an opening that has no secrets; availability is then mostly `unknown`. Net of VAT,
            dated, raises why instead of returning nothing, all as `Provider.offers`.
        rents: False for a provider of machines that are already there: it takes part in a
            comparison only when it is named, or when nothing that rents is installed.
        on_worker: True for a sink whose whole store is reached from anywhere, such as a bucket: it
            is opened on the rented machine, and its secrets travel there. Any other sink stays
            with the runner, and files go to it and come from it over SSH.
        default: Whether it is used where materia.toml names none of its kind. For what comes with
            materia itself: with two of a kind there is no default, and the user has to name one.
    """

    name: str
    summary: str
    open: Callable[[Opening], T_co]
    secrets: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    sample: Mapping[str, object] | None = None
    public_offers: Callable[[Opening, Requirements], Sequence[Offer]] | None = None
    rents: bool = True
    on_worker: bool = False
    default: bool = False


@hookspec
def materia_providers() -> Iterable[Plugin[Provider]]:
    """Declare compute providers.

    A whole plugin, `materia_acme/__init__.py`:

        from materia import Opening, Plugin, Provider, hookimpl

        def open_acme(opening: Opening) -> Provider:
            from materia_acme.provider import Acme  # the SDK is imported here

            return Acme(opening.secrets["ACME_TOKEN"])

        @hookimpl
        def materia_providers() -> list[Plugin[Provider]]:
            return [
                Plugin(
                    name="acme",
                    summary="Acme Cloud",
                    open=open_acme,
                    secrets=("ACME_TOKEN",),
                )
            ]
    """
    raise AssertionError("a specification is never called")


@hookspec
def materia_sources() -> Iterable[Plugin[Source]]:
    """Declare data sources.

    @hookimpl
    def materia_sources() -> list[Plugin[Source]]:
        return [Plugin(name="acme", summary="Acme's monthly prices", open=open_source)]
    """
    raise AssertionError("a specification is never called")


@hookspec
def materia_sinks() -> Iterable[Plugin[Sink]]:
    """Declare storage sinks.

    @hookimpl
    def materia_sinks() -> list[Plugin[Sink]]:
        return [Plugin(name="acme", summary="Acme's warehouse", open=open_sink)]
    """
    raise AssertionError("a specification is never called")
