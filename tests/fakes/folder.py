"""A whole plugin from outside: a source and a sink that are folders."""

from __future__ import annotations

from pathlib import Path

from materia import Opening, Plugin, Setting, Sink, Source, hookimpl

SAMPLE = Path(__file__).parent / "folder_sample"


def open_source(opening: Opening) -> Source:
    from fakes.folder_source import FolderSource

    return FolderSource(opening.directory / str(opening.settings["folder"]))


def open_sink(opening: Opening) -> Sink:
    from fakes.folder_sink import FolderSink

    return FolderSink(opening.directory / str(opening.settings["folder"]))


@hookimpl
def materia_sources() -> list[Plugin[Source]]:
    folder = Setting(name="folder", kind="text", default="in", help="Where the files are.")
    return [
        Plugin(
            name="folder",
            summary="a folder of small files",
            open=open_source,
            settings=(folder,),
            sample={"folder": str(SAMPLE)},
        )
    ]


@hookimpl
def materia_sinks() -> list[Plugin[Sink]]:
    folder = Setting(name="folder", kind="text", default="out", help="Where it is kept.")
    return [
        Plugin(name="folder", summary="a folder of kept files", open=open_sink, settings=(folder,))
    ]
