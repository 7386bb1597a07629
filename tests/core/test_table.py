"""Tables and sentences fit the terminal that shows them."""

from __future__ import annotations

import pytest
from materia_runner.cli.echo import wrapped
from materia_runner.cli.output.text import table
from materia_runner.install_hints import install_command

HEAD = ("table", f"{'rows':>9}", "what it is")
ROWS = [
    ("serving.fct_balance", f"{2_059_200:>9,}", "Supply and use of a commodity in a country"),
    ("raw.psd_current", f"{7:>9,}", "Rows of the newest release of each archive, codes as numbers"),
]
NARROWEST = 40


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(columns: int) -> None:
    shown = table(ROWS, head=HEAD, columns=columns)

    assert all(len(line) <= columns for line in shown.splitlines())
    for row in ROWS:
        for word in " ".join(row).split():
            assert word in shown


def test_words_move_to_further_lines_of_their_own_cell() -> None:
    assert table([("a", "one two three", "x")], head=("i", "text", "y"), columns=13) == (
        "i  text     y\na  one two  x\n   three"
    )


def test_a_terminal_with_room_has_one_line_a_row() -> None:
    assert len(table(ROWS, head=HEAD, columns=200).splitlines()) == 1 + len(ROWS)


def test_a_row_that_cannot_fit_becomes_a_block_of_named_lines() -> None:
    first, *_ = table(ROWS, head=HEAD, columns=NARROWEST).split("\nraw.")

    assert first.splitlines() == [
        "serving.fct_balance",
        "  rows: 2,059,200",
        "  what it is: Supply and use of a",
        "    commodity in a country",
    ]


def test_output_for_a_pipe_has_one_line_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    assert len(table(ROWS, head=HEAD).splitlines()) == 1 + len(ROWS)


SAID = """\
materia: run 20261124T085500-ab12cd left a machine on hetzner; to destroy it: `materia sweep`
  reason     the server answers 503 Service Unavailable, asked 5 times; run it again later
    https://apps.fas.usda.gov/psdonline/downloads/archives/2026/11/psd_alldata_csv.zip is absent
  uv run python -c 'import duckdb; duckdb.connect("materia.duckdb").sql("from serving.x").show()'
"""


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_a_sentence_breaks_at_words_and_a_command_stays_whole(columns: int) -> None:
    shown = wrapped(SAID, columns)

    assert shown.split() == SAID.split()
    assert SAID.splitlines()[-1] in shown.splitlines()
    assert "`materia sweep`" in shown
    for line in shown.splitlines():
        assert len(line) <= columns or line.count(" ") == 4 or line.startswith("  uv run")
        assert line.startswith(("materia", " "))


def test_further_lines_stand_below_the_text_of_the_first() -> None:
    assert wrapped("  reason     one two three four", 24) == (
        "  reason     one two\n    three four"
    )
    assert wrapped("09:00:00  the stage extract begins and then it ends well", 40) == (
        "09:00:00  the stage extract begins and\n          then it ends well"
    )


def test_the_command_that_installs_a_package_stays_whole() -> None:
    command = install_command("materia-nothing").strip("`")

    shown = wrapped(f"x: needs it; to add it: {install_command('materia-nothing')}", 24)

    assert " " in command
    assert f"  `{command}`" in shown.splitlines()
