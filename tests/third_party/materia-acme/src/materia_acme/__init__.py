"""Acme's monthly prices, a sink of Parquet files, and Acme's machines.

This module only declares. What does the work is imported when it is opened.
"""

import re

from materia import ConfigError, Opening, Plugin, Provider, Setting, Sink, Source, hookimpl


def check_source(opening: Opening) -> None:
    first = str(opening.settings["first"])
    if not re.fullmatch(r"\d{4}-\d{2}", first):
        raise ConfigError(f"sources.acme.first must be a month such as 2026-01, is {first!r}")


def open_source(opening: Opening) -> Source:
    from materia_acme.source import AcmeSource

    check_source(opening)
    return AcmeSource(url=str(opening.settings["url"]), first=str(opening.settings["first"]))


def open_sink(opening: Opening) -> Sink:
    from materia_acme.sink import AcmeSink

    return AcmeSink(opening.directory / str(opening.settings["folder"]))


@hookimpl
def materia_sources() -> list[Plugin[Source]]:
    return [
        Plugin(
            name="acme",
            summary="Acme's monthly prices",
            open=open_source,
            check=check_source,
            settings=(
                Setting(
                    name="url",
                    kind="text",
                    default="https://acme.example/prices",
                    help="Where the files lie, without a slash at the end.",
                ),
                Setting(name="first", kind="text", default="2026-01", help="The oldest month."),
            ),
        )
    ]


@hookimpl
def materia_sinks() -> list[Plugin[Sink]]:
    return [
        Plugin(
            name="acme",
            summary="Parquet files, a folder for each run",
            open=open_sink,
            settings=(
                Setting(name="folder", kind="text", default="acme", help="Where it keeps all."),
            ),
        )
    ]


def open_machines(opening: Opening) -> Provider:
    from materia_acme.provider import AcmeMachines

    return AcmeMachines(opening.secrets["ACME_TOKEN"], url=str(opening.settings["url"]))


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    return [
        Plugin(
            name="acme",
            summary="Acme's machines, by the minute",
            open=open_machines,
            secrets=("ACME_TOKEN",),
            settings=(
                Setting(
                    name="url",
                    kind="text",
                    default="https://acme.example/cloud",
                    help="Where Acme's cloud is asked.",
                ),
            ),
        )
    ]
