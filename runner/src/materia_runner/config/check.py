"""Check materia.toml as a whole: plugin settings, and values of secrets; connects to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from materia.errors import ConfigError
from materia.hookspecs import Opening
from materia.plugins import InstalledPlugin, Registry

from materia_runner.config.load import FILE_NAME, Reading
from materia_runner.config.secret_needs import uses
from materia_runner.config.table import Mistake, in_order

# Characters. A shorter value, such as a test password, is also part of ordinary words.
SHORTEST_SECRET = 8


def check(registry: Registry, reading: Reading, secrets: Mapping[str, str]) -> tuple[Mistake, ...]:
    """Every mistake of *reading*, with those that only a plugin can find, at most one for each key.

    It checks the settings of the plugins in use, and of those that have a key in the file.

    Args:
        registry: All plugins.
        reading: What was read.
        secrets: Values of secrets by the names of their variables. None may be in the file, except
            in the table of the plugin that declares it: that may take an account's id, which is
            also a variable.
    """
    found: dict[tuple[str, str], Mistake] = {}
    for one in (
        *reading.mistakes,
        *_of_plugins(registry, reading),
        *_of_secrets(registry, reading, secrets),
    ):
        found.setdefault((one.file, one.key) if one.key else (one.file, one.message), one)
    return in_order(found.values(), reading.document)


def _of_plugins(registry: Registry, reading: Reading) -> Iterator[Mistake]:
    name, pipeline = str(reading.file or FILE_NAME), reading.pipeline
    for found in registry.found:
        settings = pipeline.settings.get((found.kind, found.plugin.name))
        if found.plugin.check is None or settings is None:
            continue
        if not (uses(pipeline, found) or _has_keys(reading, found)):
            continue
        opening = Opening(secrets={}, settings=settings, directory=pipeline.directory)
        try:
            found.plugin.check(opening)
        except ConfigError as error:
            table = f"{found.kind}s.{found.plugin.name}"
            for text in map(str, error.args):
                key = text.split(maxsplit=1)[0]
                key = key if key.startswith(f"{table}.") else table
                yield Mistake(file=name, key=key, message=f"{name}: {text}")


def _has_keys(reading: Reading, found: InstalledPlugin[Any]) -> bool:
    tables = reading.document.get(f"{found.kind}s")
    return bool(tables.get(found.plugin.name)) if isinstance(tables, dict) else False


def _of_secrets(
    registry: Registry, reading: Reading, secrets: Mapping[str, str]
) -> Iterator[Mistake]:
    name = str(reading.file or FILE_NAME)
    own = [
        (variable, f"{found.kind}s.{found.plugin.name}.")
        for found in registry.found
        for variable in found.plugin.secrets
    ]
    for key, text in _texts(reading.document):
        for variable, value in sorted(secrets.items()):
            if any(one == variable and key.startswith(table) for one, table in own):
                continue
            if len(value.strip()) >= SHORTEST_SECRET and value.strip() in text:
                yield Mistake(
                    file=name,
                    key=key,
                    message=f"{name}: {key} contains the value of {variable}, a secret: take it "
                    f"out of this file; materia reads {variable} from the environment or .env",
                )


def _texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a document, with its key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
