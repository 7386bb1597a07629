"""Unit tests of models that an edit reaches: only these are read and run.

The outcome of a test depends on its own text, on its model and what that reads from, on all files
of the projects that are neither models nor tests (macros, seeds, audits, configuration), and on
Python and the installed packages. A hash of all but the last says which tests have passed. The text
of a file is cut at the names of its tests, because to read YAML takes longer than to run the tests.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from materia_runner.worker.sqlmesh.fingerprint import project_files

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.test import ModelTestMetadata

# What SQLMesh takes for files of tests.
FILE = re.compile(r"tests/(.*/)?test[^/]*\.ya?ml")
# A name at the top of a YAML file, alone in its line.
NAME = re.compile(r"(\w+):[ \t]*(#.*)?")
MODEL = re.compile(r"^  model:[ \t]*([\w.]+)[ \t]*(?:#.*)?$", re.MULTILINE)
JINJA = re.compile(r"\{[{%#]")
# Another depth than two, where `model` may be the name of something else.
ODD_DEPTH = re.compile(r"^ [^ #\n]", re.MULTILINE)
# Anchors, aliases and tags of YAML, which reach from one test to another.
SHARED = re.compile(r"[&*!]\w")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTests:
    """Unit tests that are read together: one, or all of a file.

    Attributes:
        path: The file.
        text: The lines of the tests.
        models: Names of their models, with the schema; None where only YAML can say.
    """

    path: Path
    text: str
    models: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachedTests:
    """The unit tests of projects.

    Attributes:
        texts: Those that did not pass before on the same models.
        hashes: Of all of them; one that Jinja writes has none, since it may be another each time.
    """

    texts: tuple[UnitTests, ...]
    hashes: tuple[str, ...]

    def read(self, context: Context) -> list[ModelTestMetadata]:
        """The tests to run, as SQLMesh reads them."""
        from sqlmesh.core.test import ModelTestMetadata
        from sqlmesh.utils.yaml import load

        found = []
        for one in self.texts:
            if JINJA.search(one.text):
                loader: Any = context._loaders[0]  # noqa: SLF001 -- it alone knows the variables
                found += loader._load_model_test_file(one.path).values()  # noqa: SLF001
                continue
            contents = load(one.text, render_jinja=False)
            found += [
                ModelTestMetadata(path=one.path, test_name=name, body=body)
                for name, body in contents.items()
            ]
        return found


def reached_tests(
    context: Context, projects: Sequence[Path], passed: Collection[str]
) -> ReachedTests:
    """The tests of *projects*, without those whose hashes are among the *passed* ones."""
    texts, hashes = [], []
    model_files = _model_files(context)
    common = _common(projects, set(model_files.values()))
    known: dict[Path, str] = {}
    for project in projects:
        for path in project_files(project):
            inside = path.relative_to(project)
            if not FILE.fullmatch(inside.as_posix()) or _is_ignored(context, path):
                continue
            for one in texts_in(path):
                found = _hash(one, common, context, model_files, known)
                if found is not None:
                    hashes.append(found)
                if found is None or found not in passed:
                    texts.append(one)
    return ReachedTests(texts=tuple(texts), hashes=tuple(hashes))


def texts_in(path: Path) -> list[UnitTests]:
    """The tests of a file, each by itself where that is sure to be the same to YAML."""
    whole = path.read_text(encoding="utf-8")
    lines = whole.splitlines(keepends=True)
    starts = [n for n, line in enumerate(lines) if line.strip() and line[0] not in " \t#"]
    names = [NAME.fullmatch(lines[start].rstrip()) for start in starts]
    models = tuple(MODEL.findall(whole))
    is_plain = None not in names and len({one[1] for one in names if one}) == len(starts)
    is_odd = any(one.search(whole) for one in (JINJA, ODD_DEPTH))
    if not starts or is_odd or not is_plain or len(models) != len(starts):
        return [UnitTests(path=path, text=whole, models=None)] if whole.strip() else []
    if SHARED.search(whole):
        return [UnitTests(path=path, text=whole, models=models)]
    ends = [*starts[1:], len(lines)]
    texts = ["".join(lines[start:end]) for start, end in zip(starts, ends, strict=True)]
    return [UnitTests(path=path, text=one, models=tuple(MODEL.findall(one))) for one in texts]


def _is_ignored(context: Context, path: Path) -> bool:
    return any(path.match(pattern) for pattern in context.config.ignore_patterns or ())


def _model_files(context: Context) -> dict[str, Path]:
    """The file of each model, and of each table without one, by the name in SQLMesh."""
    return {
        name: Path(model._path)  # noqa: SLF001 -- SQLMesh has no other way to say where
        for name, model in context.models.items()
        if model._path is not None  # noqa: SLF001
    }


def _common(projects: Sequence[Path], model_files: Collection[Path]) -> str:
    """Hash of all files that are neither tests nor models in SQL or YAML."""
    resolved = {one.resolve() for one in model_files}
    digest = hashlib.sha256()
    for project in projects:
        for path in project_files(project):
            inside = path.relative_to(project).as_posix()
            is_model = path.resolve() in resolved and path.suffix != ".py"  # others may import it
            if not is_model and not FILE.fullmatch(inside):
                digest.update(f"{inside} {_of_file(path)}\n".encode())
        digest.update(b"project\n")
    return digest.hexdigest()


def _hash(
    one: UnitTests,
    common: str,
    context: Context,
    model_files: Mapping[str, Path],
    known: dict[Path, str],
) -> str | None:
    if JINJA.search(one.text):
        return None
    if one.models is None:
        reached = set(model_files)
    else:
        reached = set()
        for name in one.models:
            model = context.get_model(name, raise_if_missing=False)
            if model is None:
                return None  # SQLMesh says what is wrong
            reached |= {model.fqn, *context.dag.upstream(model.fqn)}
    files = {name: model_files[name] for name in sorted(reached & model_files.keys())}
    for path in files.values():
        if path not in known:
            known[path] = _of_file(path)
    parts = [common, one.text, *(f"{name} {known[path]}" for name, path in files.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
