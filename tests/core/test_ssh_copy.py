"""Files to a worker and from it, a tar.gz unpacked on its way, and lines told to a script."""

from __future__ import annotations

import ast
import contextlib
import gzip
import hashlib
import io
import os
import signal
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from fakes.http_server import QuietServer
from fakes.machines import READY, Worker, new_id, one_kind
from materia.errors import StageError
from materia_runner.artifact.find import Artifact
from materia_runner.execution.remote import RemoteWorker
from materia_runner.ssh.command import RemoteCommand
from materia_runner.ssh.program import SENT, program
from materia_runner.ssh.session import Session

pytest_plugins = ["machine_fixtures"]
kind = one_kind

MINUTE = timedelta(minutes=1)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def packed(path: Path, *members: tuple[str, bytes | None], kind: bytes = tarfile.REGTYPE) -> Path:
    """A tar.gz of files, or folders where there is no content, in two gzip members."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if content is None else kind
            member.mode = 0o755 if name.endswith(".sh") else 0o644
            member.linkname = "/etc/passwd"
            member.size = len(content or b"") if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(content or b""))
    whole = tar.getvalue()
    path.write_bytes(gzip.compress(whole[:700]) + gzip.compress(whole[700:]))
    return path


def there(session: Session, *argv: str) -> list[str]:
    lines: list[str] = []
    session.run_command(RemoteCommand(id=new_id(), argv=argv, limit=READY), lines.append)
    return lines


@pytest.mark.parametrize("size", [0, 1, 3_000_001])
def test_a_downloaded_file_arrives_whole(session: Session, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "up").write_bytes(content)
    session.upload(tmp_path / "up", "down/file", sha256=sha256(tmp_path / "up"))

    session.download("down/file", tmp_path / "down", sha256=sha256(tmp_path / "up"))
    session.download("down/file", tmp_path / "again")

    assert (tmp_path / "down").read_bytes() == content
    assert (tmp_path / "again").read_bytes() == content


def test_a_download_that_is_larger_than_it_may_be_writes_nothing(
    session: Session, tmp_path: Path
) -> None:
    (tmp_path / "up").write_bytes(b"12345")
    session.upload(tmp_path / "up", "down/five", sha256=sha256(tmp_path / "up"))

    with pytest.raises(StageError, match="it has 5 bytes, and the limit is 4"):
        session.download("down/five", tmp_path / "down", most=4)
    session.download("down/five", tmp_path / "again", most=5)

    assert {path.name for path in tmp_path.iterdir()} == {"up", "again"}


def test_a_download_that_is_not_what_it_should_be_leaves_what_was_there(
    session: Session, tmp_path: Path
) -> None:
    (tmp_path / "up").write_bytes(b"other")
    session.upload(tmp_path / "up", "down/other", sha256=sha256(tmp_path / "up"))
    (tmp_path / "kept").write_text("before")

    with pytest.raises(StageError, match=r"cannot copy down/other from .* has the hash"):
        session.download("down/other", tmp_path / "kept", sha256="0" * 64)
    with pytest.raises(StageError, match=r"cannot copy down/none .*No such file"):
        session.download("down/none", tmp_path / "kept")
    with pytest.raises(StageError, match="cannot be written here: No such file or directory"):
        session.download("down/other", tmp_path / "no folder" / "x")

    assert {path.name for path in tmp_path.iterdir()} == {"up", "kept"}
    assert (tmp_path / "kept").read_text() == "before"


def test_a_download_is_begun_again_when_the_connection_breaks(
    booted: Callable[..., Worker], tmp_path: Path
) -> None:
    worker = booted()
    content = os.urandom(30_000_000)
    (worker.machine.folder / "home" / "materia" / "large").write_bytes(content)

    def cut_when_it_has_begun() -> None:
        seen = False
        while not seen:
            for part in tmp_path.glob("large.*.part"):
                with contextlib.suppress(OSError):
                    seen = 0 < part.stat().st_size < len(content)
        worker.machine.cut()

    cut = threading.Thread(target=cut_when_it_has_begun, daemon=True)
    with worker.session() as session:
        cut.start()
        session.download("large", tmp_path / "large", sha256=hashlib.sha256(content).hexdigest())
    cut.join(10)

    assert (tmp_path / "large").read_bytes() == content


def test_a_tar_gz_is_unpacked_under_a_name_it_gets_at_the_end(
    session: Session, tmp_path: Path
) -> None:
    long = "deep/" * 30 + "file.txt"
    archive = packed(
        tmp_path / "a.tar.gz", ("lib", None), ("lib/x.sh", b"echo hi"), (long, b"x" * 5000)
    )

    for _ in range(2):
        session.upload(archive, "unpacked/one", sha256=sha256(archive), unpack=True)

    assert there(session, "sh", "-c", "unpacked/one/lib/x.sh; wc -c < unpacked/one/" + long) == [
        "hi",
        "5000",
    ]
    assert there(session, "ls", "-A", "unpacked") == ["one"]


@pytest.mark.parametrize(
    ("name", "member", "why"),
    [
        ("../out", tarfile.REGTYPE, r"it contains the unsafe path '\.\./out'"),
        ("/tmp/out", tarfile.REGTYPE, "it contains the unsafe path '/tmp/out'"),  # noqa: S108 -- that is the point
        ("link", tarfile.SYMTYPE, "it contains 'link', which is not a plain file"),
        ("link", tarfile.LNKTYPE, "it contains 'link', which is not a plain file"),
        ("pipe", tarfile.FIFOTYPE, "it contains 'pipe', which is not a plain file"),
    ],
)
def test_a_tar_gz_that_reaches_out_of_its_folder_is_refused(
    session: Session, tmp_path: Path, name: str, member: bytes, why: str
) -> None:
    archive = packed(tmp_path / "a.tar.gz", (name, b"x"), kind=member)

    with pytest.raises(StageError, match=why):
        session.upload(archive, "refused/one", sha256=sha256(archive), unpack=True)

    assert there(session, "ls", "-A", "refused") == []


def test_a_tar_gz_that_is_not_the_one_meant_is_gone_before_anybody_could_use_it(
    session: Session, tmp_path: Path
) -> None:
    archive = packed(tmp_path / "a.tar.gz", ("lib/x", b"evil" * 1000))
    torn = tmp_path / "torn.tar.gz"
    torn.write_bytes(archive.read_bytes()[:-20])
    junk = tmp_path / "junk.tar.gz"
    junk.write_bytes(os.urandom(500_000))

    with pytest.raises(StageError, match=f"what arrived has the hash {sha256(archive)}"):
        session.upload(archive, "wrong/one", sha256="0" * 64, unpack=True)
    with pytest.raises(StageError, match=f"what arrived has the hash {sha256(torn)}"):
        session.upload(torn, "wrong/one", sha256=sha256(archive), unpack=True)
    with pytest.raises(StageError, match="it cannot be unpacked"):
        session.upload(torn, "wrong/one", sha256=sha256(torn), unpack=True)
    with pytest.raises(StageError, match=r"it cannot be unpacked: .*incorrect header"):
        session.upload(junk, "wrong/one", sha256=sha256(junk), unpack=True)

    assert there(session, "ls", "-A", "wrong") == []


class Shelf(QuietServer):
    """Gives what lies in its files, and cuts `/broken` off in the middle."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Reader)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []


class Reader(BaseHTTPRequestHandler):
    server: Shelf

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path.partition("?")[0])
        if content is None:
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if "broken" in self.path else content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("name", ["good", "missing", "broken"])
def test_an_artifact_is_fetched_by_the_worker_or_else_sent_from_here(
    worker: Worker, shelf: Shelf, tmp_path: Path, name: str
) -> None:
    path = packed(tmp_path / "a.tar.gz", ("lib/x", name.encode() * 1000))
    if name != "missing":
        shelf.files[f"/{name}"] = path.read_bytes()
    url = f"http://127.0.0.1:{shelf.server_port}/{name}?signature=hush"
    with RemoteWorker(worker.login, timeout=READY) as remote:
        python, architecture = remote.probe()
        artifact = Artifact(
            path=path if name != "good" else tmp_path / "not here",
            sha256=sha256(path),
            python=python,
            architecture=architecture,
            size=path.stat().st_size,
            url=url,
        )
        remote.prepare(artifact)
        remote.prepare(artifact)
        with pytest.raises(StageError, match=r"the artifact is for 3\.4 on"):
            remote.prepare(replace(artifact, python="3.4"))
    with worker.session() as session:
        found = there(session, "wc", "-c", f".materia/artifacts/{artifact.sha256}/lib/x")

    assert found[0].split()[0] == str(len(name) * 1000)
    assert len(shelf.asked) == 1  # the second time it is there
    if name == "missing":
        with (
            worker.session() as session,
            pytest.raises(StageError, match="cannot fetch its file: HTTP Error 403") as refused,
        ):
            session.fetch(url, "x", sha256=artifact.sha256)
        assert "hush" not in str(refused.value)


ECHO = """
import signal
import sys
print("ready", flush=True)
for line in sys.stdin:
    print("heard", line.strip(), flush=True)
    if line.startswith("29"): break
"""


def test_a_line_told_to_a_script_arrives_once_however_often_the_connection_breaks(
    booted: Callable[..., Worker],
) -> None:
    worker = booted()
    heard: list[str] = []
    numbers = iter(range(30))

    def answer(line: str) -> None:
        heard.append(line)
        for number in numbers:  # two at a time, so that some are under way when it breaks
            session.tell(f"{number} grüße")
            if number % 2:
                break
        if len(heard) in {3, 9, 15}:
            worker.machine.cut()

    with worker.session() as session:
        script = RemoteCommand(id=new_id(), argv=("python3", "-c", ECHO), limit=MINUTE)
        end = session.run_command(script, answer)
        with pytest.raises(RuntimeError, match="no command is running"):
            session.tell("too late")

    assert end.ok
    assert end.resumed >= 1
    assert heard == ["ready", *(f"heard {number} grüße" for number in range(30))]


@pytest.mark.parametrize("name", ["keep_alive", "files"])
def test_what_is_sent_runs_on_python_3_9_with_nothing_but_its_library(name: str) -> None:
    text = program(name).decode()
    (texts,) = [
        ast.literal_eval(node.func.value)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Dict)
    ]
    assert list(texts) == [f"materia_runner.ssh.agent.{one}" for one in SENT[name]]
    for source in texts.values():
        tree = ast.parse(source, feature_version=(3, 9))
        for node in ast.walk(tree):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
            for module in names:
                assert module in texts or module.partition(".")[0] in sys.stdlib_module_names
            assert not isinstance(node, ast.Match)


def test_parts_that_were_left_by_processes_that_are_gone_are_swept(
    session: Session, tmp_path: Path
) -> None:
    (tmp_path / "up").write_bytes(b"content")
    left = "mkdir -p swept/file.4000001.part; cd swept; touch file.4000002.part f.part"
    there(session, "sh", "-c", f"{left} file.x.part other.4000001.part")

    there(session, "sh", "-c", "cd swept; touch file.0123456789abcdef.part")

    session.upload(tmp_path / "up", "swept/file", sha256=sha256(tmp_path / "up"))

    left_over = ["f.part", "file", "file.x.part", "other.4000001.part"]
    assert sorted(there(session, "ls", "-A", "swept")) == left_over


def test_one_python_serves_all_files_of_a_connection_until_it_is_killed(
    booted: Callable[..., Worker], tmp_path: Path
) -> None:
    worker = booted()
    (tmp_path / "up").write_bytes(b"content")

    def pythons() -> list[int]:
        processes = worker.machine.processes().items()
        return [pid for pid, arguments in processes if arguments[:2] == ["python3", "-ISc"]]

    with worker.session() as session:
        for name in ("one", "two", "three"):
            session.upload(tmp_path / "up", name, sha256=sha256(tmp_path / "up"))
            session.download(name, tmp_path / name)
        (first,) = pythons()
        with pytest.raises(StageError, match="No such file"):
            session.download("none", tmp_path / "none")
        session.download("one", tmp_path / "one")
        (second,) = pythons()
        os.kill(second, signal.SIGKILL)
        session.download("two", tmp_path / "again")

    assert first != second
    assert (tmp_path / "again").read_bytes() == b"content"
