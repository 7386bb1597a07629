"""Load materia.toml into a Pipeline. Every key is optional; without the file the defaults apply.

An error is a ConfigError that names the file, the key, the value and what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

from materia.compute import Architecture, Money, Requirements
from materia.errors import ConfigError
from materia.forms import Form
from materia.plugins import KINDS, Kind, Registry

from materia_runner.config.pipeline import (
    DEFAULT_CAP,
    Bucket,
    Budget,
    Pipeline,
    Schedule,
    Stage,
    default_deadline,
)
from materia_runner.config.project import above, find_project
from materia_runner.config.table import Table, is_currency
from materia_runner.folders import at_or_above
from materia_runner.pricing.currency import DEFAULT, Exchange, Rate

FILE_NAME = "materia.toml"
PROVIDER_SETTINGS = "MATERIA_PROVIDER_SETTINGS"  # names a file; see `load_config`
AUTO = "auto"
# The characters of systemd's calendar expressions; systemd itself checks the rest.
CALENDAR = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*:,./~ _+-]{0,199}")
# Of a pipeline or a channel: part of object names and of the names of systemd units.
NAME = Form(
    "a name in lower-case letters, digits, - and _, at most 40 long",
    re.compile("[a-z0-9][a-z0-9_-]*"),
    40,
)
ARCHITECTURES = ("x86_64", "arm64")
TEN_MINUTES = timedelta(minutes=10)
# Figures of one full-size month (2.1 million rows): both stages stay under 1 GB of memory; the rest
# is room for the history of a larger source.
STAGES = (
    Stage(
        name="extract",
        requirements=Requirements(
            vcpus=2, memory_gib=Decimal(8), disk_gib=20, expected=TEN_MINUTES
        ),
        deadline=default_deadline(TEN_MINUTES),
        output_gib=Decimal(1),
    ),
    Stage(
        name="transform",
        requirements=Requirements(
            vcpus=4, memory_gib=Decimal(16), disk_gib=20, expected=TEN_MINUTES
        ),
        deadline=default_deadline(TEN_MINUTES),
    ),
)


def find_config(start: Path) -> Path | None:
    """materia.toml in *start* or the nearest folder above it, or None."""
    for folder in at_or_above(start):
        path = folder / FILE_NAME
        if path.exists() or path.is_symlink():  # a broken link is an error later
            return path
    return None


def load_config(
    registry: Registry, *, path: Path | None, start: Path, provider_settings: Path | None = None
) -> Pipeline:
    """The pipeline that *path* describes, or the nearest materia.toml at or above *start*.

    Without a materia.toml, the pipeline's folder is the nearest one that has the default project,
    so that it is the same from every subfolder of a clone; without such a folder, it is *start*.

    The tables `[providers.NAME]` of the file *provider_settings* replace those of materia.toml:
    `materia emulator` uses it to point the providers at itself, and nothing else changes.

    Raises:
        ConfigError: a file cannot be read, or a key is invalid.
        PluginError: a table names a plugin that is not installed.
    """
    path = path or find_config(start)
    replaced = {} if provider_settings is None else _providers_in(provider_settings)
    if path is None:
        document, directory, name = {}, above(start) or start, FILE_NAME
    else:
        document, directory, name = _read(path), path.resolve().parent, str(path)
    tables = document.get("providers", {})
    if replaced and isinstance(tables, dict):  # anything else is refused with its key
        document["providers"] = {**tables, **replaced}
    pipeline = parse_config(document, registry, name=name, directory=directory)
    return replace(pipeline, file=path)


def _read(path: Path) -> dict[str, object]:
    if path.is_dir():
        raise ConfigError(f"{path}: must be a file, is a folder")
    import tomllib

    try:
        # Some editors put a byte order mark first.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error


def _providers_in(path: Path) -> dict[str, object]:
    try:
        tables = _read(path).get("providers")
    except ConfigError as error:
        raise ConfigError(
            f"{PROVIDER_SETTINGS}: {error}; the emulator that wrote it has ended: unset "
            f"{PROVIDER_SETTINGS} and MATERIA_STATE_DIR, or open a new terminal"
        ) from error
    if not isinstance(tables, dict):
        raise ConfigError(f"{PROVIDER_SETTINGS}: {path}: has no table [providers.NAME]")
    return tables


def parse_config(
    document: Mapping[str, object], registry: Registry, *, name: str, directory: Path
) -> Pipeline:
    """The pipeline in a parsed TOML *document*; *name* stands for the file in messages."""
    top = Table(name, "", document)
    source, sink = (_plugin(top, kind, registry) for kind in ("source", "sink"))
    providers = _providers(top, registry)
    transform = top.table("transform")
    project, brought_by = find_project(
        transform, source=source, directory=directory, projects=registry.projects
    )
    transform.finish()
    exchange = _exchange(top.table("currency"))
    stages_table = top.table("stages")
    stages = tuple(
        _stage(stage, stages_table.table(stage.name), exchange.shown) for stage in STAGES
    )
    stages_table.finish()
    budget = _budget(top.table("budget"), exchange)
    artifacts = _artifacts(top.table("artifacts"))
    esc = _esc(top.table("secrets"))
    notify = _notify(top.table("notify"))
    schedule = _schedule(top.table("schedule"))
    settings = _settings(top, registry)
    pipeline_name = _name(top, source)
    top.finish()
    return Pipeline(
        directory=directory,
        providers=providers,
        source=source,
        sink=sink,
        stages=stages,
        project=project,
        project_package=brought_by,
        settings=settings,
        exchange=exchange,
        budget=budget,
        artifacts=artifacts,
        esc=esc,
        name=pipeline_name,
        notify=notify,
        schedule=schedule,
    )


def _exchange(table: Table) -> Exchange:
    code = table.currency("code", DEFAULT)
    rates_table = table.table("rates")
    rates = []
    for currency in rates_table.values:
        rate = rates_table.table(currency)
        if not is_currency(currency) or currency == code:
            raise rates_table.wrong(
                currency,
                f"under a currency code other than {code}, as in [currency.rates.USD]",
            )
        rates.append(
            Rate(
                currency=currency,
                worth=rate.worth("worth"),
                on=rate.day("date"),
                source=rate.text("source", ""),
            )
        )
        rate.finish()
    table.finish()
    return Exchange(shown=code, configured=code, rates=tuple(rates))


def _plugin(top: Table, kind: Kind, registry: Registry, *, also: str = "") -> str:
    """The name of the plugin to use; the default is not checked until it is used."""
    if isinstance(top.values.get(kind), dict):
        raise top.wrong(kind, f"the name of a {kind}; settings belong under [{kind}s.<name>]")
    name = top.text(kind, registry.default(kind))
    if kind in top.values and name != also:
        top.installed(kind, kind, name, registry)
    return name


def _providers(top: Table, registry: Registry) -> tuple[str, ...]:
    value = top.values.get("provider")
    if not isinstance(value, list):
        name = _plugin(top, "provider", registry, also=AUTO)
        return () if name == AUTO else (name,)
    names = tuple(dict.fromkeys(top.texts("provider", ())))
    if not names:
        raise top.wrong("provider", 'the names of some providers, or "auto"')
    if AUTO in names:
        raise top.wrong("provider", '"auto" or a list of names, not both')
    for name in names:
        top.installed("provider", "provider", name, registry)
    return names


def parse_providers(names: Sequence[str], registry: Registry) -> tuple[str, ...]:
    """Parse `--provider auto|NAME[,NAME...]` into unique names; empty means auto.

    Raises:
        ConfigError: no name is given, or `auto` with other names.
        PluginError: a provider is not installed.
    """
    split = [part.strip() for name in names for part in name.split(",")]
    found = tuple(dict.fromkeys(name for name in split if name))
    if not found:
        raise ConfigError('--provider must be "auto" or names of providers, is empty')
    if found == (AUTO,):
        return ()
    if AUTO in found:
        raise ConfigError(
            f"--provider {','.join(found)}: auto means all that rent machines and have "
            f"credentials; give auto alone, or only names"
        )
    for name in found:
        registry.provider(name)
    return found


def _budget(table: Table, exchange: Exchange) -> Budget:
    caps = []
    for key in ("run", "monthly"):
        amount = table.amount(key, Decimal(-1))
        caps.append(Money(amount, exchange.configured) if amount >= 0 else None)
    table.finish()
    return Budget(max_cost=caps[0] or _default_cap(exchange), monthly=caps[1])


def _default_cap(exchange: Exchange) -> Money | None:
    """The cap of a run that sets none; None in a currency without an exchange rate."""
    try:
        return exchange.convert(DEFAULT_CAP)[0]
    except ConfigError:
        return None


def _schedule(table: Table) -> Schedule:
    run = table.text("run", "")
    minutes_apart = table.number("sweep", 1)
    table.finish()
    if run and not CALENDAR.fullmatch(run):
        raise table.wrong("run", 'a calendar expression of systemd, like "*-*-* 17:30 UTC"')
    sweeps = "sweep" in table.values
    return Schedule(run=run or None, sweep=timedelta(minutes=minutes_apart) if sweeps else None)


def _notify(table: Table) -> tuple[str, ...]:
    wanted = [what for what in ("run", "sweep") if table.yes_no(f"{what}s", default=False)]
    table.finish()
    return tuple(wanted)


def _artifacts(table: Table) -> Bucket | None:
    url = table.text("bucket", "")
    endpoint = table.text("endpoint", "")
    region = table.text("region", "")
    channel = table.text("channel", "")
    table.finish()
    if table.values and not url:
        raise table.wrong("bucket", 'an address like "s3://bucket/prefix"')
    if not url:
        return None
    if not url.startswith("s3://") or not url.removeprefix("s3://").strip("/"):
        raise table.wrong("bucket", 'an address like "s3://bucket/prefix"')
    if endpoint and not endpoint.startswith(("https://", "http://")):
        raise table.wrong("endpoint", 'an address that begins with "https://"')
    if channel and not NAME.fits(channel):
        raise table.wrong("channel", NAME.what)
    return Bucket(
        url=url.rstrip("/"),
        endpoint=endpoint or None,
        region=region or None,
        channel=channel or None,
    )


def _name(top: Table, source: str) -> str:
    """The name of the pipeline; the default is the name of its source, in characters that fit."""
    name = top.text("name", "")
    if name and not NAME.fits(name):
        raise top.wrong("name", NAME.what)
    usual = re.sub("[^a-z0-9_-]+", "-", source.lower()).strip("-_")
    return name or usual[: NAME.longest] or "pipeline"


def _esc(table: Table) -> str | None:
    name = table.text("esc", "")
    table.finish()
    if name and not (name.count("/") in {1, 2} and all(name.split("/"))):
        raise table.wrong("esc", 'an environment like "organization/project/name"')
    return name or None


def _settings(top: Table, registry: Registry) -> dict[tuple[str, str], Mapping[str, object]]:
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


def _stage(stage: Stage, table: Table, currency: str) -> Stage:
    needs = stage.requirements
    architectures = table.texts("architectures", needs.architectures)
    if not architectures or not set(architectures) <= set(ARCHITECTURES):
        raise table.wrong("architectures", f"a list of {' and '.join(ARCHITECTURES)}")
    expected = timedelta(minutes=table.number("minutes", minutes(needs.expected)))
    deadline = timedelta(minutes=table.number("deadline_minutes", minutes(stage.deadline)))
    deadline_configured = "deadline_minutes" in table.values
    if deadline_configured and deadline < expected:
        raise table.wrong("deadline_minutes", f"at least minutes, which is {minutes(expected)}")
    needs = replace(
        needs,
        vcpus=table.number("vcpus", needs.vcpus),
        memory_gib=Decimal(table.number("memory_gib", int(needs.memory_gib))),
        disk_gib=table.number("disk_gib", needs.disk_gib),
        architectures=cast("tuple[Architecture, ...]", architectures),
        dedicated=table.yes_no("dedicated", default=needs.dedicated),
        expected=expected,
        currency=currency,
    )
    output_gib = table.amount("output_gib", stage.output_gib)
    table.finish()
    return replace(
        stage,
        requirements=needs,
        deadline=deadline if deadline_configured else default_deadline(expected),
        output_gib=output_gib,
        minutes_configured="minutes" in table.values,
        deadline_configured=deadline_configured,
    )


def minutes(length: timedelta) -> int:
    """Whole minutes, as in materia.toml."""
    return length // timedelta(minutes=1)
