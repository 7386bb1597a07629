"""A published database belongs to one pipeline: no run removes tables of another unasked."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from fakes.http_server import QuietServer
from fakes.workshop import Workshop
from materia.errors import ConfigError
from materia_runner.worker.ownership import (
    check_removed,
    fingerprint_with_source,
    published_names,
    refuse_other_source,
)

FOLDER = 'source = "folder"\nsink = "duckdb"\n'
PSD = 'source = "psdonline"\nsink = "duckdb"\n'


def tables(workshop: Workshop) -> set[str]:
    with duckdb.connect(str(workshop.directory / "materia.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT name FROM publication.tables").fetchall()
    return {str(name) for (name,) in rows}


def test_a_second_source_in_one_database_is_refused_and_the_first_keeps_its_tables(
    folders: Workshop,
) -> None:
    folders.write("folder.toml", FOLDER)
    folders.write("psd.toml", PSD)
    first = folders.run("run", "--config", "folder.toml")
    assert first.returncode == 0, first.stderr
    published = tables(folders)

    second = folders.run("run", "--sample", "--config", "psd.toml")
    again = folders.run("run", "--config", "folder.toml")

    assert second.returncode == 2
    assert "the published database has the tables of the source 'folder'" in second.stderr
    assert "another place for this pipeline under [sinks.duckdb]" in second.stderr
    assert "Traceback" not in second.stderr
    assert again.returncode == 0
    assert tables(folders) == published


def test_a_stamp_without_a_source_is_of_an_older_version_and_refuses_nobody() -> None:
    refuse_other_source(None, source="ecb", sink="duckdb")
    refuse_other_source("0123456789abcdef", source="ecb", sink="duckdb")
    refuse_other_source(fingerprint_with_source("ecb", "01"), source="ecb", sink="duckdb")
    with pytest.raises(ConfigError, match="the source 'psdonline'"):
        refuse_other_source(fingerprint_with_source("psdonline", "01"), source="ecb", sink="duckdb")


def test_tables_that_no_model_makes_are_named_and_a_whole_project_does_not_vanish() -> None:
    before = ("serving.a", "serving.b", "staging.c")

    assert check_removed(before, before, project=None, sink="duckdb") == []
    assert check_removed((), before, project=None, sink="duckdb") == []
    assert check_removed(before, before[1:], project=Path("models"), sink="duckdb") == [
        "no longer published, because no model builds it: serving.a"
    ]
    with pytest.raises(ConfigError, match=r"would remove serving\.a, serving\.b: .*no SQLMesh"):
        check_removed(before, before[2:], project=None, sink="duckdb")
    with pytest.raises(ConfigError, match="none of this pipeline's models builds them"):
        check_removed(before, ("serving.x",), project=Path("models"), sink="duckdb")


def test_what_is_published_is_read_from_the_copy_and_a_new_one_has_nothing(tmp_path: Path) -> None:
    path = tmp_path / "materia.duckdb"
    assert published_names(path) == ()
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE other (x INTEGER)")
    assert published_names(path) == ()
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA publication")
        connection.execute("CREATE TABLE publication.tables (name TEXT)")
        connection.execute("INSERT INTO publication.tables VALUES ('serving.b'), ('serving.a')")
    assert published_names(path) == ("serving.a", "serving.b")


def test_a_source_where_nothing_exists_is_an_error_that_names_the_address(
    workshop: Workshop,
) -> None:
    import http.server
    import threading

    class Nothing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as the parent
            pass

    server = QuietServer(("127.0.0.1", 0), Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/wrong"
    workshop.write(
        "materia.toml", f'[sources.psdonline]\nbase_url = "{address}"\nfirst_release = "2026-09"\n'
    )

    ended = workshop.run("run")
    server.shutdown()
    server.server_close()

    assert ended.returncode == 1
    assert "requested partitions exists, the first at " + address in ended.stderr
    assert "check the address under [sources.psdonline]" in ended.stderr
