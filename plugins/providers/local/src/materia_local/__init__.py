"""The `local` provider: run workers on this machine, for free."""

from __future__ import annotations

from materia import Opening, Plugin, Provider, Setting, hookimpl


def open_local(opening: Opening) -> Provider:
    """Open the provider; the first worker creates the folder of workers."""
    from materia_local.provider import Local

    return Local(opening.directory / str(opening.settings["directory"]))


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    """Declare `local`."""
    return [
        Plugin(
            name="local",
            default=True,
            summary="this machine, for free",
            open=open_local,
            rents=False,
            settings=(
                Setting(
                    name="directory",
                    kind="text",
                    default=".materia/workers",
                    help="Folder that holds the files of running workers.",
                ),
            ),
        )
    ]
