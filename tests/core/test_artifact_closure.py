from __future__ import annotations

from pathlib import Path

import pytest
from fakes.wheels import Shelf
from materia.errors import ConfigError
from materia_runner.artifact.dependencies import find_closure

FOLDER = '{"url": "file:///somewhere", "dir_info": {}}'


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def names(shelf: Shelf, *roots: str) -> tuple[list[str], dict[str, str], tuple[str, ...]]:
    dependencies = find_closure(roots, shelf.find)
    return [one.name for one in dependencies.own], dict(dependencies.pins), dependencies.left_out


def test_what_is_needed_is_pinned_to_the_versions_installed_here(shelf: Shelf) -> None:
    shelf.install("plugin", requires=["One_Thing>=1 ; python_version < '3'", "absent"])
    shelf.install("one-thing", "1.4", requires=["other (<3)"])
    shelf.install("other", "2.0")
    shelf.install("unrelated", "3.0")

    assert names(shelf, "plugin") == (["plugin"], {"one-thing": "1.4", "other": "2.0"}, ())


def test_extras_are_followed_where_they_are_asked_for(shelf: Shelf) -> None:
    shelf.install("materia-core", requires=['sql; extra == "transform"', "pen; extra == 'chart'"])
    shelf.install("sql", "1.0", requires=["base[fast,small]"])
    shelf.install("base", "1.0", requires=['quick; extra == "fast"', 'slow; extra == "exact"'])
    for name in ("pen", "quick", "slow"):
        shelf.install(name)

    assert names(shelf, "materia-core")[1] == {"base": "1.0", "quick": "1.0", "sql": "1.0"}


def test_what_only_the_transform_stage_needs_is_an_extra_of_core_and_of_plugins(
    shelf: Shelf,
) -> None:
    shelf.install("materia-core", requires=['sql; extra == "transform"'])
    shelf.install("plugin", requires=["http", 'duck; extra == "transform"'])
    for name in ("sql", "http", "duck"):
        shelf.install(name)

    small = find_closure(["materia-core", "plugin"], shelf.find, extras=())
    whole = find_closure(["materia-core", "plugin"], shelf.find)

    assert small.pins.keys() == {"http"}
    assert whole.pins.keys() == {"duck", "http", "sql"}


def test_no_worker_has_a_command_line_or_rents_machines(shelf: Shelf) -> None:
    shelf.install("materia-runner", requires=["pluggy", "typer>=0.29", "materia-providers"])
    shelf.install("typer", requires=["rich"])
    shelf.install("materia-providers", requires=["cryptography"])
    for name in ("pluggy", "rich", "cryptography"):
        shelf.install(name)

    assert names(shelf, "materia-runner")[1:] == (
        {"pluggy": "1.0"},
        ("materia-providers", "typer"),
    )


def test_the_test_kit_is_left_out_whatever_asks_for_it(shelf: Shelf) -> None:
    shelf.install("plugin", requires=["materia-testing>=0.1", "httpx"])
    shelf.install("materia-testing", direct_url=FOLDER, requires=["pytest"])
    for name in ("httpx", "pytest"):
        shelf.install(name)

    assert names(shelf, "plugin") == (["plugin"], {"httpx": "1.0"}, ("materia-testing",))


def test_what_came_from_no_index_is_packed_as_it_is_here(shelf: Shelf) -> None:
    shelf.install("plugin", requires=["mine"])
    shelf.install("mine", direct_url=FOLDER, requires=["theirs"])
    shelf.install("theirs", "5.0")

    assert names(shelf, "plugin") == (["mine", "plugin"], {"theirs": "5.0"}, ())


def test_what_only_notebooks_use_is_left_out(shelf: Shelf) -> None:
    shelf.install("plugin", requires=["sqlmesh"])
    shelf.install("sqlmesh", requires=["ipywidgets", "rich[jupyter]"])
    shelf.install("rich", requires=['ipywidgets; extra == "jupyter"'])
    shelf.install("ipywidgets", requires=["jedi"])
    shelf.install("jedi")

    assert names(shelf, "plugin")[1:] == ({"rich": "1.0", "sqlmesh": "1.0"}, ("ipywidgets",))


def test_it_stays_for_a_plugin_that_uses_it(shelf: Shelf) -> None:
    shelf.install("plugin", requires=["sqlmesh", "ipywidgets"])
    shelf.install("sqlmesh", requires=["ipywidgets"])
    shelf.install("ipywidgets", "8.0")

    assert names(shelf, "plugin")[1:] == ({"ipywidgets": "8.0", "sqlmesh": "1.0"}, ())


def test_distributions_that_need_one_another_are_followed_once(shelf: Shelf) -> None:
    shelf.install("plugin", requires=["plugin[all]", "other"])
    shelf.install("other", requires=["plugin", "other"])

    assert names(shelf, "plugin") == (["plugin"], {"other": "1.0"}, ())


def test_what_is_compiled_is_left_to_the_index(shelf: Shelf) -> None:
    shelf.install("plugin", requires=["fast"], files={"plugin/__init__.py": ""})
    shelf.install("fast", "2.0", direct_url=FOLDER, files={"fast.so": "ELF"})
    sink = shelf.install("sink", "3.0", files={"sink/quick.so": "ELF"})

    dependencies = find_closure(["plugin", sink.name], shelf.find)

    assert [one.name for one in dependencies.own] == ["plugin"]
    assert (dependencies.pins, dependencies.asked) == ({"fast": "2.0", "sink": "3.0"}, ("sink",))


def test_a_plugin_that_is_not_installed_is_named(shelf: Shelf) -> None:
    with pytest.raises(ConfigError, match=r"unknown has a plugin here but no package metadata"):
        find_closure(["unknown"], shelf.find)
