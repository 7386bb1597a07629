from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.workshop import Workshop
from materia._entry_points import Project
from materia.errors import ConfigError
from materia.plugins import Registry
from materia_runner.bundled import load_registry
from materia_runner.config.load import load_config
from materia_runner.config.parse import parse_config
from materia_runner.config.project import copy_project

BUNDLED = load_registry(bundled_only=True)
ROOT = Path(__file__).resolve().parents[2]
OURS = ROOT / "transform/sqlmesh_materia"
ACME = Project(name="acme", module="acme.models", distribution="materia-acme", version="2.0")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from, with a package that fails when it is imported."""
    site = tmp_path / "site"
    (site / "acme" / "models").mkdir(parents=True)
    for folder in ("acme", "acme/models"):
        (site / folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(site))
    return site


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home" / "deep"
    home.mkdir(parents=True)
    return home


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    (tmp_path / "workshop").mkdir()
    return Workshop(tmp_path / "workshop", with_transform=True)


def chosen(
    text: dict[str, object], directory: Path, registry: Registry = BUNDLED
) -> tuple[Path | None, str | None]:
    pipeline = parse_config(text, registry, name="materia.toml", directory=directory)
    return pipeline.project, pipeline.project_package


def with_acme(*projects: Project) -> Registry:
    return replace(BUNDLED, projects=(*BUNDLED.projects, *projects))


def test_without_a_folder_the_installed_project_of_the_source_is_built(home: Path) -> None:
    assert chosen({}, home) == (OURS, "materia-transform 0.1.0")


def test_the_default_folder_comes_before_it_here_or_above(home: Path) -> None:
    folder = home.parent / "transform" / "sqlmesh_materia"
    folder.mkdir(parents=True)

    assert chosen({}, home) == (folder, None)
    (home / "materia.toml").touch()
    assert load_config(BUNDLED, path=None, start=home).project == folder


def test_a_folder_in_materia_toml_comes_before_both(home: Path) -> None:
    for folder in ("transform/sqlmesh_materia", "models", "psdonline"):
        (home / folder).mkdir(parents=True)

    for name in ("models", "psdonline"):
        assert chosen({"transform": {"project": name}}, home) == (home / name, None)


def test_an_installed_project_can_be_named_and_is_never_imported(home: Path, site: Path) -> None:
    (home / "transform/sqlmesh_materia").mkdir(parents=True)
    registry = with_acme(ACME)

    found = chosen({"transform": {"project": "acme"}}, home, registry)

    assert found == (site / "acme" / "models", "materia-acme 2.0")
    assert not [name for name in sys.modules if name.startswith("acme.")]


def test_a_source_for_which_none_is_installed_has_none(home: Path) -> None:
    registry = replace(BUNDLED, projects=())

    assert chosen({}, home, registry) == (None, None)


def test_a_name_that_is_neither_is_refused_with_those_there_are(home: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        chosen({"transform": {"project": "psdonlin"}}, home)

    assert str(raised.value) == (
        "materia.toml: transform.project must be the folder of a SQLMesh project, or the name of "
        "an installed one (psdonline) (did you mean 'psdonline'?), is 'psdonlin'"
    )


def test_two_projects_of_one_name_are_told_apart_by_a_folder_alone(home: Path) -> None:
    registry = with_acme(ACME, replace(ACME, distribution="materia-acme-too"))

    with pytest.raises(ConfigError, match="'acme', of materia-acme and materia-acme-too"):
        chosen({"transform": {"project": "acme"}}, home, registry)
    assert chosen({}, home, registry)[0] == OURS, "another source does not mind"


def test_a_project_whose_folder_is_gone_is_told_when_it_is_used(home: Path, site: Path) -> None:
    shutil.rmtree(site / "acme" / "models")

    with pytest.raises(ConfigError, match=r"no folder acme\.models; install materia-acme again"):
        chosen({"transform": {"project": "acme"}}, home, with_acme(ACME))


def test_a_project_of_others_is_listed_and_left_out_with_their_plugins(workshop: Workshop) -> None:
    workshop.install("acme", "acme", group="materia.projects")

    listed = workshop.run("plugins").stdout.splitlines()
    ours = workshop.run("--no-plugins", "plugins").stdout.splitlines()

    (acme,) = [line.split() for line in listed if "materia-acme" in line]
    assert acme == [
        *("project", "acme", "1.2", "materia-acme", "broken"),
        *("cannot", "find", "the", "folder", "acme"),
    ]
    assert not [line for line in ours if "materia-acme" in line]
    assert [line.split()[-2:] for line in ours if line.startswith("project")] == [
        ["materia-transform", "ok"]
    ]


def test_init_copies_the_project_and_the_pipeline_uses_the_copy(workshop: Workshop) -> None:
    done = workshop.run("init", "--project", "models")

    assert done.returncode == 0, done.stderr
    pipeline = load_config(BUNDLED, path=None, start=workshop.directory)
    copy = workshop.directory / "models"
    assert (pipeline.project, pipeline.project_package) == (copy, None)
    copied = {path.relative_to(copy) for path in copy.rglob("*.sql")}
    assert copied == {path.relative_to(OURS) for path in OURS.rglob("*.sql")}
    assert not (copy / ".cache").exists()


def test_a_copy_has_a_folder_of_models_called_logs_and_not_the_logs_of_sqlmesh(
    site: Path, home: Path
) -> None:
    for name in ("models/logs/event.sql", "logs/sqlmesh.log", ".cache/kept", "dev.duckdb"):
        (site / "acme/models" / name).parent.mkdir(parents=True, exist_ok=True)
        (site / "acme/models" / name).touch()

    copy_project([ACME], "acme", home / "copy")

    found = {str(path.relative_to(home / "copy")) for path in (home / "copy").rglob("*.*")}
    assert found == {"__init__.py", "models/logs/event.sql"}


def test_beside_a_file_that_is_there_init_says_what_to_write_into_it(workshop: Workshop) -> None:
    workshop.write("materia.toml", 'provider = "local"\n')
    done = workshop.run("init", "--project", "models")

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(
        'to use it, write into materia.toml:\n\n[transform]\nproject = "models"\n'
    )
    assert (workshop.directory / "materia.toml").read_text() == 'provider = "local"\n'


def test_init_writes_into_no_folder_that_has_something(workshop: Workshop) -> None:
    mine = workshop.write("models/mine.sql", "select 1")
    done = workshop.run("init", "--project", "models")

    assert done.returncode == 2
    assert done.stderr.startswith("materia: models already exists and was not changed")
    assert sorted(workshop.directory.iterdir()) == [mine.parent]
    assert list(mine.parent.iterdir()) == [mine]
