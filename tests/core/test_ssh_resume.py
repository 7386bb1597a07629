"""Copies over a line that breaks: each goes on where the one before stopped."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from fakes.http_server import QuietServer
from fakes.machines import Worker, one_kind
from fakes.weak_line import WeakLine
from materia.errors import StageError, WorkerLostError

pytest_plugins = ["machine_fixtures"]
kind = one_kind

SIZE = 5_000_000
BEARS = 900_000
CONTENT = os.urandom(SIZE)
HASH = hashlib.sha256(CONTENT).hexdigest()
# What a line may carry in all: each break loses what was under way, and each login has its price.
MOST = 2 * SIZE


def home(worker: Worker) -> Path:
    return worker.machine.folder / "home" / "materia"


def packed(path: Path) -> str:
    """A tar.gz with CONTENT in it; its hash."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        member = tarfile.TarInfo("content")
        member.size = SIZE
        archive.addfile(member, io.BytesIO(CONTENT))
    path.write_bytes(gzip.compress(tar.getvalue(), 1))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def litter(worker: Worker, folder: str) -> list[str]:
    return [path.name for path in (home(worker) / folder).glob("*.part*")]


def test_a_file_arrives_there_over_a_line_that_breaks_all_the_time(
    worker: Worker, tmp_path: Path
) -> None:
    (tmp_path / "up").write_bytes(CONTENT)

    with WeakLine(worker, bears=BEARS) as line, line.session() as session:
        session.upload(tmp_path / "up", "resumed/up", sha256=HASH)

    assert (home(worker) / "resumed" / "up").read_bytes() == CONTENT
    assert line.breaks >= SIZE // BEARS
    assert line.up < MOST
    assert litter(worker, "resumed") == []


def test_an_artifact_is_unpacked_over_a_line_that_breaks_all_the_time(
    worker: Worker, tmp_path: Path
) -> None:
    sha256 = packed(tmp_path / "a.tar.gz")

    with WeakLine(worker, bears=BEARS) as line, line.session() as session:
        session.bring_meanwhile(
            tmp_path / "a.tar.gz", None, "resumed/artifact", sha256=sha256
        ).result(60)

    assert (home(worker) / "resumed" / "artifact" / "content").read_bytes() == CONTENT
    assert line.breaks >= SIZE // BEARS
    assert line.up < MOST
    assert litter(worker, "resumed") == []


def test_a_file_arrives_here_over_a_line_that_breaks_all_the_time(
    worker: Worker, tmp_path: Path
) -> None:
    (home(worker) / "down").write_bytes(CONTENT)

    with WeakLine(worker, bears=BEARS) as line, line.session() as session:
        session.download("down", tmp_path / "down", sha256=HASH)

    assert (tmp_path / "down").read_bytes() == CONTENT
    assert line.breaks >= SIZE // BEARS
    assert line.down < MOST
    assert [path.name for path in tmp_path.iterdir()] == ["down"]


def test_a_line_that_carries_nothing_is_given_up_after_three_tries(
    worker: Worker, tmp_path: Path
) -> None:
    (tmp_path / "up").write_bytes(CONTENT)

    with WeakLine(worker, bears=BEARS) as line, line.session() as session:
        line.bears = 6000  # enough for a login, and for nothing after it
        with pytest.raises(
            WorkerLostError, match="out of reach, the connection broke during copying up"
        ):
            session.upload(tmp_path / "up", "none", sha256=HASH)

    assert line.breaks <= 12


def test_a_part_that_is_not_the_beginning_of_the_file_is_copied_anew(
    worker: Worker, tmp_path: Path
) -> None:
    sha256 = packed(tmp_path / "a.tar.gz")
    folder = home(worker) / "torn"
    folder.mkdir()
    folder.chmod(0o777)
    part = folder / f"artifact.{sha256[:16]}.part"
    part.write_bytes(b"x" * 1000)
    part.chmod(0o666)

    with worker.session() as session:
        session.upload(tmp_path / "a.tar.gz", "torn/artifact", sha256=sha256, unpack=True)

    assert (folder / "artifact" / "content").read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["artifact"]


def test_a_file_that_changes_while_the_line_is_broken_is_not_taken_for_what_it_was(
    worker: Worker, tmp_path: Path
) -> None:
    path = home(worker) / "changing"
    path.write_bytes(CONTENT)

    def change() -> None:
        while not any(part.stat().st_size for part in tmp_path.glob("*.part")):
            pass
        path.write_bytes(CONTENT[::-1])

    with WeakLine(worker, bears=BEARS) as line, line.session() as session:
        changing = threading.Thread(target=change)
        changing.start()
        session.download("changing", tmp_path / "down")
        changing.join()

    assert (tmp_path / "down").read_bytes() == CONTENT[::-1]


def test_a_hash_that_is_wrong_from_the_start_is_no_reason_to_copy_for_ever(
    worker: Worker, tmp_path: Path
) -> None:
    (tmp_path / "up").write_bytes(CONTENT)

    with (
        WeakLine(worker, bears=BEARS) as line,
        line.session() as session,
        pytest.raises(StageError, match="what arrived has the hash"),
    ):
        session.upload(tmp_path / "up", "wrong/up", sha256="0" * 64)

    assert line.up < 2 * MOST
    assert litter(worker, "wrong") == []


class Store(QuietServer):
    """Gives one file, in the ranges that are asked for."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Reader)
        self.content = content
        self.gave = 0
        self.ranges = True
        self.slow = threading.Event()


class Reader(BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        asked = self.headers.get("Range") if self.server.ranges else None
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        whole = len(self.server.content)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
        self.send_header("Content-Length", str(whole - begin))
        self.end_headers()
        while block := self.server.content[begin : begin + 500_000]:
            self.wfile.write(block)
            begin += len(block)
            self.server.gave += len(block)
            self.server.slow.wait(0.2)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    packed(tmp_path / "a.tar.gz")
    with Store((tmp_path / "a.tar.gz").read_bytes()) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("ranges", [True, False])
def test_what_the_worker_fetches_goes_on_where_it_stopped_when_the_line_to_it_breaks(
    worker: Worker, store: Store, *, ranges: bool
) -> None:
    store.ranges = ranges
    sha256 = hashlib.sha256(store.content).hexdigest()
    ended = threading.Event()

    def cut() -> None:
        while not ended.wait(0.7):
            worker.machine.cut()

    cutting = threading.Thread(target=cut)
    with worker.session() as session:
        if ranges:
            cutting.start()
        session.fetch(
            f"http://127.0.0.1:{store.server_port}/a",
            f"fetched/{ranges}",
            sha256=sha256,
            unpack=True,
        )
        ended.set()
        if ranges:
            cutting.join()

    assert (home(worker) / "fetched" / str(ranges) / "content").read_bytes() == CONTENT
    assert store.gave < MOST
    assert litter(worker, "fetched") == []


def test_nothing_that_a_library_remarks_on_a_broken_line_is_shown(
    worker: Worker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "up").write_bytes(CONTENT)

    with WeakLine(worker, bears=BEARS) as line, line.session() as session:
        session.upload(tmp_path / "up", "resumed/quiet", sha256=HASH)

    assert line.breaks >= SIZE // BEARS
    assert capfd.readouterr().err == ""
