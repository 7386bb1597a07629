from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from pathlib import Path

from materia_runner.artifact.archive import MEMBER_BYTES, write_part

LARGE = bytes(range(256)) * (MEMBER_BYTES // 200)


def packed(*parts: dict[str, Path | bytes]) -> bytes:
    out = io.BytesIO()
    for number, files in enumerate(parts, 1):
        write_part(out, files.items(), last=number == len(parts))
    return out.getvalue()


def test_parts_are_one_tar_of_several_gzip_members(tmp_path: Path) -> None:
    path = "lib/" + "long/" * 40 + "name.py"
    archive = packed({"lib/large.so": LARGE, path: b"x = 1\n"}, {"manifest.json": b"{}"})

    done = subprocess.run(
        ["/bin/tar", "--extract", "--gzip"],
        input=archive,
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    found = {
        file.relative_to(tmp_path).as_posix(): file.read_bytes()
        for file in tmp_path.rglob("*")
        if file.is_file()
    }

    assert found == {"lib/large.so": LARGE, path: b"x = 1\n", "manifest.json": b"{}"}
    assert done.stderr == b""
    assert archive.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") >= 3


def test_python_reads_it_as_it_arrives() -> None:
    archive = packed({"a": LARGE}, {"b": b"2"})

    stream = gzip.GzipFile(fileobj=io.BytesIO(archive))
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        assert [(entry.name, entry.size) for entry in tar] == [("a", len(LARGE)), ("b", 1)]


def test_the_bytes_depend_on_names_and_contents_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(LARGE)
    first = packed({"a": file})
    file.chmod(0o755)
    file.touch()

    assert packed({"a": file}) == first == packed({"a": LARGE})


def test_modes_owners_and_times_are_those_of_no_machine() -> None:
    stream = gzip.GzipFile(fileobj=io.BytesIO(packed({"a": b"1"})))
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        (entry,) = list(tar)

    assert (oct(entry.mode), entry.uid, entry.gid, entry.uname) == ("0o644", 0, 0, "")
    assert entry.mtime == 315532800  # 1980-01-01
