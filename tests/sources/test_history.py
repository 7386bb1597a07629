"""The history of the raw layer, after any sequence of releases: as_of(r) is release r."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from materia.data import LoadReport, LoadRequest, RawFile
from materia_psdonline.raw_layer.load import load
from materia_psdonline.release_file.archive import HEADER

Row = tuple[str, str, str, str, int, int, str, str, str, str, str, Decimal]
FILE = "psd_alldata_csv.zip"
COMMODITIES = {"0410000": "Wheat", "0711100": "Coffee, Green"}
COUNTRIES = {"NA": "Netherlands Antilles", "BR": "Brazil"}
ATTRIBUTES = {"028": "Production", "057": "Imports", "184": "Yield"}
KEYS = [
    (commodity, country, year, attribute)
    for commodity in COMMODITIES
    for country in COUNTRIES
    for year in (2003, 2024)
    for attribute in ATTRIBUTES
]


@dataclass
class World:
    """The far end and the database: what is published, and what was loaded from it."""

    directory: Path
    files: dict[str, RawFile] = field(default_factory=dict)
    kept: dict[str, Path] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    @property
    def database(self) -> Path:
        return self.directory / "materia.duckdb"

    def publish(self, month: str, rows: Sequence[Row]) -> None:
        lines = [
            f'{row[0]},"{row[1]}",{row[2]},"{row[3]}",{row[4]},{row[5]},{row[6]},{row[7]},'
            f'"{row[8]}",{row[9]},"{row[10]}",{row[11]:.4f}'
            for row in sorted(rows)
        ]
        text = b"\r\n".join([HEADER, *(line.encode() for line in lines), b""])
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo("psd_alldata.csv"), text, zipfile.ZIP_DEFLATED)
        sha256 = hashlib.sha256(packed.getvalue()).hexdigest()
        self.kept[sha256] = self.directory / f"{sha256}.zip"
        self.kept[sha256].write_bytes(packed.getvalue())
        self.lost.discard(sha256)
        self.files[month] = RawFile(
            partition=f"{month}/psd_alldata",
            file=FILE,
            url=f"https://example.test/{month}/{FILE}",
            sha256=sha256,
            content=hashlib.sha256(text).hexdigest(),
            size=len(packed.getvalue()),
            etag=None,
            last_modified=None,
            fetched_at=datetime(2025, 1, 1, tzinfo=UTC),
        )

    def lose_files(self) -> None:
        """Releases that are loaded can no longer be compared with."""
        self.lost |= self.kept.keys()

    def find_files(self) -> None:
        self.lost.clear()

    def load(self, database: Path | None = None) -> LoadReport:
        return load(
            LoadRequest(
                database=database or self.database,
                files=tuple(self.files[month] for month in sorted(self.files)),
                find=lambda _partition, _file, sha256: (
                    None if sha256 in self.lost else self.kept[sha256]
                ),
                directory=self.directory,
            )
        )

    def as_of(self, month: str) -> list[Row]:
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return sorted(connection.execute("FROM as_of($month)", {"month": month}).fetchall())

    def spans(self, database: Path) -> list[tuple[object, ...]]:
        with duckdb.connect(str(database), read_only=True) as connection:
            return connection.execute("""
                SELECT *, NULL FROM raw.psd_value UNION ALL FROM raw.psd_value_ended
                UNION ALL BY NAME SELECT *, NULL FROM raw.psd_stamp
                UNION ALL BY NAME FROM raw.psd_stamp_ended ORDER BY ALL
            """).fetchall()


def row(
    key: tuple[str, str, int, str], value: int, stamp: int, names: tuple[str, str] = ("", "")
) -> Row:
    commodity, country, year, attribute = key
    return (
        commodity,
        COMMODITIES[commodity] + names[0],
        country,
        COUNTRIES[country] + names[1],
        year,
        2010 + stamp,  # before every release: a later stamp would be refused
        f"{stamp:02}",
        attribute,
        ATTRIBUTES[attribute],
        "26" if attribute == "184" else "08",
        "(MT/HA)" if attribute == "184" else "(1000 MT)",
        Decimal(value) / 4,
    )


# Few keys, values and months, so that rows return, months are replaced and labels change back.
snapshots = st.builds(
    lambda rows, names: [row(key, value, stamp, names) for key, (value, stamp) in rows.items()],
    st.dictionaries(
        st.sampled_from(KEYS),
        st.tuples(st.integers(-1, 3), st.integers(0, 2)),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([("", ""), (", Green", ""), ("", " (former)")]),
)
months = st.sampled_from(["2020-01", "2020-02", "2020-04", "2021-01", "2021-12"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), months, snapshots),
        st.tuples(st.just("publish, load later"), months, snapshots),
        st.tuples(st.just("publish, old files lost"), months, snapshots),
        st.tuples(st.just("repeat a row"), months, snapshots),
        st.tuples(st.just("remove"), months, snapshots),
    ),
    min_size=1,
    max_size=9,
)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_every_release_can_be_reproduced_after_any_sequence(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, list[Row]]]
) -> None:
    reproduce(tmp_path_factory, steps)


@pytest.mark.campaign
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_every_release_can_be_reproduced_after_a_hundred_sequences(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, list[Row]]]
) -> None:
    reproduce(tmp_path_factory, steps)


def reproduce(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, list[Row]]]
) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    expected: dict[str, list[Row]] = {}
    for action, month, rows in steps:
        before = world.files.get(month)
        if action == "remove":
            expected.pop(month, None)
            world.files.pop(month, None)
        elif action == "repeat a row":
            world.publish(month, [*rows, rows[0]])
            assert set(world.load().refused) == {f"{month}/psd_alldata"}
            # As the sink does with a refused file: the one before it is in use again.
            world.files.pop(month)
            if before is not None:
                world.files[month] = before
        else:
            world.publish(month, rows)
            expected[month] = sorted(rows)
            if action == "publish, load later":
                continue
        if action == "publish, old files lost":
            world.load()
            world.lose_files()
        assert world.load().refused == {}
        for other, snapshot in expected.items():
            assert world.as_of(other) == snapshot
    world.load()
    again = world.load()
    assert (again.loaded, again.removed, again.rows_added, again.rows_ended) == ((), (), 0, 0)
    world.find_files()
    clean = world.directory / "clean.duckdb"
    world.load(clean)
    assert world.spans(world.database) == world.spans(clean)
