"""Plugins from outside, beside `folder`: sources whose months have the same names."""

from __future__ import annotations

from pathlib import Path

from materia import Opening, Plugin, Setting, Source, hookimpl

HERE = Path(__file__).parent


def open_source(opening: Opening) -> Source:
    from fakes.folder_source import FolderSource

    return FolderSource(
        opening.directory / str(opening.settings["folder"]),
        table="rates",
        models=HERE / "rates_models",
    )


@hookimpl
def materia_sources() -> list[Plugin[Source]]:
    folder = Setting(name="folder", kind="text", default="rates", help="Where the files are.")
    return [
        Plugin(
            name="rates",
            summary="a folder of small files about something else",
            open=open_source,
            settings=(folder,),
            sample={"folder": str(HERE / "folder_sample")},
        )
    ]
