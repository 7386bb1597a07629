"""A server of weekly releases in zips, for the contract of declared sources."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from fakes.snapshot_files import zipped
from materia_testing.contracts.sources.served import ServedFiles, serving

EDITIONS = {
    1: "place;stock;on\nnorth;10;02/01/2026\nsouth;20;02/01/2026\n",
    2: "place;stock;on\nnorth;11;02/01/2026\nwest;5;03/01/2026\n",
}


class WeeklyServer(ServedFiles):
    """A `materia_testing.contracts.source.World` whose files differ from week to week."""

    def __init__(self) -> None:
        super().__init__(
            {
                key: f"stocks/{key.replace('-', '')}.zip"
                for key in ("2026-01-02", "2026-01-09", "2026-01-16")
            },
            now=datetime(2026, 1, 20, tzinfo=UTC),
            editions=(),
            damaged={
                "a web page": (b"<html>moved", "HTML"),
                "half of it": (b"", "cut short"),
                "another column": (b"place;stock;on;colour\nnorth;1;;red\n", "colour"),
                "letters": (b"place;stock;on\nnorth;many;\n", "no whole number"),
                "a place twice": (b"place;stock;on\nnorth;1;\nnorth;2;\n", "north"),
            },
            table="raw.stocks_row",
        )
        self.lacks = {}

    def expected(self, key: str, edition: int) -> list[str]:
        """The rows of `EDITIONS`, with the day of a year first."""
        rows = [line.split(";") for line in f"{EDITIONS[edition]}{key};1;".split("\n")[1:]]
        days = ("-".join(reversed(day.split("/"))) for _, _, day in rows)
        return sorted(f"{row[0]} {row[1]} {day}" for row, day in zip(rows, days, strict=True))

    def found(self, database: Path) -> list[str]:
        """The rows that are loaded, in the same form."""
        sql = "SELECT concat(place, ' ', stock, ' ', stated_on) FROM raw.stocks_row ORDER BY ALL"
        with duckdb.connect(str(database), read_only=True) as connection:
            return [row for (row,) in connection.execute(sql).fetchall()]

    def publish(self, key: str, edition: int) -> None:
        self._files[self._paths[key]] = self._zip(key, edition, zipfile.ZIP_DEFLATED)

    def rewrap(self, key: str, edition: int) -> None:
        self._files[self._paths[key]] = self._zip(key, edition, zipfile.ZIP_STORED)

    def damage(self, key: str, how: str) -> None:
        content = self._damaged[how]
        if how == "half of it":
            whole = zipped({"stocks.csv": EDITIONS[1].encode()})
            content = whole[: len(whole) // 2]
        elif how != "a web page":
            content = zipped({"stocks.csv": content})
        self._files[self._paths[key]] = content

    def read(self, database: Path) -> object:
        with duckdb.connect(str(database), read_only=True) as connection:
            return [
                connection.execute(f"FROM raw.stocks_{table} ORDER BY ALL").fetchall()
                for table in ("row", "history")
            ]

    @staticmethod
    def _zip(key: str, edition: int, method: int) -> bytes:
        return zipped({"stocks.csv": f"{EDITIONS[edition]}{key};1;\n".encode()}, method=method)


@contextmanager
def weekly_server() -> Iterator[WeeklyServer]:
    """The server, running."""
    world = WeeklyServer()
    with serving(world) as address:
        world.settings |= {"url": f"{address}/stocks", "since": "2026-01-02"}
        yield world
