from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from fakes.workshop import Workshop
from materia.errors import MateriaError
from materia_runner.bundled import load_registry
from materia_runner.config.parse import parse_config
from materia_runner.config.template import template

REGISTRY = load_registry(bundled_only=True)


def uncommented(text: str) -> str:
    """Every commented key uncommented, but the ones that have no default."""
    lines = []
    for line in text.splitlines():
        if re.match(r"# (\w+ = |\[)", line) and not line.endswith("# not set"):
            lines.append(line.removeprefix("# "))
        else:
            lines.append(line)
    return "\n".join(lines)


def test_the_file_changes_nothing_as_it_is_written(tmp_path: Path) -> None:
    written = parse_config(
        tomllib.loads(template(REGISTRY)), REGISTRY, name="materia.toml", directory=tmp_path
    )

    assert written == parse_config({}, REGISTRY, name="materia.toml", directory=tmp_path)


def test_every_key_in_it_is_known_and_has_its_default(tmp_path: Path) -> None:
    document = tomllib.loads(uncommented(template(REGISTRY)))
    del document["currency"]["rates"]  # an example, there is none by default
    (tmp_path / "transform" / "sqlmesh_materia").mkdir(parents=True)

    written = parse_config(document, REGISTRY, name="materia.toml", directory=tmp_path)

    assert written == parse_config({}, REGISTRY, name="materia.toml", directory=tmp_path)


TABLES = [
    ("",),
    ("transform",),
    ("currency",),
    ("stages",),
    ("stages", "extract"),
    ("budget",),
    ("notify",),
    ("schedule",),
    ("artifacts",),
    ("secrets",),
    *((f"{found.kind}s", found.plugin.name) for found in REGISTRY.found),
]


@pytest.mark.parametrize("path", TABLES, ids=".".join)
def test_no_key_is_missing_in_it(tmp_path: Path, path: tuple[str, ...]) -> None:
    document: dict[str, object] = {"zzz": 1}
    for name in reversed([name for name in path if name]):
        document = {name: document}
    with pytest.raises(MateriaError) as raised:
        parse_config(document, REGISTRY, name="materia.toml", directory=tmp_path)

    _, _, known = str(raised.value).partition("known keys: ")
    for key in known.split(", "):
        if key != "none":
            assert re.search(rf"^(# )?(\[.*\b)?{key}\b", template(REGISTRY), re.MULTILINE), key


def test_a_file_that_is_there_stays_as_it_is(workshop: Workshop) -> None:
    workshop.write("materia.toml", 'provider = "local"\n')

    ended = workshop.run("init")

    assert ended.returncode == 2
    assert ended.stderr.startswith("materia: materia.toml already exists and was not changed")
    assert (workshop.directory / "materia.toml").read_text() == 'provider = "local"\n'


def test_it_names_settings_and_secrets_of_plugins_from_outside(folders: Workshop) -> None:
    (folders.directory / "materia.toml").unlink()
    folders.install("secretive", "fakes.secretive")

    ended = folders.run("init", "--config", "other.toml")

    assert ended.returncode == 0
    text = (folders.directory / "other.toml").read_text()
    assert '[sources.folder]\n# Where the files are.\n# folder = "in"\n' in text
    assert "# Needs SECRETIVE_TOKEN in the environment.\n[sources.secretive]\n" in text
