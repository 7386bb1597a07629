from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from fakes.workshop import Workshop
from materia_runner.cli.commands.pipelines.run import python_command
from materia_runner.cli.main import app
from materia_runner.cli.output.progress import progress_line
from materia_runner.cli.output.summary import first_sentence
from materia_runner.cli.output.text import many, size, table
from materia_runner.figures import elapsed_text
from materia_runner.messages.events import Progress
from typer.testing import CliRunner, Result


def commands(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command and group, as the words a user types."""
    below = getattr(command, "commands", {})
    return [path, *(one for name, sub in below.items() for one in commands(sub, (*path, name)))]


COMMANDS = commands(typer.main.get_command(app))


def test_the_commands_are_those_that_are_documented() -> None:
    assert {" ".join(path) for path in COMMANDS} >= {
        "",
        "init",
        "pipeline",
        "pipeline run",
        "plugins",
        "run",
        "sinks",
        "sources",
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_every_option_has_help(path: tuple[str, ...]) -> None:
    command = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]

    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), parameter.name


def helped(path: tuple[str, ...], option: str = "--help") -> Result:
    """What the command prints, without a process: test_docs.py starts one for each of many."""
    return CliRunner().invoke(app, [*path, option], prog_name="materia")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_fits_a_terminal_and_exits_with_0(path: tuple[str, ...]) -> None:
    ended = helped(path)

    assert ended.exit_code == 0
    assert ended.stdout.startswith(f"Usage: {' '.join(('materia', *path))} ")
    assert max(map(len, ended.stdout.splitlines())) <= 100
    listed = re.findall(r"^  [a-z-]+ {2,}.*$", ended.stdout, re.MULTILINE)
    assert not [line for line in listed if "..." in line], "a sentence is cut off"
    assert ended.stdout == helped(path, "-h").stdout


def test_examples_in_help_are_commands_that_exist() -> None:
    known = {" ".join(("materia", *path)) for path in COMMANDS}
    for path in COMMANDS:
        for line in re.findall(r"^    (materia .*)$", helped(path).stdout, flags=re.MULTILINE):
            words = line.split()
            assert " ".join(words[:2]) in known, line


def test_version_names_the_distribution(workshop: Workshop) -> None:
    assert workshop.run("--version").stdout == f"materia {version('materia-runner')}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["initt"], "Did you mean 'init'?"),
        (["run", "--samle"], "Possible options: --sample"),
        (["pipeline", "run", "extrct"], "unknown stage 'extrct' (did you mean 'extract'?)"),
        (["run", "--provider", "locl"], "unknown provider 'locl' (did you mean 'local'?)"),
        (["run", "--config", "nowhere.toml"], "nowhere.toml: cannot be read: No such file"),
    ],
)
def test_a_mistyped_word_is_told_with_what_was_meant(
    workshop: Workshop, arguments: list[str], said: str
) -> None:
    ended = workshop.run(*arguments)

    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_json_is_all_there_is_on_standard_output(run_folders: Workshop) -> None:
    run_folders.write("in/2024-03.csv", "#refuse is not a zip\n")

    report = run_folders.run("run", "--json")

    assert report.returncode == 1
    values = json.loads(report.stdout)
    assert re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{6}", values["run"])
    assert [stage["stage"] for stage in values["stages"]] == ["extract", "transform"]
    assert values["stages"][0]["result"]["problems"] == [
        {
            "partition": "2024-03",
            "url": (run_folders.directory / "in" / "2024-03.csv").as_uri(),
            "reason": "is not a zip",
            "source": "",
        }
    ]
    for command in ("plugins", "sources", "sinks"):
        assert isinstance(json.loads(run_folders.run(command, "--json").stdout), list)


def test_a_run_is_silent_on_standard_error_when_nobody_looks(folders: Workshop) -> None:
    ended = folders.run("pipeline", "run", "extract")

    assert ended.stderr == ""
    assert folders.run("pipeline", "run", "extract", "--quiet").stdout == ""


@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_shows_what_a_run_does(folders: Workshop, colour: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    ours, theirs = pty.openpty()
    environment = folders.environment(TERM="xterm", **({} if colour else {"NO_COLOR": "1"}))
    stage, words = ("transform", ["run"]) if colour else ("extract", ["pipeline", "run", "extract"])
    for month in range(0 if colour else 200):  # so many that there is something to watch
        folders.write(f"in/{2000 + month // 12}-{month % 12 + 1:02}.csv", "apples,1\n")
    run = subprocess.Popen(
        folders.command(*words),
        cwd=folders.directory,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the far end of a terminal closes with EIO
        pass
    os.close(ours)

    assert run.wait() == 0
    assert b"prepare" in shown or not colour  # a plain extract begins at once
    assert stage.encode() in shown
    assert (b"\x1b[1m" + stage.encode() in shown) == colour
    assert shown.endswith(b"\r\x1b[K")


@pytest.mark.parametrize("command", ["plugins", "sources", "--help"])
def test_a_reader_that_goes_away_is_no_error(workshop: Workshop, command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        workshop.command(command),
        cwd=workshop.directory,
        env=workshop.environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)

    assert ended.stderr == ""


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_from_the_start_is_no_error(
    workshop: Workshop, closed: str
) -> None:
    command = shlex.join(workshop.command("plan"))
    done = subprocess.run(
        ["/bin/bash", "-c", f"{command} {closed}"],
        cwd=workshop.directory,
        env=workshop.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert ("chosen: local" in done.stdout) == (closed == "2>&-")


@pytest.mark.parametrize("command", ["plugins", "--help"])
def test_a_full_disk_under_the_output_is_told(workshop: Workshop, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            workshop.command(command),
            cwd=workshop.directory,
            env=workshop.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr == ("materia: cannot write to standard output: No space left on device\n")


def test_a_folder_deleted_under_the_shell_is_told(workshop: Workshop) -> None:
    gone = workshop.directory / "gone"
    command = f'cd {gone} && rmdir {gone} && exec "$@"'
    gone.mkdir()
    ended = subprocess.run(
        ["/bin/sh", "-c", command, "sh", *workshop.command("sources")],
        env=workshop.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr == "materia: the current folder was deleted; change to another folder\n"


def test_the_sink_in_use_tells_what_it_holds(first_run: Workshop) -> None:
    sinks = {sink["name"]: sink for sink in json.loads(first_run.run("sinks", "--json").stdout)}
    text = first_run.run("sinks").stdout

    assert sinks["duckdb"]["holds"] is None
    assert sinks["folder"]["in_use"]
    assert sinks["folder"]["holds"]["sources"]["folder"] == {
        "partitions": 2,
        "newest": "2024-02",
        "bytes": 26,
        "absent": 0,
        "quarantined": [],
        "denied": [],
    }
    assert sinks["folder"]["holds"]["tables"] == {"raw.lines": 3, "serving.fct_line": 3}
    assert "holds 2 partitions of folder, newest 2024-02, 26 bytes" in text


def test_sources_are_told_with_their_settings(folders: Workshop) -> None:
    folders.write(
        "materia.toml", 'source = "folder"\nsink = "folder"\n[sources.folder]\nfolder = "x"\n'
    )

    sources = {one["name"]: one for one in json.loads(folders.run("sources", "--json").stdout)}

    assert sources["folder"]["settings"] == [
        {"name": "folder", "value": "x", "default": "in", "help": "Where the files are."}
    ]
    assert not sources["psdonline"]["in_use"]


def test_the_shell_completes_names_of_plugins_and_stages(folders: Workshop) -> None:
    def completed(words: str, number: int) -> str:
        environment = {
            "_MATERIA_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(number),
        }
        command = [str(Path(sys.executable).with_name("materia"))]
        return subprocess.run(
            command,
            cwd=folders.directory,
            env=folders.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    assert completed("materia run --provider lo", 3).split() == ["local"]
    assert completed("materia pipeline run ", 3).split() == ["extract", "transform"]


def test_figures_are_written_as_people_read_them() -> None:
    assert [size(count) for count in (0, 999, 1000, 24_140_000, 5 * 10**12)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "24.1 MB",
        "5000.0 GB",
    ]
    assert (elapsed_text(7.9), elapsed_text(61)) == ("7 s", "1 min 1 s")
    assert (many(1, "model"), many(1234, "model")) == ("1 model", "1,234 models")
    assert table([["a", "", "1"]], head=("x", "y", "zz")) == "x  zz\na  1"
    assert first_sentence("One row a line. More.") == "One row a line"


def test_the_line_of_progress_names_stage_phase_counts_and_time() -> None:
    newest = [
        Progress(phase="fetch", done=3, total=230, unit="partitions"),
        Progress(phase="fetch", done=24_140_000, total=None, unit="bytes"),
    ]

    assert progress_line("extract", newest, 7.2) == (
        "extract  fetch [----------] 3/230 partitions, 24.1 MB  7 s"
    )
    assert progress_line("extract", [], 0) == "extract  0 s"


def test_python_m_materia_is_the_command(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("materia")

    ended = subprocess.run(
        [script, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path
    )

    assert ended.stdout.startswith("materia ")


def test_a_mistake_in_the_program_keeps_its_traceback(workshop: Workshop) -> None:
    code = (
        "import sys; from materia_runner.cli.main import app, main\n"
        "@app.command()\n"
        "def broken() -> None:\n"
        "    assert False, 'nobody asked for it'\n"
        "sys.argv[1:] = ['broken']; main()\n"
    )

    ended = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=workshop.directory,
        env=workshop.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("Traceback (most recent call last):\n")
    assert ended.stderr.endswith("AssertionError: nobody asked for it\n")


def test_a_mistake_in_a_plugin_is_said_to_be_the_plugins(folders: Workshop) -> None:
    folders.install("secretive", "fakes.secretive")

    ended = folders.run("run", "--provider", "costly", environment={"COSTLY_TOKEN": "x"})

    assert ended.returncode == 1
    assert ended.stderr == (
        "materia: costly: its plugin failed: AssertionError: nobody asked for it\n"
    )


@pytest.mark.parametrize("started_by_uv", [True, False])
def test_the_command_to_look_with_is_the_one_the_user_has(started_by_uv: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    environment = {"UV_RUN_RECURSION_DEPTH": "1"} if started_by_uv else {}

    assert python_command(environment) == ("uv run python" if started_by_uv else sys.executable)
