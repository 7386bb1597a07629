"""The far end of the psdonline source, as `SourceContract` sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from fakes.psd import ALL, Row, balances, csv_text, zip_text
from fakes.usda import Fault, UsdaServer
from materia.data import Fetched, FetchResult, Known, Partition, PartitionsRequest
from materia.protocols import Source

NOW = datetime(2025, 11, 20, tzinfo=UTC)


def asked(source: Source) -> list[Partition]:
    """The partitions worth asking for when nothing is known."""
    return list(source.partitions(PartitionsRequest(known={}, now=NOW)))


def known_from(result: FetchResult) -> Known:
    """What a sink remembers after it has recorded a file."""
    assert isinstance(result, Fetched), result
    raw = result.raw
    return Known(
        url=raw.url,
        checked_at=NOW,
        raw=raw,
        etag=raw.etag,
        last_modified=raw.last_modified,
    )


class PsdWorld:
    """USDA's server with three releases in 2025, to publish, damage and take away."""

    keys: Sequence[str] = ("2025-08/psd_alldata", "2025-09/psd_alldata", "2025-11/psd_alldata")
    now = NOW
    lacks: Mapping[str, str] = {"rows": "tests of its own compare rows with the archive"}
    damages: Mapping[str, str] = {
        "a page": "HTML",
        "not a zip": "not a zip",
        "cut short": "cut short",
        "a wrong checksum": "checksum",
        "a bomb": "bomb",
        "a second member": "2 members",
        "other columns": "columns",
        "no rows": "no rows",
        "a byte that is not UTF-8": "UTF-8",
        "a key twice": "2 rows",
        "a value that is no number": "many",
        "a later release": "edited in 2099-12",
        "the largest figure that fits": "less than 10^12",
        "market year 9999": "9999 as Market_Year",
        "the world": "the sum 00 'World'",
    }

    def __init__(self, usda: UsdaServer) -> None:
        self.usda = usda

    @property
    def settings(self) -> Mapping[str, object]:
        """The three months and those between."""
        return {"base_url": self.usda.base_url, "first_release": "2025-08"}

    def publish(self, key: str, edition: int) -> None:
        """Put an edition there."""
        self.usda.publish(_path(key), zip_text(csv_text(_rows(key, edition))))

    def rewrap(self, key: str, edition: int) -> None:
        """Put an edition there with another date inside."""
        text = csv_text(_rows(key, edition))
        self.usda.publish(_path(key), zip_text(text, when="2025-11-20 15:02"))

    def damage(self, key: str, how: str) -> None:
        """Put a file there that is of no use."""
        from fakes.psd_damage import DAMAGES

        self.usda.publish(_path(key), DAMAGES[how](_rows(key, 2)))

    def remove(self, key: str) -> None:
        """Let there be no such release."""
        self.usda.remove(_path(key))

    def break_off(self) -> None:
        """Send nothing but the first bytes of each file."""
        self.usda.fail(Fault(kind="short", after=100))

    def tear(self) -> None:
        """Send the first bytes of each file, of a length that is not said."""
        self.usda.fail(Fault(kind="unannounced", after=100))

    def contradict(self, key: str, edition: int) -> None:
        """Put an edition there that looks no newer."""
        self.publish(key, edition)
        self.usda.fail(Fault(kind="by the date"))

    def vanish(self) -> None:
        """Stop the server."""
        self.usda.stop()

    def heal(self) -> None:
        """Start it again, at the same address."""
        self.usda.heal()
        self.usda.stop()
        self.usda.start()

    def requests(self) -> int:
        """How many have arrived."""
        return len(self.usda.requests)

    def sent(self) -> int:
        """Bytes of files."""
        return self.usda.sent()

    def expected(self, key: str, edition: int) -> Sequence[object]:
        raise NotImplementedError(self.lacks["rows"])

    def found(self, database: Path) -> Sequence[object]:
        raise NotImplementedError(self.lacks["rows"])

    def read(self, database: Path) -> object:
        """Every table of the raw layer, its rows sorted, without the time of loading."""
        import duckdb

        with duckdb.connect(database, read_only=True) as connection:
            tables = connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw' "
                "AND table_name <> 'psd_touched' ORDER BY ALL"
            ).fetchall()
            return {
                name: sorted(
                    connection.execute(f"SELECT * FROM raw.{name}").fetchall(),
                    key=repr,
                )
                for (name,) in tables
            }


def _path(key: str) -> str:
    return f"{key[:4]}/{key[5:7]}/{ALL}"


def _rows(key: str, edition: int) -> list[Row]:
    """Editions of one key, and editions of two keys, share most rows and not all."""
    stamp = key[:7]
    rows = balances("2025-08", years=range(2023, 2025))
    newest = balances(stamp, years=range(2025, 2026), seed=int(key[5:7]))
    if edition == 1:
        return rows + newest
    return [*rows[:-1], *(replace(row, value=row.value + 1) for row in newest)]
