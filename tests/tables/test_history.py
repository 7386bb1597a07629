from __future__ import annotations

import json

import pytest
from fakes.workshop import Workshop


def test_published_tables_are_listed_with_their_rows(desk: Workshop) -> None:
    text = desk.run("tables", "list").stdout
    found = json.loads(desk.run("tables", "list", "--json").stdout)

    assert {"table": "serving.large", "rows": 50, "source": None} in found
    assert {"table": "serving.spy", "rows": None, "source": None} in found
    assert "serving.large     50" in text
    assert "serving.spy       cannot be counted" in text


@pytest.mark.parametrize("sink", ["folder", "duckdb"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("tables", "history"),
        ("tables", "rollback", "--to", "20261124T085500-ab12cd"),
        ("tables", "list", "--run", "20261124T085500-ab12cd"),
        ("query", "--run", "20261124T085500-ab12cd", "SELECT 1"),
    ],
    ids=" ".join,
)
def test_a_sink_without_earlier_publications_says_so(
    desk: Workshop, sink: str, arguments: tuple[str, ...]
) -> None:
    desk.write("materia.toml", f'source = "folder"\nsink = "{sink}"\n')
    done = desk.run(*arguments)

    assert done.returncode == 1
    assert f"the sink {sink} keeps only its newest publication, so no earlier one" in done.stderr
