"""What a worker is asked to do: one line of JSON on its standard input.

The line carries the secrets of the stage's source and sink and no others. They are never in an
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
    """One stage of one run.

    Attributes:
        run: Identity of the run.
        stage: Name of the stage.
        source: Name of the source.
        sink: Name of the sink.
        settings: Of the source and the sink, by `source` and `sink`.
        secrets: Of the source and the sink, by `source` and `sink`.
        directory: Folder that relative paths in the settings start from.
        workspace: A folder for temporary files, made when it is not there; it goes with the worker.
        project: Folder of the SQLMesh project, or None.
        sample: Whether the source reads the small data that comes with it.
        everything: Whether every partition is asked for again.
        bundled_only: Whether plugins from outside are left out.
        at_home: What the sink knows, when it stays with the runner; None means that the worker
            opens the sink itself.
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

    @property
    def kept_as(self) -> str:
        """The name under which the sink keeps this source: sample data never mixes with real."""
        return f"{self.source}-sample" if self.sample else self.source

    @property
    def hidden(self) -> tuple[str, ...]:
        """The values that no message may have, and nothing that is written down."""
        return tuple(value for given in self.secrets.values() for value in to_hide(given, given))


def encode(request: WorkerRequest) -> str:
    """The request as one line without its end."""
    values = codec.plain(replace(request, at_home=None))
    return json.dumps({**values, "at_home": codec.encode(request.at_home)})


def decode(line: str) -> WorkerRequest:
    """The request in one line; what was a tuple in the settings is one again.

    Raises:
        MalformedError: it is none.
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
