"""A source that needs a secret, and a provider that has one no worker may see."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from materia import Opening, Plugin, Provider, Source, hookimpl
from materia.data import (
    FetchRequest,
    FetchResult,
    LoadReport,
    LoadRequest,
    Partition,
    PartitionsRequest,
)
from materia.errors import SourceError


class Secretive:
    """Writes down what it can see, and then says its secret wherever it can."""

    def __init__(self, opening: Opening) -> None:
        self._secret = opening.secrets["SECRETIVE_TOKEN"]
        self._directory = opening.directory

    def partitions(self, request: PartitionsRequest, /) -> Sequence[Partition]:
        seen = {
            "arguments": Path("/proc/self/cmdline").read_text().split("\0"),
            "environment": dict(os.environ),
            "secret": self._secret,
        }
        (self._directory / "seen.json").write_text(json.dumps(seen))
        return [Partition(key="one", url=f"https://example.org/?key={self._secret}", file="x")]

    def fetch(self, request: FetchRequest, /) -> FetchResult:
        print(f"asking with {self._secret}", file=sys.stderr)  # noqa: T201 -- as a careless library
        if (self._directory / "crash").exists():
            raise KeyError(self._secret)
        raise SourceError(f"the server refused {self._secret}")

    def load(self, request: LoadRequest, /) -> LoadReport:
        raise AssertionError("there is never a file to load")

    def models(self) -> Path | None:
        return Path(__file__).parent / "folder_models"


def open_provider(_opening: Opening) -> Provider:
    raise AssertionError("nobody asked for it")


@hookimpl
def materia_sources() -> list[Plugin[Source]]:
    return [
        Plugin(
            name="secretive",
            summary="a source behind a token",
            open=Secretive,
            secrets=("SECRETIVE_TOKEN",),
        )
    ]


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    return [
        Plugin(
            name="costly",
            summary="machines that cost money",
            open=open_provider,
            secrets=("COSTLY_TOKEN",),
        )
    ]
