"""Load materia.toml into a Pipeline. Every key is optional; without the file the defaults apply.

Reading finds every mistake: each names the file, the key, the value and what was expected.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from materia._dataclass import dataclass
from materia.errors import ConfigError
from materia.plugins import Registry

from materia_runner.config.parse import parse, refuse
from materia_runner.config.pipeline import Pipeline
from materia_runner.config.project import above
from materia_runner.config.table import Mistake
from materia_runner.folders import at_or_above

FILE_NAME = "materia.toml"
PROVIDER_SETTINGS = "MATERIA_PROVIDER_SETTINGS"  # names a file; see `read_config`


def find_config(start: Path) -> Path | None:
    """materia.toml in *start* or the nearest folder above it, or None."""
    for folder in at_or_above(start):
        path = folder / FILE_NAME
        if path.exists() or path.is_symlink():  # a broken link is an error later
            return path
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read, with every mistake in it.

    Attributes:
        file: The materia.toml, or None when there is none.
        document: Its parsed content; empty when it cannot be parsed.
        pipeline: The pipeline, with the default in place of each mistake.
        mistakes: All mistakes, in the order of the file.
    """

    file: Path | None
    document: Mapping[str, object]
    pipeline: Pipeline
    mistakes: tuple[Mistake, ...]


def load_config(
    registry: Registry, *, path: Path | None, start: Path, provider_settings: Path | None = None
) -> Pipeline:
    """The pipeline that `read_config` reads.

    Raises:
        ConfigError: a file cannot be read, or some keys are invalid; it has every mistake.
    """
    reading = read_config(registry, path=path, start=start, provider_settings=provider_settings)
    refuse(reading.mistakes)
    return reading.pipeline


def read_config(
    registry: Registry, *, path: Path | None, start: Path, provider_settings: Path | None = None
) -> Reading:
    """Read *path*, or the nearest materia.toml at or above *start*.

    Without a materia.toml, the pipeline's folder is the nearest one that has the default project,
    so that it is the same from every subfolder of a clone; without such a folder, it is *start*.

    The tables `[providers.NAME]` of the file *provider_settings* replace those of materia.toml:
    `materia emulator` uses it to point the providers at itself, and nothing else changes.
    """
    path = path or find_config(start)
    mistakes: list[Mistake] = []

    def content(file: Path | None, read: Callable[[Path], dict[str, object]]) -> dict[str, object]:
        try:
            return {} if file is None else read(file)
        except ConfigError as error:
            mistakes.append(Mistake(file=str(file), key="", message=str(error)))
            return {}

    replaced = content(provider_settings, _providers_in)
    document = content(path, _read)
    directory = (above(start) or start) if path is None else _folder(path)
    tables = document.get("providers", {})
    if replaced and isinstance(tables, dict):  # anything else is refused with its key
        document["providers"] = {**tables, **replaced}
    pipeline, found = parse(document, registry, name=str(path or FILE_NAME), directory=directory)
    return Reading(
        file=path,
        document=document,
        pipeline=replace(pipeline, file=path),
        mistakes=(*mistakes, *found),
    )


def _folder(path: Path) -> Path:
    """The folder of the file itself; a link that leads to itself is refused when it is read."""
    return Path(os.path.realpath(path)).parent


def _read(path: Path) -> dict[str, object]:
    if path.is_dir():
        raise ConfigError(f"{path}: must be a file, is a folder")
    import tomllib

    try:
        # Some editors put a byte order mark first.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is not valid TOML: its lists are too deep") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}{_hint(path)}") from error


def _hint(path: Path) -> str:
    """What to write for a list that is called like the tables of its settings."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if all(re.search(one, text, re.MULTILINE) for one in (r"^\s*sources\s*=", r"^\[sources\.")):
        return '; sources is both a list and the tables [sources.NAME]: call the list "source"'
    return ""


def _providers_in(path: Path) -> dict[str, object]:
    try:
        tables = _read(path).get("providers")
    except ConfigError as error:
        raise ConfigError(
            f"{PROVIDER_SETTINGS}: {error}; the emulator that wrote it has ended: unset "
            f"{PROVIDER_SETTINGS} and MATERIA_STATE_DIR, or open a new terminal"
        ) from error
    if not isinstance(tables, dict):
        raise ConfigError(f"{PROVIDER_SETTINGS}: {path}: has no table [providers.NAME]")
    return tables
