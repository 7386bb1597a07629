"""What a worker gets: one tar.gz with everything a stage needs but Python itself.

closure.py    which distributions those are, by what is installed here
own.py        core and the plugins: built from their folder, or as they are installed
packages.py   everything else, as wheels for the worker's Python and processor
packing.py    the same bytes for the same files
kept.py       in the user's cache folder, by hash: packages apart from code, which changes daily
bucket.py     and in an S3 bucket, from where a worker may fetch it
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from materia.artifact.closure import Closure, find_closure
from materia.artifact.kept import File, Kept, copy_into
from materia.artifact.own import own_files
from materia.artifact.packages import Own, files_of, resolve, unpack
from materia.artifact.packing import write_part
from materia.artifact.target import ARCHITECTURES, PYTHONS, Artifact, Target
from materia.artifact.uv import Uv
from materia.errors import ArtifactError
from materia.machines import Architecture
from materia.stamp import project_files

if TYPE_CHECKING:
    from materia.model import Pipeline
    from materia.plugins import Registry

__all__ = [
    "ARCHITECTURES",
    "PYTHONS",
    "Artifact",
    "Target",
    "artifacts_folder",
    "find_or_build",
    "kept_artifacts",
]

# Part of every key: another way of packing makes other bytes of the same files.
FORMAT = 1
SUFFIX = ".tar.gz"


def find_or_build(
    *,
    python: str,
    architecture: Architecture,
    registry: Registry,
    pipeline: Pipeline,
    say: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> Artifact:
    """The artifact of the pipeline's source and sink, as they are installed here.

    Built when it is not kept from before, and pushed to the bucket of the pipeline when it has one
    and *environment* is given; a bucket that fails is told, and the artifact has no url then.
    Needs no network when nothing that is installed has changed.

    Raises:
        ConfigError: uv is not installed, or a plugin cannot be packed.
        MissingSecretError: the bucket's credentials are not in *environment*.
        ArtifactError: a package cannot be had for that Python and processor.
    """
    target = Target.of(python, architecture)
    kept = Kept(artifacts_folder(os.environ))
    closure = find_closure(_roots(registry, pipeline))
    uv = Uv(pipeline.directory)
    own = _own(closure, uv)
    packages = _packages(kept, own, closure, target, uv=uv, say=say)
    code = _code(own, packages, target, pipeline)
    key = _key("artifact", packages.sha256, hashlib.sha256(code).hexdigest())
    file = kept.find(key)
    if file is None:

        def write(out: Any) -> None:
            copy_into(packages.path, out)
            out.write(code)

        notes = {"python": python, "architecture": architecture, **_names(pipeline)}
        file = kept.keep(key, write, notes, suffix=SUFFIX)
    artifact = artifact_of(file)
    if pipeline.artifacts is None or environment is None:
        return artifact
    from materia.artifact.bucket import ArtifactBucket

    bucket = ArtifactBucket(pipeline.artifacts, environment)
    try:
        if bucket.push(artifact):
            say(f"pushed what workers run to {bucket}")
        return replace(artifact, url=bucket.url(artifact))
    except ArtifactError as error:
        say(f"{error}; it is copied to each worker instead")
        return artifact


def artifacts_folder(environment: Mapping[str, str]) -> Path:
    """Where artifacts are kept: under XDG_CACHE_HOME, or `.cache` in the home folder."""
    from materia.price_cache import cache_folder

    return cache_folder(environment).with_name("artifacts")


def kept_artifacts(environment: Mapping[str, str]) -> list[File]:
    """The artifacts that are kept here, the last used first; each once, its content unchecked."""
    files = Kept(artifacts_folder(environment)).every()
    return list({one.sha256: one for one in files if one.path.name.endswith(SUFFIX)}.values())


def artifact_of(file: File) -> Artifact:
    """The artifact in a kept file."""
    return Artifact(
        path=file.path,
        sha256=file.sha256,
        python=file.notes["python"],
        architecture=file.notes["architecture"],
        size=file.size,
    )


def _roots(registry: Registry, pipeline: Pipeline) -> tuple[str, ...]:
    from materia.artifact.closure import CORE

    source, sink = registry.source(pipeline.source), registry.sink(pipeline.sink)
    return CORE, source.distribution, sink.distribution


def _names(pipeline: Pipeline) -> dict[str, str]:
    return {"source": pipeline.source, "sink": pipeline.sink}


def _own(closure: Closure, uv: Uv) -> tuple[Own, ...]:
    def one(distribution: Any) -> Own:
        files = own_files(distribution, uv)
        return Own(name=distribution.name, version=distribution.version, files=files)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return tuple(pool.map(one, closure.own))


def _packages(
    kept: Kept,
    own: tuple[Own, ...],
    closure: Closure,
    target: Target,
    *,
    uv: Uv,
    say: Callable[[str], None],
) -> File:
    """The part of the tar that is the same until what is installed changes."""
    needs = [(one.name, one.version, one.needs) for one in own]
    key = _key("packages", str(target), needs, closure.pins, closure.left_out)
    if (file := kept.find(key)) is not None:
        return file
    say(f"putting together what workers run, for {target}: once, until a package changes")
    kept.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=kept.folder, prefix=".packages-") as scratch:
        packages = resolve(own, closure, target, uv=uv, scratch=Path(scratch))
        for name, version in packages.items():
            if (here := closure.pins.get(name)) != version:
                say(f"{name} {version} there, {here or 'not installed'} here")
        folder = Path(scratch, "lib")
        unpack(packages, target, folder, uv=uv)
        files = [(f"lib/{path}", file) for path, file in files_of(folder)]
        return kept.keep(
            key,
            lambda out: write_part(out, files, last=False),
            {"packages": dict(sorted(packages.items())), "left_out": closure.left_out},
            suffix=".part.gz",
        )


def _code(own: tuple[Own, ...], packages: File, target: Target, pipeline: Pipeline) -> bytes:
    """The rest of the tar: our own distributions, the project, and what is in it."""
    files = dict(_code_files(own, pipeline))
    manifest = {
        "format": FORMAT,
        "python": target.python,
        "architecture": target.architecture,
        "platform": target.platform,
        **_names(pipeline),
        "own": {one.name: one.version for one in own},
        **packages.notes,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    out = io.BytesIO()
    write_part(out, [("manifest.json", text.encode()), *sorted(files.items())], last=True)
    return out.getvalue()


def _code_files(own: tuple[Own, ...], pipeline: Pipeline) -> Iterator[tuple[str, bytes]]:
    for one in own:
        for path, content in one.files.items():
            yield f"lib/{path}", content
    if pipeline.project is not None:
        for file in project_files(pipeline.project):
            path = file.relative_to(pipeline.project).as_posix()
            yield f"project/{path}", file.read_bytes()


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps([FORMAT, *parts], default=dict).encode()).hexdigest()
