"""Acme's monthly prices, a sink of Parquet files, and Acme's machines.

This module only declares. What does the work is imported when it is opened.
"""

from pathlib import Path

from materia import Opening, Plugin, Provider, Setting, Sink, hookimpl
from materia_snapshots import Column, Csv, Months, Snapshots, declare

source = Snapshots(
    name="acme",
    summary="Acme's monthly prices",
    url="https://acme.example/prices",
    partitions=Months("{year}-{month:02}.csv", since="2026-01"),
    each="slice",
    form=Csv(),
    key=("item",),
    columns={
        "item": "TEXT",
        "price": Column(type="DECIMAL(18, 2)", comment="Price of one item, in euros"),
    },
    models=Path(__file__).parent / "models",
)
materia_sources = declare(source)


def open_sink(opening: Opening) -> Sink:
    from materia_acme.sink import AcmeSink

    return AcmeSink(opening.directory / str(opening.settings["folder"]))


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
