"""From checkout to publication: the working copy, what is published of it, and where."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from fakes.duckdb_runs import files, open_in
from materia.data import PublishRequest
from materia.errors import BusyError, SinkError
from materia.kit.sql import LOCKED
from materia_duckdb.sink import DuckDBSink
from materia_store import connection as opening
from materia_store.connection import opened, remove
from materia_testing.contracts.sinks.publish import ROWS, build, expected, publish_version, request


def test_opening_it_makes_nothing_and_does_not_import_duckdb(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from materia_testing.contracts.opened import Declared\n"
        "sink = Declared(kind='sink', module='materia_duckdb', name='duckdb',"
        " directory=Path(sys.argv[1])).open()\n"
        "assert sink.known('acme') == {}\n"
        "assert sink.fingerprint() is None\n"
        "assert not {'duckdb', 'sqlmesh'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)

    assert files(tmp_path) == []


def test_what_was_published_is_known_without_duckdb_until_another_program_writes(
    folder: Path, sink: DuckDBSink
) -> None:
    publish_version(sink, 1)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from materia_duckdb.sink import DuckDBSink\n"
        "folder = Path(sys.argv[1])\n"
        "sink = DuckDBSink(database=folder / 'materia.duckdb', raw=folder / 'raw')\n"
        "print(sink.fingerprint(), 'duckdb' in sys.modules)\n"
    )

    def asked() -> str:
        command = [sys.executable, "-c", code, str(folder)]
        return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout

    assert asked() == "stamp 1 False\n"
    with duckdb.connect(str(folder / "materia.duckdb")) as connection:
        connection.execute("UPDATE publication.run SET stamp = 'another'")
    assert asked() == "another True\n"
    publish_version(sink, 2)
    (folder / ".materia.duckdb.work/published.json").write_text('{"state": []')
    assert asked() == "stamp 2 True\n"


def test_an_empty_database_is_nothing_to_protect(folder: Path, sink: DuckDBSink) -> None:
    """`duckdb materia.duckdb` before the first run makes one."""
    folder.mkdir()
    duckdb.connect(str(folder / "materia.duckdb")).close()

    assert sink.fingerprint() is None
    assert publish_version(sink, 1) == expected(1)


def test_a_deleted_database_is_nothing_published(folder: Path, sink: DuckDBSink) -> None:
    publish_version(sink, 1)
    (folder / "materia.duckdb").unlink()
    (folder / "materia.duckdb.wal").write_bytes(b"a log of something that is gone")

    assert sink.fingerprint() is None
    assert sink.published() is None
    assert publish_version(sink, 2) == expected(2)


def test_a_working_copy_of_another_state_is_not_continued(
    folder: Path, sink: DuckDBSink, tmp_path: Path
) -> None:
    publish_version(sink, 1)
    backup = tmp_path / "backup.duckdb"
    shutil.copyfile(folder / "materia.duckdb", backup)
    publish_version(sink, 2)
    build(open_in(folder).checkout(), 3)
    shutil.copyfile(backup, folder / "materia.duckdb")
    database = open_in(folder).checkout()

    with duckdb.connect(str(database)) as connection:
        assert connection.execute("SELECT count(*) FROM serving.prices").fetchone() == (ROWS,)


def test_a_damaged_working_copy_is_made_anew(folder: Path, sink: DuckDBSink) -> None:
    publish_version(sink, 1)
    database = open_in(folder).checkout()
    database.write_bytes(b"torn")
    again = open_in(folder)

    assert again.checkout() == database
    with duckdb.connect(str(database)) as connection:
        assert connection.execute("SELECT count(*) FROM serving.prices").fetchone() == (ROWS,)


def test_a_database_left_open_is_not_published(sink: DuckDBSink) -> None:
    publish_version(sink, 1)
    database = sink.checkout()
    build(database, 2)
    with (
        duckdb.connect(str(database)),
        pytest.raises(BusyError, match=f"still open in this process \\(PID {os.getpid()}\\)"),
    ):
        sink.publish(request("run 2", database, 2))

    assert sink.fingerprint() == "stamp 1"
    assert tuple(sink.publish(request("run 2", database, 2))) == expected(2)


def test_only_the_working_copy_can_be_published(
    folder: Path, sink: DuckDBSink, tmp_path: Path
) -> None:
    sink.checkout()
    build(tmp_path / "other.duckdb", 1)
    with pytest.raises(SinkError, match="is not the working copy"):
        sink.publish(request("run 1", tmp_path / "other.duckdb", 1))

    assert not (folder / "materia.duckdb").exists()


@pytest.mark.parametrize("name", ["my prices", "memory", "temp", "a.b"])
def test_views_that_name_their_database_still_work_when_published(folder: Path, name: str) -> None:
    sink = DuckDBSink(database=folder / f"{name}.duckdb", raw=folder / "raw")
    database = sink.checkout()
    with duckdb.connect(str(database)) as connection:
        (own,) = connection.execute("SELECT current_database()").fetchall()[0]
        connection.execute("CREATE SCHEMA serving; CREATE TABLE serving.one AS SELECT 1 AS x")
        connection.execute(f'CREATE VIEW serving.two AS FROM "{own}".serving.one')
    tables = ("serving.one", "serving.two")
    sink.publish(PublishRequest(run="r", database=database, tables=tables, fingerprint="s"))

    with duckdb.connect(str(folder / f"{name}.duckdb"), read_only=True) as connection:
        assert connection.execute("FROM serving.two").fetchall() == [(1,)]


def test_two_databases_of_one_name_can_be_open_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "materia.duckdb" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        with opened(path, read_only=False) as connection:
            connection.execute(f"CREATE TABLE folder AS SELECT '{path.parent.name}' AS name")

    with opened(paths[0], read_only=True) as a, opened(paths[1], read_only=True) as b:
        assert a.execute("FROM folder").fetchall() == [("a",)]
        assert b.execute("FROM folder").fetchall() == [("b",)]


def test_what_does_not_fit_into_memory_lies_beside_the_database_and_then_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "LOCKED", {"memory_limit": "'50MB'", **LOCKED})
    path = tmp_path / "materia.duckdb"
    with opened(path, read_only=False) as connection:
        connection.execute("CREATE TEMP TABLE large AS SELECT hash(range) FROM range(9_000_000)")
        assert any((tmp_path / "materia.duckdb.tmp").iterdir())
        connection.execute("DROP TABLE large")

    remove(path)
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_it_is_open_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "materia.duckdb"
    with pytest.raises(SinkError, match="not found"), opened(path, read_only=False) as connection:
        connection.execute("BEGIN; CREATE TABLE kept_not AS SELECT 1; SELECT no such")

    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SHOW TABLES").fetchall() == []


def test_the_published_file_keeps_its_permissions_and_a_link_stays_a_link(
    tmp_path: Path,
) -> None:
    real, project = tmp_path / "big disk", tmp_path / "project"
    real.mkdir()
    project.mkdir()
    (project / "materia.duckdb").symlink_to(real / "store.duckdb")
    publish_version(open_in(project), 1)
    (real / "store.duckdb").chmod(0o640)
    publish_version(open_in(project), 2)

    assert (project / "materia.duckdb").is_symlink()
    assert (real / "store.duckdb").stat().st_mode & 0o777 == 0o640
    assert open_in(project).fingerprint() == "stamp 2"
    assert files(project) == ["materia.duckdb"]


def test_the_database_says_itself_what_it_is(folder: Path, sink: DuckDBSink) -> None:
    publish_version(sink, 1)
    with duckdb.connect(str(folder / "materia.duckdb"), read_only=True) as connection:
        run = connection.execute("SELECT run, stamp FROM publication.run").fetchall()
        tables = connection.execute("SELECT name, rows FROM publication.tables").fetchall()

    assert run == [("run 1", "stamp 1")]
    assert tables == [("serving.prices", ROWS), ("serving.totals", 1)]
