from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

import materia
import pytest
import typer
from materia import errors
from materia.errors import CapacityError, MateriaError, StageError, error_called
from materia_runner.cli.main import app


def test_the_public_names_are_sorted_and_complete() -> None:
    homes = [importlib.import_module(f"materia.{home}") for home in materia._HOMES]
    assert sorted(materia.__all__) == sorted(name for home in homes for name in home.__all__)
    for name in materia.__all__:
        assert not isinstance(getattr(materia, name), ModuleType)


def test_a_name_that_is_not_there_is_told_as_python_does() -> None:
    with pytest.raises(AttributeError, match="module 'materia' has no attribute 'Plugn'"):
        materia.Plugn  # noqa: B018 -- the look-up is what fails


def classes() -> dict[str, type[MateriaError]]:
    return {
        name: found
        for name, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, MateriaError)
    }


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn: dict[str, tuple[int, int]] = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"([│├└─ ]*)(\w+Error) +exit (\d)", line):
            drawn[found[2]] = (len(found[1]) // 4, int(found[3]))

    assert drawn == {
        name: (len(found.__mro__) - len(MateriaError.__mro__), found.exit_code)
        for name, found in classes().items()
    }


@pytest.mark.parametrize("name", classes())
def test_an_error_comes_back_from_a_worker_as_the_class_it_was(name: str) -> None:
    error = error_called(name, "what went wrong")

    assert type(error) is classes()[name]
    assert str(error) == "what went wrong"


class ForeignCapacityError(CapacityError):
    """As a plugin derives one."""


@pytest.mark.parametrize(
    "name", ["ForeignCapacityError", "KeyError", "AcmeError", "annotations", "ClassVar", ""]
)
def test_a_class_of_somebody_else_comes_back_as_a_failed_stage(name: str) -> None:
    assert type(error_called(name, "x")) is StageError


def test_the_readme_tells_every_command_and_every_exit_code() -> None:
    text = (Path(__file__).resolve().parents[2] / "runner" / "README.md").read_text()

    def paths(command: object, path: str) -> list[str]:
        below = getattr(command, "commands", None)
        if below is None:
            return [path]
        return [one for name, sub in below.items() for one in paths(sub, f"{path} {name}")]

    for path in paths(typer.main.get_command(app), "materia"):
        assert f"`{path}" in text, path
    told = {
        int(code)
        for line in re.findall(r"^\| ([\d, ]+) \|", text, re.MULTILINE)
        for code in line.split(",")
    }
    assert told == {found.exit_code for found in classes().values()} | {0, 129, 130, 143}
