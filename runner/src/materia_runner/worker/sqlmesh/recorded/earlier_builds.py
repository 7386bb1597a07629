"""Recorded models of earlier builds: after an edit, only what it reaches is recorded anew.

SQLMesh writes the same statements for the same version of a model over the same versions of its
parents, with the same libraries. So they are taken from a build in the folder of this user, or from
one that comes with a project, even where that build does not fit as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from materia_runner.worker.sqlmesh.fingerprint import RECORDED_BUILD
from materia_runner.worker.sqlmesh.recorded.recorded_build import (
    RecordedBuild,
    RecordedModel,
    build_from,
    made_with,
)
from materia_runner.worker.sqlmesh.recorded.shipped_build import read

# The last one has all models but those that an edit reaches; of one more pipeline, or after an edit
# that was taken back, the one before that.
LATEST = 4

# Name in the SQLMesh state, hash of the definition, and version of the table.
Version = tuple[str, str, str]


class EarlierModels:
    """The models of earlier builds, by their versions."""

    def __init__(self, builds: Iterable[RecordedBuild]) -> None:
        """Prefer the first of the *builds*."""
        self._builds = [{_version(model): model for model in build.models} for build in builds]

    def find(self, version: Version, parents: Sequence[Version]) -> RecordedModel | None:
        """The model of that *version* from a build that has these *parents*; None without one."""
        wanted = {version, *parents}
        for models in self._builds:
            if wanted <= models.keys():
                return models[version]
        return None


def earlier_models(folder: Path, projects: Sequence[Path]) -> EarlierModels:
    """The models of the latest builds in *folder*, and of those that come with *projects*."""
    return EarlierModels(_builds(folder, projects, made_with()))


def _builds(folder: Path, projects: Sequence[Path], here: str) -> Iterator[RecordedBuild]:
    with suppress(OSError):
        files = [(one.stat().st_mtime_ns, one) for one in folder.glob("*.json")]
        for _, file in sorted(files, reverse=True)[:LATEST]:
            with suppress(OSError, ValueError, LookupError, TypeError):
                values: Mapping[str, object] = json.loads(file.read_text())
                if values["made_with"] == here:
                    yield build_from(dict(values))
    for project in projects:
        shipped = read(project / RECORDED_BUILD)
        if shipped is not None and shipped.build.made_with == here:
            yield shipped.build


def _version(model: RecordedModel) -> Version:
    return model.node, model.identifier, model.version
