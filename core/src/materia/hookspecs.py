"""Plugin hooks: how a provider, a source or a sink declares itself.

A plugin is a module named by an entry point of the group `materia`. Its hooks only declare: a name,
one line for people, the variables and settings it needs, and a function that opens the plugin.
Importing the module must stay cheap, so plugins import SDKs inside `open`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import pluggy

from materia._dataclass import dataclass
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
    """A setting of a plugin: a key in its table of materia.toml.

    Attributes:
        name: The key.
        kind: `text`, `number` (whole), `yes_no` or `texts` (a list of text).
        default: Value when materia.toml does not set the key.
        help: One line for the commented file that `materia init` writes.
        folder: Whether the text may name a folder, as a path or a file: address. A source that
            reads a folder does not run on a rented machine, where the folder does not exist.
    """

    name: str
    kind: SettingKind
    default: str | int | bool | tuple[str, ...] | None
    help: str
    folder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Secrets, settings and the base folder that a plugin is opened with.

    Attributes:
        secrets: The variables it declared, and no others.
        settings: A value for every setting it declared.
        directory: Folder that relative paths in the settings start from.
        once: Cache of a command: asks the service the same question once for all stages.
    """

    secrets: Mapping[str, str]
    settings: Mapping[str, object]
    directory: Path
    once: Once = field(default_factory=unkept, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin(Generic[T_co]):
    """A provider, source or sink, declared but not yet opened.

    Attributes:
        name: Name that the user types.
        summary: One line for `materia plugins`.
        open: Function that imports the SDK and returns the provider, source or sink.
        secrets: Names of all environment variables that it needs.
        settings: Its keys in materia.toml.
        check: Function that raises a ConfigError with every mistake in the settings, or None. It
            gets an opening without secrets, imports no SDK, writes nothing and connects to nothing.
            `materia config check` calls it.
        sample: Settings under which a source reads the small data that comes with it, or None;
            `materia run --sample` uses them.
        public_offers: Function that returns offers from public prices, without credentials, or
            None. The runner calls it when a secret is not set, with an opening without secrets;
            availability is then mostly `unknown`. The promises of `Provider.offers` hold: prices
            net of VAT and dated, and an error with the reason instead of an empty list.
        rents: False for a provider of machines that exist already: the runner compares its offers
            only when the user names it, or when no provider that rents is installed.
        on_worker: True for a sink that can be reached from anywhere, such as a bucket: the worker
            opens it on the rented machine, and its secrets travel there. Any other sink stays
            with the runner, and its files travel over SSH.
        default: Whether materia uses it when materia.toml names none of its kind. For plugins that
            come with materia: with two defaults of a kind the user has to name one.
    """

    name: str
    summary: str
    open: Callable[[Opening], T_co]
    secrets: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    check: Callable[[Opening], object] | None = None
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
