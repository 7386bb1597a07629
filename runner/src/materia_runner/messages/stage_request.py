"""Stage request: the job of a worker, as one line of JSON on its standard input.

The line has the secrets of the stage's sources and sink and no others. They are never in an
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

VERSION = 2  # of the form of a request; version 1 had one source


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRequest:
    """Request to run one stage of one run.

    Attributes:
        run: Identity of the run.
        stage: Name of the stage.
        pipeline: Name of the pipeline, which owns what it publishes.
        sources: Names of the sources; each of their partitions is known by source and key.
        sink: Name of the sink.
        settings: Settings of the sources and the sink: `settings["source"]["acme"]`.
        secrets: Secrets of the sources and the sink, in the same form.
        directory: Folder that relative paths in the settings start from.
        workspace: Folder for temporary files, created when missing; it goes with the worker.
        project: Folder of the SQLMesh project, or None.
        sample: Whether the sources read the small data that comes with them.
        everything: Whether the sources check every partition again.
        drop: The sources whose tables the user removes.
        only: The sources to fetch and to load, when they are not all.
        bundled_only: Whether to load only the plugins that come with materia.
        at_home: State of a sink that stays with the runner; None means that the worker opens the
            sink itself.
        recordings: Folder for recorded builds of models, which the runner alone writes to; None on
            a rented machine.
    """

    run: str
    stage: str
    pipeline: str
    sources: tuple[str, ...]
    sink: str
    settings: Mapping[str, Mapping[str, Mapping[str, object]]]
    secrets: Mapping[str, Mapping[str, Mapping[str, str]]]
    directory: Path
    workspace: Path
    project: Path | None = None
    sample: bool = False
    everything: bool = False
    drop: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    bundled_only: bool = False
    at_home: AtHome | None = None
    recordings: Path | None = None

    @property
    def fetched(self) -> tuple[str, ...]:
        """The sources to fetch and to load."""
        return self.only or self.sources

    def kept_as(self, source: str) -> str:
        """Name of *source* in the sink; sample data has its own, so it never mixes with real."""
        return f"{source}-sample" if self.sample else source

    @property
    def known_as(self) -> frozenset[str]:
        """Names under which the sink has partitions of the sources, real and sample ones."""
        return frozenset([*self.sources, *map(self.kept_as, self.sources)])

    def labelled(self, source: str) -> str:
        """The name of *source* where messages need it to tell it from others, or nothing."""
        return source if len(self.sources) > 1 else ""

    @property
    def hidden(self) -> tuple[str, ...]:
        """Secret values to redact from every message and log."""
        return tuple(
            value
            for plugins in self.secrets.values()
            for given in plugins.values()
            for value in to_hide(given, given)
        )


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
            plugin: {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in settings.items()
            }
            for plugin, settings in plugins.items()
        }
        for kind, plugins in request.settings.items()
    }
    return replace(request, settings=settings)
