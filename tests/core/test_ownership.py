"""A published database belongs to one pipeline: no run removes tables of another unasked."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from fakes.http_server import QuietServer
from fakes.workshop import Workshop
from materia.errors import ConfigError
from materia_runner.worker.ownership import (
    Claim,
    check_removed,
    read_claims,
    refuse_removed,
    standing,
    write_claims,
)
from materia_runner.worker.published_names import published_names


def test_a_fingerprint_says_who_publishes_what_and_comes_back_equal() -> None:
    claims = (
        Claim(pipeline="psdonline", sources={"psdonline": "0a"}, models="0b"),
        Claim(pipeline="rates", sources={"ecb": "01", "acme.prices": "02"}, models="03"),
    )

    assert read_claims(write_claims(claims)) == claims
    assert write_claims(claims) == "psdonline:0a.0b;ecb+acme.prices@rates:01+02.03"


@pytest.mark.parametrize("fingerprint", [None, "", "0123456789abcdef", "a:b;", "a:0;;", "a b:0"])
def test_a_fingerprint_of_another_form_belongs_to_nobody(fingerprint: str | None) -> None:
    assert read_claims(fingerprint) == ()


def test_a_fingerprint_of_an_earlier_version_names_its_source() -> None:
    assert read_claims("ecb:0123") == (Claim(pipeline="ecb", sources={"ecb": ""}, models="0123"),)


def test_a_pipeline_is_known_by_its_name_or_by_a_source() -> None:
    published = write_claims(
        [
            Claim(pipeline="grain", sources={"psdonline": "0", "ecb": "0"}, models="0"),
            Claim(pipeline="coffee", sources={"ico": "0"}, models="0"),
        ]
    )

    def own(pipeline: str, *sources: str) -> list[str]:
        here = standing(published, pipeline=pipeline, sources=sources)
        assert all(one in (*here.own, *here.others) for one in read_claims(published))
        return [one.pipeline for one in here.own]

    assert own("grain", "acme") == ["grain"]
    assert own("other", "ecb") == ["grain"]
    assert own("other", "ecb", "ico") == ["grain", "coffee"]
    assert own("acme", "acme") == []


def test_a_source_that_is_no_longer_listed_is_removed_on_request_only() -> None:
    published = write_claims([Claim(pipeline="a", sources={"a": "0", "b": "0"}, models="0")])
    here = standing(published, pipeline="a", sources=("a",))
    tables = {"b": ["staging.stg_b__price"]}

    def removed(*drop: str, sources: tuple[str, ...] = ("a",)) -> tuple[str, ...]:
        seen = standing(published, pipeline="a", sources=sources)
        return refuse_removed(seen, sources, drop=drop, sink="duckdb", tables=tables)

    assert here.removed(("a",)) == ("b",)
    assert removed("b") == ("b",)
    assert removed("b", "never") == ("b",)
    assert removed(sources=("a", "b")) == ()
    with pytest.raises(ConfigError, match=r"published staging\.stg_b__price.*--drop b "):
        removed()
    with pytest.raises(ConfigError, match="a is still a source of this pipeline"):
        removed("a", "b")


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
