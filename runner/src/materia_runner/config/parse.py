"""Parse the tables of materia.toml into a Pipeline, and find every mistake in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from materia.compute import Money
from materia.errors import ConfigError
from materia.plugins import KINDS, Kind, Registry

from materia_runner.config.pipeline import Bucket, Budget, Pipeline, SourceNeeds
from materia_runner.config.production import (
    default_cap,
    parse_channel,
    parse_name,
    parse_notify,
    parse_schedule,
)
from materia_runner.config.project import find_project
from materia_runner.config.stages import STAGES, parse_source_needs, parse_stage
from materia_runner.config.table import Findings, Mistake, Table, in_order, is_currency
from materia_runner.pricing.currency import DEFAULT, Exchange, Rate
from materia_runner.secrets.redaction import OWN

AUTO = "auto"
# The table of a source with the needs of its own extract, unless it has a setting of that name.
OWN_STAGE = "extract"


def parse_config(
    document: Mapping[str, object], registry: Registry, *, name: str, directory: Path
) -> Pipeline:
    """The pipeline in a parsed TOML *document*; *name* stands for the file in messages.

    Raises:
        ConfigError: some keys are invalid; it has every mistake.
    """
    pipeline, mistakes = parse(document, registry, name=name, directory=directory)
    refuse(mistakes)
    return pipeline


def refuse(mistakes: Sequence[Mistake]) -> None:
    """Raise one ConfigError with all *mistakes*, if there are any."""
    if mistakes:
        raise ConfigError(*(one.message for one in mistakes))


def parse(
    document: Mapping[str, object], registry: Registry, *, name: str, directory: Path
) -> tuple[Pipeline, tuple[Mistake, ...]]:
    """The pipeline, with the default in place of each mistake, and the mistakes."""
    findings = Findings(file=name)
    top = Table(findings, "", document)
    sources, sink = _sources(top, registry), _plugin(top, "sink", registry)
    providers = _providers(top, registry)
    transform = top.table("transform")
    project, brought_by = find_project(
        transform, sources=sources, directory=directory, projects=registry.projects
    )
    transform.finish()
    exchange = _exchange(top.table("currency"))
    stages_table = top.table("stages")
    stages = tuple(
        parse_stage(stage, stages_table.table(stage.name), exchange.shown) for stage in STAGES
    )
    stages_table.finish()
    budget = _budget(top.table("budget"), exchange)
    artifacts = _artifacts(top.table("artifacts"))
    variables = secret_names(registry)
    esc = _esc(top.table("secrets"), variables)
    notify = parse_notify(top.table("notify"), variables)
    schedule = parse_schedule(top.table("schedule"))
    settings, source_needs = _settings(top, registry)
    pipeline_name = parse_name(top, sources[0])
    top.finish(variables)
    pipeline = Pipeline(
        directory=directory,
        providers=providers,
        sources=sources,
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
        source_needs=source_needs,
    )
    return pipeline, in_order(findings.mistakes, document)


def secret_names(registry: Registry) -> tuple[str, ...]:
    """The variables that hold secrets: those of every installed plugin, and materia's own."""
    declared = {name for found in registry.found for name in found.plugin.secrets}
    return tuple(sorted(declared | OWN))


def _exchange(table: Table) -> Exchange:
    code = table.currency("code", DEFAULT)
    rates_table = table.table("rates")
    rates = []
    for currency in rates_table.values:
        rate = rates_table.table(currency)
        if not is_currency(currency) or currency == code:
            rates_table.wrong(
                currency,
                f"under a currency code other than {code}, as in [currency.rates.USD]",
            )
            continue
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
        top.wrong(kind, f"the name of a {kind}; settings belong under [{kind}s.<name>]")
    name = top.text(kind, registry.default(kind))
    if kind in top.values and top.is_right(kind) and name != also:
        top.installed(kind, kind, name, registry)
    return name


def _sources(top: Table, registry: Registry) -> tuple[str, ...]:
    """The names of the sources: `source` is one or a list; `sources` may be a list as well.

    With the list in `sources`, no source can have settings: TOML has no room for a table then.
    """
    key = "sources" if isinstance(top.values.get("sources"), list) else "source"
    if key == "sources" and "source" in top.values:
        top.mistake("sources", "source and sources are both given: keep one, source = [...]")
        key = "source"
    if not isinstance(top.values.get(key), list):
        return (_plugin(top, "source", registry),)
    names = _names(top, key, "source", registry)
    if not names:
        top.wrong(key, "the name of a source, or a list of names")
    return names or (registry.default("source"),)


def _providers(top: Table, registry: Registry) -> tuple[str, ...]:
    value = top.values.get("provider")
    if not isinstance(value, list):
        name = _plugin(top, "provider", registry, also=AUTO)
        return () if name == AUTO else (name,)
    names = tuple(dict.fromkeys(top.texts("provider", ())))
    if AUTO in names:
        top.wrong("provider", '"auto" or a list of names, not both')
    names = _names(top, "provider", "provider", registry)
    if not names:
        top.wrong("provider", 'the name of a provider, a list of names, or "auto"')
    return names


def _names(top: Table, key: str, kind: Kind, registry: Registry) -> tuple[str, ...]:
    """The plugins in a list, each once."""
    names = tuple(dict.fromkeys(top.texts(key, ())))
    for name in names if top.is_right(key) else ():
        top.installed(key, kind, name, registry)
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
    return Budget(max_cost=caps[0] or default_cap(exchange), monthly=caps[1])


def _artifacts(table: Table) -> Bucket | None:
    url = table.text("bucket", "")
    endpoint = table.text("endpoint", "")
    region = table.text("region", "")
    channel = parse_channel(table)
    own_key = table.yes_no("own_key", default=False)
    table.finish()
    named = url.startswith("s3://") and url.removeprefix("s3://").strip("/")
    if (url or endpoint or region or channel or own_key) and not named:
        table.wrong("bucket", 'an address like "s3://bucket/prefix"')
    if endpoint and not endpoint.startswith(("https://", "http://")):
        table.wrong("endpoint", 'an address that begins with "https://"')
    if not url:
        return None
    return Bucket(
        url=url.rstrip("/"),
        endpoint=endpoint or None,
        region=region or None,
        channel=channel,
        own_key=own_key,
    )


def _esc(table: Table, variables: tuple[str, ...]) -> str | None:
    name = table.text("esc", "")
    table.finish(variables)
    if name and not (name.count("/") in {1, 2} and all(name.split("/"))):
        table.wrong("esc", 'an environment like "organization/project/name"')
    return name or None


def _settings(
    top: Table, registry: Registry
) -> tuple[dict[tuple[str, str], Mapping[str, object]], dict[str, SourceNeeds]]:
    """The settings of every plugin, and what sources say of their own extract."""
    settings: dict[tuple[str, str], Mapping[str, object]] = {}
    needs: dict[str, SourceNeeds] = {}
    for kind in KINDS:
        is_list = kind == "source" and isinstance(top.values.get("sources"), list)
        tables = Table(top.findings, "sources.", {}) if is_list else top.table(f"{kind}s")
        found = [found.plugin for found in registry.of_kind(kind)]
        names = [plugin.name for plugin in found]
        for plugin in found:
            if names.count(plugin.name) > 1:  # neither can be used
                continue
            table = tables.table(plugin.name)
            settings[kind, plugin.name] = {
                setting.name: table.setting(setting) for setting in plugin.settings
            }
            if kind == "source" and OWN_STAGE not in settings[kind, plugin.name]:
                stated = table.table(OWN_STAGE)
                if stated.values:
                    needs[plugin.name] = parse_source_needs(stated)
            table.finish(plugin.secrets)
        for name in tables.values:
            if (kind, name) not in settings:
                tables.installed(name, kind, name, registry)
        tables.finish()
    return settings, needs
