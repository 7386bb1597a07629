"""How much disk the duckdb sink uses, and what becomes of its files when there is no more."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.duckdb_runs import open_in, publish_quickly, record_quickly
from materia.errors import SinkError
from materia_duckdb.sink import DuckDBSink
from materia_testing.contracts.crash import elsewhere
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.sinks.publish import build, expected, publish_version
from materia_testing.contracts.sinks.raw import JANUARY, OLD, SOURCE, fetched


def test_no_more_disk_is_used_than_published_and_working_copy_together(
    folder: Path, sink: DuckDBSink
) -> None:
    def used() -> int:
        return sum(path.stat().st_size for path in folder.rglob("*.duckdb*") if path.is_file())

    sizes: list[int] = []
    for version in range(200, 206):
        build(sink.checkout(), version)
        published = (folder / "materia.duckdb").stat().st_size if sizes else 0
        copy = (folder / ".materia.duckdb.work/materia.duckdb").stat().st_size
        assert used() == published + copy
        publish_version(sink, version)
        sizes.append(used())

    assert sizes[-1] == sizes[1], "space that is free again is used again"


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    path.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None or os.geteuid() != 0:
        pytest.skip("a small disk needs root, and the program mount")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be had: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run([umount, str(path)], check=True)


def test_a_disk_that_is_really_full_harms_nothing_and_a_larger_one_completes(
    folder: Path, tmp_path: Path
) -> None:
    declared = Declared(kind="sink", module="materia_duckdb", name="duckdb", directory=folder)
    with small_disk(folder, "16m"):
        assert elsewhere(publish_quickly, declared, 1).value == expected(1)
        before = (folder / "materia.duckdb").read_bytes()
        told = []
        for room in (0, 100_000, 400_000):
            filler = folder / "filler"
            free = os.statvfs(folder)
            filler.write_bytes(b"x" * max(0, free.f_bavail * free.f_frsize - room))
            shutil.rmtree(tmp_path / "in", ignore_errors=True)
            result = fetched(tmp_path / "in", JANUARY, os.urandom(3_000_000))
            for ending in (
                elsewhere(publish_quickly, declared, 200),
                elsewhere(record_quickly, declared, result),
            ):
                told.append(ending.error)
                assert isinstance(ending.error, SinkError), ending
            assert (folder / "materia.duckdb").read_bytes() == before
            assert not list(folder.rglob("*.part"))
            assert dict(open_in(folder).known(SOURCE)) == {}
            filler.unlink()
        assert any("No space left on device" in str(error) for error in told)

        assert elsewhere(publish_quickly, declared, 200).value == expected(200)
        elsewhere(record_quickly, declared, fetched(tmp_path / "in", JANUARY, OLD))
        assert set(open_in(folder).known(SOURCE)) == {JANUARY.key}
        assert not list(folder.rglob("*.part"))
