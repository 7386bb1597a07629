"""Files, folders and dates of HTTP are read and written in one way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from materia.kit.files import replacing, sha256_of, write_whole
from materia.kit.http_dates import http_moment, retry_after
from materia.kit.user_folders import user_cache, user_state

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_file_is_replaced_at_the_end_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text("old")

    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_half_way_leaves_the_file_as_it_was_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as part:
            part.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_only_its_owner_may_read_is_never_more_open(tmp_path: Path) -> None:
    path = tmp_path / "key"

    write_whole(path, "sécret", mode=0o600)

    assert path.read_text(encoding="utf-8") == "sécret"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\0rows" * 100_000)

    assert sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("folder", "variable", "default"),
    [(user_cache, "XDG_CACHE_HOME", ".cache"), (user_state, "XDG_STATE_HOME", ".local/state")],
)
def test_a_folder_follows_the_xdg_specification(
    folder: Callable[[dict[str, str]], Path], variable: str, default: str
) -> None:
    assert folder({variable: "/x", "HOME": "/h"}) == Path("/x/materia")
    assert folder({"HOME": "/h"}) == Path("/h", default, "materia")
    assert folder({variable: "relative", "HOME": "/h"}) == Path("/h", default, "materia")


@pytest.mark.parametrize(
    ("header", "moment"),
    [
        ("Tue, 24 Nov 2026 12:00:00 GMT", NOON),
        ("Tue, 24 Nov 2026 13:00:00 +0100", NOON),
        ("Tue, 24 Nov 2026 12:00:00 -0000", NOON),
        ("Fri, 31 Dec 9999 23:59:59 -2300", None),
        ("Tue, 24 Nov 99999999999 12:00:00 GMT", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_a_date_of_http_is_a_moment_in_utc_or_nothing(
    header: str | None, moment: datetime | None
) -> None:
    assert http_moment(header) == moment


def test_how_long_to_wait_is_a_number_or_a_date() -> None:
    assert retry_after(" 7 ", NOON) == timedelta(seconds=7)
    assert retry_after("Tue, 24 Nov 2026 12:00:30 GMT", NOON) == timedelta(seconds=30)
    assert retry_after("Tue, 24 Nov 2026 11:00:00 GMT", NOON) == timedelta(0)
    assert retry_after("9" * 40, NOON) is None


@pytest.mark.parametrize(
    ("words", "home"),
    [
        ("file_digest(", "core/src/materia/kit/files.py"),
        ("parsedate_to_datetime(", "core/src/materia/kit/http_dates.py"),
        ('"XDG_CACHE_HOME', "core/src/materia/kit/user_folders.py"),
        ('"XDG_STATE_HOME', "core/src/materia/kit/user_folders.py"),
        ('"XDG_CONFIG_HOME', "runner/src/materia_runner/schedule/systemd.py"),
        ("ROUND_HALF_UP", "runner/src/materia_runner/figures.py"),
    ],
)
def test_one_file_alone_does_it(words: str, home: str) -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("core", "kits", "runner", "plugins", "testing")
        for path in (ROOT / folder).rglob("src/**/*.py")
        if words in path.read_text(encoding="utf-8")
    }

    assert found == {home}
