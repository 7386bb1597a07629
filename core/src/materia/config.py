"""materia.toml -> Pipeline. Every key is optional; without the file the defaults run.

A mistake is a ConfigError that names the file, the key, what was found and what was expected.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import cast

from materia.currency import DEFAULT, Exchange, Rate
from materia.errors import ConfigError, PluginError
from materia.hookspecs import Setting
from materia.machines import Architecture, Requirements
from materia.model import Pipeline, Stage
from materia.plugins import KINDS, Kind, Registry, suggestion

FILE_NAME = "materia.toml"
PROJECT = "transform/sqlmesh_materia"
DEFAULTS: dict[Kind, str] = {"source": "psdonline", "sink": "duckdb", "provider": "local"}
ARCHITECTURES = ("x86_64", "arm64")
# Figures of one full-size month (2.1 million rows): both stages stay under 1 GB of memory; the rest
# is room for the history of a larger source.
STAGES = (
    Stage(
        name="extract",
        requirements=Requirements(
            vcpus=2, memory_gib=Decimal(8), disk_gib=20, expected=timedelta(minutes=10)
        ),
    ),
    Stage(
        name="transform",
        requirements=Requirements(
            vcpus=4, memory_gib=Decimal(16), disk_gib=20, expected=timedelta(minutes=10)
        ),
    ),
)


def find_config(start: Path) -> Path | None:
    """materia.toml in *start* or the nearest folder above it, or None."""
    for folder in (start, *start.parents):
        path = folder / FILE_NAME
        if path.exists() or path.is_symlink():  # a link to nothing is told, not passed over
            return path
    return None


def load_config(registry: Registry, *, path: Path | None, start: Path) -> Pipeline:
    """The pipeline that *path* describes, or the nearest materia.toml at or above *start*.

    Without one, the pipeline is at home in the nearest folder that has the default project, so that
    it is the same from every subfolder of a clone; without that too, in *start*.

    Raises:
        ConfigError: the file cannot be read, or a key is wrong.
        PluginError: a table names a plugin that is not installed.
    """
    path = path or find_config(start)
    if path is None:
        above = (folder for folder in (start, *start.parents) if (folder / PROJECT).is_dir())
        return parse_config({}, registry, name=FILE_NAME, directory=next(above, start))
    if path.is_dir():
        raise ConfigError(f"{path}: must be a file, is a folder")
    try:
        # Some editors put a byte order mark first.
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error
    pipeline = parse_config(document, registry, name=str(path), directory=path.resolve().parent)
    return replace(pipeline, file=path)


def parse_config(
    document: Mapping[str, object], registry: Registry, *, name: str, directory: Path
) -> Pipeline:
    """The pipeline in a parsed TOML *document*; *name* stands for the file in messages."""
    top = _Table(name, "", document)
    source, sink, provider = (
        _plugin(top, kind, registry) for kind in ("source", "sink", "provider")
    )
    transform = top.table("transform")
    project = directory / transform.text("project", PROJECT)
    if "project" in transform.values and not project.is_dir():
        raise transform.wrong("project", "the folder of a SQLMesh project")
    transform.finish()
    exchange = _exchange(top.table("currency"))
    stages_table = top.table("stages")
    stages = tuple(
        _stage(stage, stages_table.table(stage.name), exchange.shown) for stage in STAGES
    )
    stages_table.finish()
    settings = _settings(top, registry)
    top.finish()
    return Pipeline(
        directory=directory,
        provider=provider,
        source=source,
        sink=sink,
        stages=stages,
        project=project if project.is_dir() else None,
        settings=settings,
        exchange=exchange,
    )


def _exchange(table: _Table) -> Exchange:
    code = table.currency("code", DEFAULT)
    rates_table = table.table("rates")
    rates = []
    for currency in rates_table.values:
        rate = rates_table.table(currency)
        if not is_currency(currency) or currency == code:
            raise rates_table.wrong(
                currency,
                f"under the code of a currency other than {code}, as in [currency.rates.USD]",
            )
        rates.append(
            Rate(
                currency=currency,
                worth=rate.amount("worth"),
                on=rate.day("date"),
                source=rate.text("source", ""),
            )
        )
        rate.finish()
    table.finish()
    return Exchange(shown=code, configured=code, rates=tuple(rates))


def is_currency(code: str) -> bool:
    """Whether *code* has the form of an ISO 4217 code: three capital letters."""
    return len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()


def _plugin(top: _Table, kind: Kind, registry: Registry) -> str:
    """The name of the plugin to use; a default need not be installed until it is used."""
    if isinstance(top.values.get(kind), dict):
        raise top.wrong(kind, f"the name of a {kind}; settings belong under [{kind}s.<name>]")
    name = top.text(kind, DEFAULTS[kind])
    if kind in top.values:
        top.installed(kind, kind, name, registry)
    return name


def _settings(top: _Table, registry: Registry) -> dict[tuple[str, str], Mapping[str, object]]:
    settings: dict[tuple[str, str], Mapping[str, object]] = {}
    for kind in KINDS:
        tables = top.table(f"{kind}s")
        found = [found.plugin for found in registry.of_kind(kind)]
        names = [plugin.name for plugin in found]
        for plugin in found:
            if names.count(plugin.name) > 1:  # neither can be used
                continue
            table = tables.table(plugin.name)
            settings[kind, plugin.name] = {
                setting.name: table.setting(setting) for setting in plugin.settings
            }
            table.finish()
        for name in tables.values:
            if (kind, name) not in settings:
                tables.installed(name, kind, name, registry)
        tables.finish()
    return settings


def _stage(stage: Stage, table: _Table, currency: str) -> Stage:
    needs = stage.requirements
    architectures = table.texts("architectures", needs.architectures)
    if not architectures or not set(architectures) <= set(ARCHITECTURES):
        raise table.wrong("architectures", f"a list of {' and '.join(ARCHITECTURES)}")
    minutes = table.number("minutes", int(needs.expected.total_seconds()) // 60)
    needs = replace(
        needs,
        vcpus=table.number("vcpus", needs.vcpus),
        memory_gib=Decimal(table.number("memory_gib", int(needs.memory_gib))),
        disk_gib=table.number("disk_gib", needs.disk_gib),
        architectures=cast("tuple[Architecture, ...]", architectures),
        dedicated=table.yes_no("dedicated", default=needs.dedicated),
        expected=timedelta(minutes=minutes),
        currency=currency,
    )
    table.finish()
    return replace(stage, requirements=needs)


def _shown(value: object) -> str:
    """A value as a person wrote it in TOML, as far as its kind matters."""
    match value:
        case bool():
            return str(value).lower()
        case date():
            return f"the date {value}"
        case dict():
            return "a table"
        case None:
            return "not there"
        case _:
            return repr(value)


class _Table:
    """One table of the document, with the path that leads to it."""

    def __init__(self, file: str, prefix: str, values: Mapping[str, object]) -> None:
        self.file = file
        self.prefix = prefix
        self.values = values
        self.asked: list[str] = []

    def wrong(self, key: str, expected: str) -> ConfigError:
        return ConfigError(
            f"{self.file}: {self.prefix}{key} must be {expected}, is {_shown(self.values.get(key))}"
        )

    def installed(self, key: str, kind: Kind, name: str, registry: Registry) -> None:
        """Refuse the name of a plugin that is unknown, broken, or declared twice."""
        try:
            registry.get(kind, name)
        except PluginError as error:
            raise PluginError(f"{self.file}: {self.prefix}{key}: {error}") from error

    def _get(self, key: str) -> object:
        self.asked.append(key)
        return self.values.get(key)

    def text(self, key: str, default: str) -> str:
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "text" if value != "" else "text that is not empty")
        return value

    def number(self, key: str, default: int) -> int:
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(key, "a whole number from 1 up")
        return value

    def yes_no(self, key: str, *, default: bool) -> bool:
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "a list of text")
        return tuple(value)

    def currency(self, key: str, default: str) -> str:
        code = self.text(key, default)
        if not is_currency(code):
            raise self.wrong(key, 'the code of a currency, for example "EUR"')
        return code

    def amount(self, key: str) -> Decimal:
        """A required number above 0; text keeps every digit."""
        value = self._get(key)
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal(0)
        if isinstance(value, bool) or not amount.is_finite() or amount <= 0:
            raise self.wrong(key, 'a number above 0, for example "0.8654"')
        return amount

    def day(self, key: str) -> date:
        """A required date."""
        value = self._get(key)
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self.wrong(key, "a date, for example 2026-11-20 without quotes")
        return value

    def setting(self, setting: Setting) -> object:
        """The value of a plugin's setting, checked against its kind."""
        if (value := self._get(setting.name)) is None or value == setting.default:
            return setting.default
        match setting.kind:
            case "text":
                return self.text(setting.name, "")
            case "number":
                return self.number(setting.name, 0)
            case "yes_no":
                return self.yes_no(setting.name, default=False)
            case "texts":
                return self.texts(setting.name, ())

    def table(self, key: str) -> _Table:
        value = self._get(key)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(key, "a table")
        return _Table(self.file, f"{self.prefix}{key}.", value or {})

    def finish(self) -> None:
        """Refuse what nobody asked for."""
        for key in self.values:
            if key not in self.asked:
                known = sorted(self.asked)
                raise ConfigError(
                    f"{self.file}: unknown key {self.prefix}{key}{suggestion(key, known)}; "
                    f"known here: {', '.join(known) or 'none'}"
                )
