"""A third plugin from outside: a source without models, beside `folder` and `rates`."""

from __future__ import annotations

from pathlib import Path

from materia import Opening, Plugin, Setting, Source, hookimpl


def open_source(opening: Opening) -> Source:
    from fakes.folder_source import FolderSource

    folder = opening.directory / str(opening.settings["folder"])
    return FolderSource(folder, table="more", models=Path(__file__).parent / "no_models")


@hookimpl
def materia_sources() -> list[Plugin[Source]]:
    folder = Setting(name="folder", kind="text", default="more", help="Where the files are.")
    return [Plugin(name="more", summary="yet more files", open=open_source, settings=(folder,))]
