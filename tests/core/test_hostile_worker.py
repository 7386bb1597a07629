"""Workers that lie, over real SSH: a worker is trusted with its stage, not with the home.

Whatever one does: no file outside of the run's own is read or touched, what was published is still
there, nothing stays rented, and the terminal gets words.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from fakes.rented import Rented
from fakes.workshop import TESTS, Workshop
from materia_testing.emulation.ssh_machines import sandbox

pytestmark = pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not()))

MODULES = ("hostile_worker", "hostile_modes")
PLANTED = "planted-7731QZ"
UNREADABLE = "the worker sent a message that materia cannot read: "
# What a machine says in each mode, and what the one who runs it reads in the end.
EXTRACT = {
    "reads .env": UNREADABLE,
    "writes .bashrc": UNREADABLE,
    "another hash": UNREADABLE,
    "a short hash": UNREADABLE,
    "a partition above": UNREADABLE,
    "a partition far above": UNREADABLE,
    "an absolute partition": UNREADABLE,
    "a partition with ESC": UNREADABLE,
    "a partition that is a list": UNREADABLE,
    "a partition of its own": UNREADABLE,
    "a file above": UNREADABLE,
    "a file with a folder": UNREADABLE,
    "a long file name": UNREADABLE,
    "another file": UNREADABLE,
    "another partition": UNREADABLE,
    "another source": UNREADABLE,
    "a source above": UNREADABLE,
    "no file and a hash": UNREADABLE,
    "a negative size": UNREADABLE,
    "an endless size": UNREADABLE,
    "another size": "1 bytes, but 5 were fetched",
    "more than it said": "it has 1 bytes, and the limit is 0",
    "more than a disk": "it has 8,796,093,022,208 bytes, and the limit is",
    "more than a disk, refused": "it has 8,796,093,022,208 bytes, and the limit is",
    "no moment": UNREADABLE,
    "a moment that is a number": UNREADABLE,
    "a folder for a file": "cannot copy / from the worker",
    "a file that is not there": "cannot copy /no/such from the worker",
    "an endless file": "what arrived has the hash",
    "a NUL in a path": UNREADABLE,
    "a class of Python": UNREADABLE,
    "a message that is a list": UNREADABLE,
    "a message without fields": UNREADABLE,
    "a message with more fields": UNREADABLE,
    "a transform's message": UNREADABLE,
    "an early publish": UNREADABLE,
    "nested deeply": UNREADABLE,
    "an event nested deeply": UNREADABLE,
    "half a message": UNREADABLE,
    "a number that is none": UNREADABLE,
    "a negative number": UNREADABLE,
    "escapes": "materia: fineclick and more",
    "half a character": "materia: \ufffd",
    "an orphan": "materia: so it says",
    "sold out": "materia: so it says",
    "a lost worker": "materia: so it says",
    "over budget": "failed with BudgetError: so it says",
    "money": UNREADABLE,
    "a machine": UNREADABLE,
    "progress in words": UNREADABLE,
    "a log that is no text": UNREADABLE,
    "an unknown event": UNREADABLE,
    "an empty result": UNREADABLE,
    "a result with odd asked": UNREADABLE,
    "a result with odd fetched": UNREADABLE,
    "a result with odd bytes": UNREADABLE,
    "a result with odd problems": UNREADABLE,
    "a result with odd unchanged": UNREADABLE,
    "a long line": "ended without a result, exit code 0",
    "a long event": UNREADABLE,
    "no UTF-8": UNREADABLE,
    "a flood": "",
    "nothing at all": "ended without a result, exit code 0",
    "an exit code": "ended without a result, exit code 77",
}
REACHES = "reads outside the database: "
TRANSFORM = {
    "a view that reads a file": f"the view serving.v {REACHES}read_text()",
    "a view that tells a file by its rows": f"the view serving.v {REACHES}read_text()",
    "a view of a file by its name": f"the view serving.v {REACHES}'/tmp/planted.csv'",
    "a view nobody publishes": f"the view serving.v {REACHES}glob()",
    "a macro": f"the macro serving.m {REACHES}read_text()",
    "a macro in an expression": f"the macro serving.m {REACHES}read_text()",
    "a name for a shell": UNREADABLE,
    "a table that is not there": "has no table serving.v",
    "a claim to have published": UNREADABLE,
    "garbage for a database": "cannot be read as a database",
    "a publish before its time": UNREADABLE,
    "a publish for another run": UNREADABLE,
    "asks for .env": UNREADABLE,
    "asks for another source": UNREADABLE,
    "asks for another partition": UNREADABLE,
    "refuses elsewhere": UNREADABLE,
    "refuses by a path": UNREADABLE,
    "an extract's message": UNREADABLE,
}
# One of each kind; the others are of the same kinds, and take minutes: they are a campaign.
SHOWN = {
    *("reads .env", "a partition far above", "escapes", "sold out", "an empty result"),
    "a view that tells a file by its rows",
}
MODES = [
    pytest.param(stage, mode, said, id=mode, marks=() if mode in SHOWN else pytest.mark.campaign)
    for stage, modes in (("extract", EXTRACT), ("transform", TRANSFORM))
    for mode, said in modes.items()
]


@dataclass(frozen=True)
class Home:
    """A home whose pipeline has published something, and that has what nobody may see."""

    rented: Rented
    published: bytes

    @property
    def _work(self) -> Path:
        return self.rented.workshop.directory

    def use(self, mode: str) -> None:
        self.rented.write(f'source = "hostile"\n\n[sources.hostile]\nmode = "{mode}"\n')

    def others(self) -> dict[str, str]:
        """Every file but the run's own: what the sink keeps, and what is remembered of runs."""
        own = re.compile(
            r"work/(raw/hostile/2026-0[12]/|materia\.duckdb|\.materia|materia\.toml)"
            r"|home/\.(local/state|cache)/materia/"
        )
        folder = self._work.parent
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
            if not own.match(name := str(path.relative_to(folder)))
        }

    def kept(self) -> set[str]:
        """What the raw files hold, wherever they lie."""
        return {
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (self._work / "raw").rglob("*.csv")
        }

    def rows(self) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self._work / "materia.duckdb"), read_only=True) as connection:
            return sorted(connection.execute("FROM raw.lines").fetchall())

    def written(self) -> str:
        """All that the run wrote down in words."""
        return "\n".join(
            path.read_text(errors="replace")
            for path in (self.rented.workshop.home / ".local").rglob("*")
            if path.is_file()
        )

    def run(self, stage: str) -> subprocess.CompletedProcess[str]:
        return self.rented.run("pipeline", "run", stage, "--provider", "hetzner")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder after an honest run on this machine."""
    workshop = installed(tmp_path_factory.mktemp("honest"), version="1.1")
    workshop.write("materia.toml", 'source = "hostile"\n')
    done = workshop.run("run")
    assert done.returncode == 0, done.stderr
    return workshop.directory


def installed(folder: Path, *, version: str) -> Workshop:
    """With the source; what another version of it has published is built anew."""
    workshop = Workshop(folder)
    for name in MODULES:
        workshop.module(name, (TESTS / "fakes" / f"{name}.py").read_text())
    files = tuple(f"{name}.py" for name in MODULES)
    workshop.install("hostile", "hostile_worker", version=version, files=files)
    return workshop


@pytest.fixture
def home(
    prepared: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Home]:
    workshop = installed(tmp_path, version="1.2")
    shutil.copytree(prepared, workshop.directory, dirs_exist_ok=True)
    for path in (".bashrc", ".ssh/id_ed25519", ".aws/credentials", ".netrc"):
        (workshop.home / path).parent.mkdir(exist_ok=True)
        (workshop.home / path).write_text(f"{path} {PLANTED}\n")
    (workshop.directory / ".env").write_text(f"SOME_TOKEN={PLANTED}\n")
    (tmp_path / "neighbour").write_text(PLANTED)
    cache = tmp_path_factory.getbasetemp().parent / "cache"
    with Rented(workshop, ["hetzner"], cache=cache) as rented:
        yield Home(rented, (workshop.directory / "materia.duckdb").read_bytes())


@pytest.mark.parametrize(("stage", "mode", "said"), MODES)
def test_a_hostile_worker_harms_nothing_but_its_own_stage(
    home: Home, stage: str, mode: str, said: str
) -> None:
    home.use(mode)
    before, kept, rows = home.others(), home.kept(), home.rows()

    ended = home.run(stage)
    shown = home.rented.run("runs", "show")

    words = ended.stdout + ended.stderr + shown.stdout + shown.stderr
    assert said in ended.stderr, ended.stderr
    assert ended.returncode == (1 if said else 0), ended.stderr
    assert "Traceback" not in words
    assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e]", words) is None
    assert "COPYPASTE" not in re.sub(r"(?m)^.*cannot read.*$", "", words)
    assert home.others() == before
    assert PLANTED not in words + home.written()
    assert "root:" not in words + home.written()
    assert home.kept() >= kept
    assert home.rows() == rows
    assert home.rented.left() == []
    assert len(home.rented.runs()[0]["instances"]) <= 2


def test_every_mode_of_the_hostile_worker_is_tried() -> None:
    text = (TESTS / "fakes" / "hostile_modes.py").read_text()
    named = set(re.findall(r'^    "([^"]+)":', text, re.MULTILINE))

    assert named <= {*EXTRACT, *TRANSFORM}
    assert len({*EXTRACT, *TRANSFORM}) >= 40
