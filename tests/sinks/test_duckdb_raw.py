"""Raw files of the duckdb sink: where they lie, what is known of them, and what is set aside."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.duckdb_runs import files, open_in
from materia.data import Partition, Unchanged
from materia.errors import SinkError
from materia_duckdb.sink import DuckDBSink
from materia_testing.contracts.sinks.publish import publish_version
from materia_testing.contracts.sinks.raw import JANUARY, OLD, SOURCE, fetched, refused

OLD_HASH = hashlib.sha256(OLD).hexdigest()[:16]
BAD_HASH = hashlib.sha256(b"<html>").hexdigest()[:16]


def test_files_lie_where_the_readme_says(sink: DuckDBSink, folder: Path, tmp_path: Path) -> None:
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    sink.record(SOURCE, JANUARY, refused(tmp_path / "in", b"<html>"))
    publish_version(sink, 1)

    assert files(folder) == [
        ".materia.duckdb.work/lock",
        ".materia.duckdb.work/published.json",
        "materia.duckdb",
        "raw/acme/2026-01/known.json",
        f"raw/acme/2026-01/prices.{OLD_HASH}.zip",
        f"raw/acme/2026-01/quarantine/prices.{BAD_HASH}.zip",
        f"raw/acme/2026-01/quarantine/prices.{BAD_HASH}.zip.reason",
    ]
    reason = folder / f"raw/acme/2026-01/quarantine/prices.{BAD_HASH}.zip.reason"
    assert reason.read_text() == "is not a zip archive\n"


def test_a_file_that_could_not_be_loaded_lies_in_quarantine_with_its_reason(
    sink: DuckDBSink, folder: Path, tmp_path: Path
) -> None:
    result = fetched(tmp_path / "in", JANUARY, OLD)
    sink.record(SOURCE, JANUARY, result)
    sink.refuse(SOURCE, result.raw, "has the wrong columns")
    aside = folder / f"raw/acme/2026-01/quarantine/prices.{OLD_HASH}.zip"

    assert aside.read_bytes() == OLD
    assert Path(f"{aside}.reason").read_text() == "has the wrong columns\n"
    assert not (folder / f"raw/acme/2026-01/prices.{OLD_HASH}.zip").exists()


def test_a_file_removed_by_hand_comes_again_when_it_is_asked_for(
    sink: DuckDBSink, folder: Path, tmp_path: Path
) -> None:
    result = fetched(tmp_path / "in", JANUARY, OLD)
    sink.record(SOURCE, JANUARY, result)
    next(folder.glob("raw/acme/2026-01/*.zip")).unlink()
    known = sink.known(SOURCE)[JANUARY.key]

    assert (known.raw, known.etag, known.last_modified) == (result.raw, None, None)
    sink.refuse(SOURCE, result.raw, "the raw file is not kept any more")
    assert JANUARY.key not in sink.known(SOURCE), "it would never be fetched again"


def test_a_file_damaged_on_the_disk_comes_again_and_is_not_blamed_on_its_source(
    sink: DuckDBSink, folder: Path, tmp_path: Path
) -> None:
    first = fetched(tmp_path / "in", JANUARY, OLD)
    sink.record(SOURCE, JANUARY, first)
    second = fetched(tmp_path / "in", JANUARY, OLD * 2)
    sink.record(SOURCE, JANUARY, second)
    kept = sink.find_raw(SOURCE, JANUARY.key, second.raw.file, second.raw.sha256)
    assert kept is not None
    kept.write_bytes(OLD[:-1])
    sink.refuse(SOURCE, second.raw, "is cut short or damaged")
    known = sink.known(SOURCE)[JANUARY.key]

    assert (known.raw, known.etag, known.refused) == (first.raw, None, None)
    assert not kept.exists()
    assert not list(folder.rglob("quarantine/*"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": []}', "\x00" * 200])
def test_a_damaged_memory_is_named_with_what_to_do(
    sink: DuckDBSink, folder: Path, tmp_path: Path, content: str
) -> None:
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    path = folder / "raw/acme/2026-01/known.json"
    path.write_text(content)
    for ask in (
        lambda: sink.known(SOURCE),
        lambda: sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD)),
    ):
        with pytest.raises(SinkError, match=rf"{path}: is damaged .*delete it"):
            ask()
    path.unlink()
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))

    assert set(sink.known(SOURCE)) == {JANUARY.key}


def test_what_is_known_of_229_partitions_is_read_in_a_moment(
    sink: DuckDBSink, tmp_path: Path
) -> None:
    for number in range(229):
        one = Partition(key=f"{number:03}", url="https://acme.example", file="prices.zip")
        sink.record(SOURCE, one, fetched(tmp_path / "in", one, OLD))
    started = time.process_time()
    known = sink.known(SOURCE)
    seconds = time.process_time() - started

    assert len(known) == 229
    assert seconds < 0.2, "about 0.01 s was measured"


def test_a_killed_record_leaves_no_part_behind_after_the_next_one(
    sink: DuckDBSink, folder: Path, tmp_path: Path
) -> None:
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    part = folder / f"raw/acme/2026-01/known.json.{dead}.part"
    part.write_text("{")
    mine = part.with_name(f"known.json.{os.getppid()}.part")
    mine.write_text("{")
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))

    assert not part.exists()
    assert mine.exists(), "its process is still at work"


def test_a_folder_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "raw").write_text("not a folder")
    with pytest.raises(SinkError, match="raw"):
        open_in(folder).record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))


def test_that_nothing_changed_is_written_once_a_day(
    sink: DuckDBSink, folder: Path, tmp_path: Path
) -> None:
    sink.record(SOURCE, JANUARY, fetched(tmp_path / "in", JANUARY, OLD))
    [state] = folder.rglob("known.json")
    before, written = sink.known(SOURCE), state.stat().st_ino

    known = before[JANUARY.key]
    sink.record(SOURCE, JANUARY, Unchanged(etag=known.etag, last_modified=known.last_modified))
    assert (sink.known(SOURCE), state.stat().st_ino) == (before, written)

    sink.record(SOURCE, JANUARY, Unchanged(etag='"new"', last_modified=known.last_modified))
    assert sink.known(SOURCE)[JANUARY.key].etag == '"new"'
