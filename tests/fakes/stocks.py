"""A declared source, as a plugin's module declares it: weekly releases of stocks, in zips."""

from __future__ import annotations

from materia_snapshots import Column, Csv, Snapshots, Weeks, declare

source = Snapshots(
    name="stocks",
    summary="Stocks by place, every Friday",
    url="https://stocks.example",
    partitions=Weeks("{date:%Y%m%d}.zip", since="2026-01-02"),
    each="release",
    form=Csv(packed="zip", delimiter=";"),
    key=("place",),
    columns={
        "place": "TEXT",
        "stock": Column(type="INTEGER", comment="Stock in tonnes"),
        "stated_on": Column(type="DATE", header="on", format="%d/%m/%Y"),
    },
)
materia_sources = declare(source)
