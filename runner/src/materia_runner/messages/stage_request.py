"""Stage request: the job of a worker, as one line of JSON on its standard input.

The line has the secrets of the stage's source and sink and no others. They are never in an
argument, in the worker's environment or on its disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from materia_runner import codec
from materia_runner.messages.sink_messages import LONGEST_ANSWER, AtHome
from materia_runner.secrets.redaction import to_hide


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRequest:
    """Request to run one stage of one run.

    Attributes:
        run: Identity of the run.
        stage: Name of the stage.
        source: Name of the source.
        sink: Name of the sink.
        settings: Settings of the source and the sink, under `source` and `sink`.
        secrets: Secrets of the source and the sink, under `source` and `sink`.
        directory: Folder that relative paths in the settings start from.
        workspace: Folder for temporary files, created when missing; it goes with the worker.
        project: Folder of the SQLMesh project, or None.
        sample: Whether the source reads the small data that comes with it.
        everything: Whether the source checks every partition again.
        bundled_only: Whether to load only the plugins that come with materia.
        at_home: State of a sink that stays with the runner; None means that the worker opens the
            sink itself.
        recordings: Folder for recorded builds of models, which the runner alone writes to; None on
            a rented machine.
    """

    run: str
    stage: str
    source: str
    sink: str
    settings: Mapping[str, Mapping[str, object]]
    secrets: Mapping[str, Mapping[str, str]]
    directory: Path
    workspace: Path
    project: Path | None = None
    sample: bool = False
    everything: bool = False
    bundled_only: bool = False
    at_home: AtHome | None = None
    recordings: Path | None = None

    @property
    def kept_as(self) -> str:
        """Name of the source in the sink; sample data has its own, so it never mixes with real."""
        return f"{self.source}-sample" if self.sample else self.source

    @property
    def hidden(self) -> tuple[str, ...]:
        """Secret values to redact from every message and log."""
        return tuple(value for given in self.secrets.values() for value in to_hide(given, given))


def encode(request: WorkerRequest) -> str:
    """The request as one line, without a line end."""
    values = codec.plain(replace(request, at_home=None))
    return json.dumps({**values, "at_home": codec.encode(request.at_home)})


def decode(line: str) -> WorkerRequest:
    """Decode the request in one line; lists in the settings become tuples again.

    Raises:
        MalformedError: the line is not a request.
    """
    request: WorkerRequest = codec.decode(WorkerRequest, codec.parse(line, longest=LONGEST_ANSWER))
    settings = {
        kind: {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in settings.items()
        }
        for kind, settings in request.settings.items()
    }
    return replace(request, settings=settings)
