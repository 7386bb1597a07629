"""Build the artifact that is sent to a rented machine, from its parts, and reuse cached parts."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from materia_runner.artifact.archive import write_part
from materia_runner.artifact.cache import ArtifactCache, File, copy_into
from materia_runner.artifact.dependencies import TRANSFORM, Dependencies
from materia_runner.artifact.index_packages import Own, files_of, resolve, unpack
from materia_runner.artifact.own_packages import own_files
from materia_runner.artifact.target import SUPERVISOR, WHOLE, Artifact, Target
from materia_runner.artifact.uv import Uv
from materia_runner.config.pipeline import Pipeline
from materia_runner.worker.sqlmesh.fingerprint import RECORDED_BUILD, project_files

# Part of every cache key: another format packs the same files into other bytes.
FORMAT = 2
SUFFIX = ".tar.gz"


def assemble(
    dependencies: Dependencies,
    target: Target,
    pipeline: Pipeline,
    *,
    stages: tuple[str, ...] = WHOLE,
    kept: ArtifactCache,
    uv: Uv,
    say: Callable[[str], None],
) -> Artifact:
    """Build the artifact with these distributions and the pipeline's SQLMesh project.

    Raises:
        ConfigError: a distribution cannot be packed.
        ArtifactError: a package is not available for the target.
    """
    own = _own(dependencies, uv, supervisor=stages == SUPERVISOR)
    packages = _packages(own, dependencies, target, kept=kept, uv=uv, say=say)
    code = _code(own, packages, target, pipeline, stages)
    key = _key("artifact", packages.sha256, hashlib.sha256(code).hexdigest())
    file = kept.find(key)
    if file is None:

        def write(out: IO[bytes]) -> None:
            copy_into(packages.path, out)
            out.write(code)

        notes = {
            "python": target.python,
            "architecture": target.architecture,
            "source": ", ".join(pipeline.sources),
            "sink": pipeline.sink,
            "stages": stages,
        }
        file = kept.keep(key, write, notes, suffix=SUFFIX)
    return Artifact(
        path=file.path,
        sha256=file.sha256,
        python=target.python,
        architecture=target.architecture,
        size=file.size,
        stages=stages,
    )


def _own(dependencies: Dependencies, uv: Uv, *, supervisor: bool) -> tuple[Own, ...]:
    def one(distribution: Distribution) -> Own:
        files = own_files(distribution, uv, supervisor=supervisor)
        return Own(name=distribution.name, version=distribution.version, files=files)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return tuple(pool.map(one, dependencies.own))


def _packages(
    own: tuple[Own, ...],
    dependencies: Dependencies,
    target: Target,
    *,
    kept: ArtifactCache,
    uv: Uv,
    say: Callable[[str], None],
) -> File:
    """The part of the tar that stays the same until the installed packages change."""
    needs = [(one.name, one.version, one.needs) for one in own]
    asked = (dependencies.asked, dependencies.extras, dependencies.left_out)
    key = _key("packages", str(target), needs, dependencies.pins, asked)
    if (file := kept.find(key)) is not None:
        return file
    with kept.held():
        if (file := kept.find(key)) is not None:  # another process has built it meanwhile
            return file
        return _new_packages(own, dependencies, target, kept=kept, key=key, uv=uv, say=say)


def _what(dependencies: Dependencies) -> str:
    if "transform" in dependencies.extras:
        return "the worker artifact"
    if "ssh" in dependencies.extras:
        return "the command line of a supervisor"
    return "the worker artifact of extract alone"


def _new_packages(
    own: tuple[Own, ...],
    dependencies: Dependencies,
    target: Target,
    *,
    kept: ArtifactCache,
    key: str,
    uv: Uv,
    say: Callable[[str], None],
) -> File:
    say(f"building {_what(dependencies)} for {target}: once, until a package changes")
    with TemporaryDirectory(dir=kept.folder, prefix=".packages-") as scratch:
        packages = resolve(own, dependencies, target, uv=uv, scratch=Path(scratch))
        for name, version in packages.items():
            if (here := dependencies.pins.get(name)) != version:
                say(f"{name} is {version} for {target}, but {here or 'not installed'} here")
        folder = Path(scratch, "lib")
        unpack(packages, target, folder, uv=uv)
        files = [(f"lib/{path}", file) for path, file in files_of(folder)]
        return kept.keep(
            key,
            lambda out: write_part(out, files, last=False),
            {"packages": dict(sorted(packages.items())), "left_out": dependencies.left_out},
            suffix=".part.gz",
        )


def _code(
    own: tuple[Own, ...],
    packages: File,
    target: Target,
    pipeline: Pipeline,
    stages: tuple[str, ...],
) -> bytes:
    """The rest of the tar: materia's own distributions, the project, and the manifest."""
    project = pipeline.project if TRANSFORM in stages else None
    files = dict(_code_files(own, project))
    manifest = {
        "format": FORMAT,
        "python": target.python,
        "architecture": target.architecture,
        "platform": target.platform,
        "source": ", ".join(pipeline.sources),
        "sink": pipeline.sink,
        "stages": stages,
        "project": project and (pipeline.project_package or project.name),
        "own": {one.name: one.version for one in own},
        **packages.notes,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    out = io.BytesIO()
    write_part(out, [("manifest.json", text.encode()), *sorted(files.items())], last=True)
    return out.getvalue()


def _code_files(own: tuple[Own, ...], project: Path | None) -> Iterator[tuple[str, bytes]]:
    for one in own:
        for path, content in one.files.items():
            yield f"lib/{path}", content
    if project is not None:
        recorded = project / RECORDED_BUILD
        for file in [*project_files(project), *([recorded] if recorded.is_file() else [])]:
            path = file.relative_to(project).as_posix()
            yield f"project/{path}", file.read_bytes()


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps([FORMAT, *parts], default=dict).encode()).hexdigest()
