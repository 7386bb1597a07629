"""Parse the settings of a pipeline that runs by itself: name, channel, schedule, webhooks, cap."""

from __future__ import annotations

import re
from datetime import timedelta

from materia.compute import Money
from materia.errors import ConfigError
from materia.forms import Form

from materia_runner.config.pipeline import DEFAULT_CAP, Schedule
from materia_runner.config.table import Table
from materia_runner.pricing.currency import Exchange

# Of a pipeline or a channel: part of object names and of the names of systemd units.
NAME = Form(
    "a name in lower-case letters, digits, - and _, at most 40 long",
    re.compile("[a-z0-9][a-z0-9_-]*"),
    40,
)
# The characters of systemd's calendar expressions; systemd itself checks the rest.
CALENDAR = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*:,./~ _+-]{0,199}")


def parse_name(top: Table, source: str) -> str:
    """The name of the pipeline; by default that of its first source, in characters that fit."""
    name = top.text("name", "")
    if name and not NAME.fits(name):
        top.wrong("name", NAME.what)
    usual = re.sub("[^a-z0-9_-]+", "-", source.lower()).strip("-_")
    return name or usual[: NAME.longest] or "pipeline"


def parse_channel(artifacts: Table) -> str | None:
    """The channel whose release workers run."""
    channel = artifacts.text("channel", "")
    if channel and not NAME.fits(channel):
        artifacts.wrong("channel", NAME.what)
    return channel or None


def parse_schedule(table: Table) -> Schedule:
    """When runs and sweeps start by themselves."""
    run = table.text("run", "")
    minutes_apart = table.number("sweep", 0)
    elsewhere = table.yes_no("swept_elsewhere", default=False)
    table.finish()
    if run and not CALENDAR.fullmatch(run):
        table.wrong("run", 'a calendar expression of systemd, like "*-*-* 17:30 UTC"')
    sweep = timedelta(minutes=minutes_apart) if minutes_apart else None
    return Schedule(run=run or None, sweep=sweep, swept_elsewhere=elsewhere)


def parse_notify(table: Table, variables: tuple[str, ...]) -> tuple[str, ...]:
    """What a webhook is notified of."""
    wanted = [what for what in ("run", "sweep") if table.yes_no(f"{what}s", default=False)]
    table.finish(variables)
    return tuple(wanted)


def default_cap(exchange: Exchange) -> Money | None:
    """The cap of a run that sets none; None in a currency without an exchange rate."""
    try:
        return exchange.convert(DEFAULT_CAP)[0]
    except ConfigError:
        return None
