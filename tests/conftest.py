from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import hypothesis
import pytest
from fakes.made_once import made_once
from fakes.workshop import Workshop

# What a shell may say of itself, and what programs then print otherwise or read from elsewhere.
OF_THE_SHELL = (
    "CLICOLOR",
    "COLUMNS",
    "FORCE_COLOR",
    "LANG",
    "LC_",
    "LINES",
    "MATERIA_",
    "NO_COLOR",
)
ENDING = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT)


def _go_on(_number: int, _frame: FrameType | None) -> None:
    """A handler that ignores: other than SIG_IGN, no program inherits it."""


def on_neutral_ground() -> None:
    """Let no test depend on the shell: programs that tests start inherit this process.

    A signal that was ignored, as under `nohup pytest &`, is still ignored here, and not by them.
    """
    for number in ENDING:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, _go_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    for name in [name for name in os.environ if name.startswith(OF_THE_SHELL)]:
        del os.environ[name]
    os.environ["TZ"] = "UTC"
    # As the worker sets it before it imports SQLMesh, which some test modules do before any build:
    # else each of them forks a pool of this large process.
    os.environ["MAX_FORK_WORKERS"] = "1"


on_neutral_ground()

# No test is timed: a machine may be busy. The campaigns try the usual hundred examples, and find
# what the fifteen of a normal run miss.
hypothesis.settings.register_profile("thorough", deadline=None)
hypothesis.settings.register_profile("untimed", deadline=None, max_examples=15)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def state_of_these_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No run of a test is among those of the person who runs it."""
    os.environ["MATERIA_STATE_DIR"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """A folder to run the command line in, with the bundled plugins and no others."""
    made = Workshop(tmp_path)
    yield made
    made.kill_all()


@pytest.fixture
def folders(workshop: Workshop) -> Workshop:
    """A workshop whose pipeline reads the folder `in` and publishes to the folder `out`."""
    workshop.pipe_folders()
    return workshop


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Folders in which `materia run` has run, to be copied or read."""

    def make(folder: Path) -> None:
        made = Workshop(folder)
        made.pipe_folders()
        ended = made.run("run")
        assert ended.returncode == 0, ended.stderr

    return Workshop.of(made_once(tmp_path_factory, "first run", make))


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Where `materia run --sample` has run with the SQLMesh project of a clone, to be read.

    What it printed is in the files `stdout` and `stderr` beside the working folder.
    """

    def make(folder: Path) -> None:
        made = Workshop(folder)
        made.copy_project()
        ended = made.run("run", "--sample")
        assert ended.returncode == 0, ended.stderr
        (folder / "stdout").write_text(ended.stdout)
        (folder / "stderr").write_text(ended.stderr)

    return Workshop.of(made_once(tmp_path_factory, "sample run", make))


@pytest.fixture
def run_folders(folders: Workshop, first_run: Workshop) -> Workshop:
    """Such folders of one's own: the run takes seconds, and a copy of what it left does not."""
    folders.take_over(first_run)
    return folders


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: tests wait half of their time, for servers, machines and processes."""
    return 2 * (os.cpu_count() or 1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--live",
        action="store_true",
        help="also run the tests that rent real machines, where credentials are set",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--live"):
        return
    live = [item for item in items if item.get_closest_marker("live")]
    if live:
        config.hook.pytest_deselected(items=live)
        items[:] = [item for item in items if item not in live]
