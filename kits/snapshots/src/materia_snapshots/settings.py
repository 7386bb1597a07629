"""Settings of a declared source: its table in materia.toml, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from materia.errors import ConfigError
from materia.hookspecs import Opening
from materia.kit.mistakes import Mistakes

from materia_snapshots.forms import Excel
from materia_snapshots.pages import Pages
from materia_snapshots.periods import Listed, Runs, Weeks

if TYPE_CHECKING:
    from materia_snapshots.declaration import Snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the files are, the oldest one to fetch, and the accepted columns.

    Attributes:
        base: Address without a trailing slash: `https:`, `http:` or `file:`.
        folder: The folder that a `file:` address names, else None.
        since: The oldest period; empty for a list of files.
        accept: Names of new and missing columns that the user accepts.
    """

    base: str
    folder: Path | None
    since: str
    accept: tuple[str, ...]


def read_settings(source: Snapshots, opening: Opening) -> Settings:
    """Check the settings; a relative folder starts from the opening's directory.

    Raises:
        ConfigError: some settings are wrong; it has every mistake, each with the key, the expected
            and the found value.
    """
    settings = opening.settings
    mistakes = Mistakes()
    with mistakes.kept():
        _check_packages(source)
    with mistakes.kept():
        base, folder = _base(source, str(settings["url"]), opening.directory)
    with mistakes.kept():
        since = _since(source, str(settings.get("since", "")))
    mistakes.finish()
    accept = settings.get("accept", ())
    names = tuple(map(str, accept)) if isinstance(accept, Sequence) else ()
    return Settings(base=base, folder=folder, since=since, accept=names)


def _base(source: Snapshots, value: str, directory: Path) -> tuple[str, Path | None]:
    try:
        parts = urlsplit(value)
        wrong_port = parts.port == 0
    except ValueError as error:  # an open bracket, or a port that is not a number
        raise _wrong(source, "url", "an address or a folder", value) from error
    if parts.scheme in {"http", "https"}:
        _refuse_secrets(source, value, parts)
        if not parts.hostname or wrong_port or parts.fragment:
            raise _wrong(source, "url", "an address such as https://host/folder", value)
        return value.rstrip("/"), None
    if isinstance(source.form, Pages):
        raise _wrong(source, "url", "an http: or https: address", value)
    if "://" in value and parts.scheme != "file":
        raise _wrong(source, "url", "an http:, https: or file: address, or a folder", value)
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise _wrong(source, "url", "file:// and a path from the root, file:///folder", value)
        folder = Path(unquote(parts.path))
    else:
        folder = directory / Path(value).expanduser()
    folder = folder.resolve()
    if not folder.is_dir():
        raise _wrong(source, "url", f"a folder that exists ({folder} does not)", value)
    return folder.as_uri().rstrip("/"), folder


def _refuse_secrets(source: Snapshots, value: str, parts: SplitResult) -> None:
    """Refuse parts of an address that may be secret; so no message shows the value."""
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"sources.{source.name}.url must contain no user name and no password, since "
            "materia records URLs with the files"
        )
    if "?" in value:
        raise ConfigError(
            f"sources.{source.name}.url must be without ? and what follows, since the path of "
            "each file comes behind it"
        )


def _check_packages(source: Snapshots) -> None:
    """Report a missing reader of workbooks before anything is rented and fetched.

    A machine that only fetches has neither it nor DuckDB.
    """
    if not isinstance(source.form, Excel) or find_spec("duckdb") is None:
        return
    if find_spec("python_calamine") is None:
        raise ConfigError(
            f"sources.{source.name} has workbooks, and python-calamine, which reads them, is not "
            "installed: `pip install 'materia-snapshots[excel]'`"
        )


def _since(source: Snapshots, value: str) -> str:
    if isinstance(source.partitions, Listed | Runs):
        return ""
    first = source.partitions.first(value)
    if first is None:
        named = f"a {source.partitions.NAME} such as {source.partitions.EXAMPLE}"
        raise _wrong(source, "since", named, value)
    if first > datetime.now(UTC).date():
        raise _wrong(source, "since", f"a {source.partitions.NAME} that has begun", value)
    if isinstance(source.partitions, Weeks):
        begin = source.partitions.first(source.partitions.since) or first
        if (first - begin).days % 7:
            raise _wrong(source, "since", f"a {begin:%A}, as weeks begin then", value)
    return value


def _wrong(source: Snapshots, key: str, expected: str, found: object) -> ConfigError:
    return ConfigError(f"sources.{source.name}.{key} must be {expected}, is {found!r}")
