"""Settings of the source: the table `sources.psdonline` of materia.toml, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import unquote, urlsplit

from materia.errors import ConfigError
from materia.kit.mistakes import Mistakes
from materia.kit.text import suggestion

ALL = "psd_alldata_csv.zip"
# Rows of their own: members of the European Union, and the two wheats of Russia. Staging keeps them
# apart, so they may be used beside ALL.
BREAKDOWNS = ("psd_eu_area_prod_csv.zip", "psd_russiabreakdown_area_prod_csv.zip")
# Names seen in other people's downloads; only tree nuts has never been seen.
GROUPS = (
    "psd_coffee_csv.zip",
    "psd_cotton_csv.zip",
    "psd_dairy_csv.zip",
    "psd_fruits_vegetables_csv.zip",
    "psd_grains_pulses_csv.zip",
    "psd_livestock_csv.zip",
    "psd_oilseeds_csv.zip",
    "psd_sugar_csv.zip",
    "psd_treenuts_csv.zip",
)
KNOWN_FILES = (ALL, *GROUPS, *BREAKDOWNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The files to fetch, and the server or folder to fetch them from.

    Attributes:
        base: URL of the archive without a trailing slash: `https:`, `http:` or `file:`.
        folder: The folder that a `file:` address names, else None.
        first: First day of the oldest month to fetch.
        files: Names of the files of one release.
    """

    base: str
    folder: Path | None
    first: date
    files: tuple[str, ...]


def read_settings(settings: Mapping[str, object], *, directory: Path) -> Settings:
    """Check the settings; a relative folder starts from *directory*.

    Raises:
        ConfigError: some settings are wrong; it has every mistake, each with the key, the expected
            and the found value.
    """
    mistakes = Mistakes()
    with mistakes.kept():
        base, folder = _base(str(settings["base_url"]), directory)
    with mistakes.kept():
        first = _first(settings["first_release"])
    with mistakes.kept():
        files = _files(settings["files"])
    mistakes.finish()
    return Settings(base=base, folder=folder, first=first, files=files)


def _base(value: str, directory: Path) -> tuple[str, Path | None]:
    try:
        parts = urlsplit(value)
        port_is_wrong = parts.port == 0
    except ValueError as error:  # an open bracket, or a port that is not a number
        raise _wrong("base_url", "an address or a folder", value) from error
    if parts.scheme in {"http", "https"}:
        if parts.username is not None or parts.password is not None:
            # Do not show the value: messages contain no secret.
            raise ConfigError(
                "sources.psdonline.base_url must contain no user name and no password, since "
                "materia records URLs with the files; those of a proxy belong in HTTPS_PROXY"
            )
        if not parts.hostname or port_is_wrong or parts.query or parts.fragment:
            raise _wrong("base_url", "an address such as https://host/folder", value)
        return value.rstrip("/"), None
    if "://" in value and parts.scheme != "file":
        raise _wrong("base_url", "an http:, https: or file: address, or a folder", value)
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise _wrong("base_url", "file:// and a path from the root, file:///folder", value)
        folder = Path(unquote(parts.path))
    else:
        folder = directory / Path(value).expanduser()
    folder = folder.resolve()
    if not folder.is_dir():
        raise _wrong("base_url", f"a folder that exists ({folder} does not)", value)
    return folder.as_uri().rstrip("/"), folder


def _first(value: object) -> date:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}", value, re.ASCII):
        try:
            return date.fromisoformat(f"{value}-01")
        except ValueError:
            pass
    raise _wrong("first_release", "a month such as 2006-08", value)


def _files(value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise _wrong("files", f"a list of files such as {ALL}", value)
    files = tuple(map(str, value))
    for name in files:
        if name not in KNOWN_FILES:
            raise ConfigError(
                f"sources.psdonline.files must contain names of USDA's files, has {name!r}"
                f"{suggestion(name, KNOWN_FILES)}; known: {', '.join(KNOWN_FILES)}"
            )
        if files.count(name) > 1:
            raise ConfigError(
                f"sources.psdonline.files must contain each file once, has {name} twice"
            )
    groups = [name for name in files if name in GROUPS]
    if ALL in files and groups:
        raise ConfigError(
            f"sources.psdonline.files must contain {ALL} or files of single groups, not both: "
            f"every row of {', '.join(groups)} is in {ALL} too and would count twice; "
            f"only {' and '.join(BREAKDOWNS)} may be added to it"
        )
    return files


def _wrong(key: str, expected: str, found: object) -> ConfigError:
    return ConfigError(f"sources.psdonline.{key} must be {expected}, is {found!r}")
