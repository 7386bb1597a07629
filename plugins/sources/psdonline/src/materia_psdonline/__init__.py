"""The `psdonline` source: every monthly release of USDA PSD Online."""

from __future__ import annotations

from pathlib import Path

from materia import Opening, Plugin, Setting, Source, hookimpl

SAMPLE = Path(__file__).parent / "sample"


def open_psdonline(opening: Opening) -> Source:
    """Open the source; this sends no request to the server.

    Raises:
        ConfigError: a setting is invalid.
    """
    from materia_psdonline.settings import read_settings
    from materia_psdonline.source import PsdOnline

    return PsdOnline(read_settings(opening.settings, directory=opening.directory))


def check(opening: Opening) -> None:
    """Check the settings.

    Raises:
        ConfigError: some are invalid; it has every mistake.
    """
    from materia_psdonline.settings import read_settings

    read_settings(opening.settings, directory=opening.directory)


@hookimpl
def materia_sources() -> list[Plugin[Source]]:
    """Declare `psdonline`."""
    return [
        Plugin(
            name="psdonline",
            default=True,
            summary="USDA PSD Online: world supply and demand of crops and livestock, by month",
            open=open_psdonline,
            check=check,
            settings=(
                Setting(
                    name="base_url",
                    kind="text",
                    default="https://apps.fas.usda.gov/psdonline/downloads/archives",
                    help="URL of the archive, or a folder (also file://) with a mirror of it: "
                    "YYYY/MM/<file>.",
                    folder=True,
                ),
                Setting(
                    name="first_release",
                    kind="text",
                    default="2006-08",
                    help="The oldest month to fetch.",
                ),
                Setting(
                    name="files",
                    kind="texts",
                    default=("psd_alldata_csv.zip",),
                    help="Files of a release: all commodities in one, or files of single groups.",
                ),
            ),
            sample={
                "base_url": str(SAMPLE),
                "first_release": "2018-12",
                "files": ("psd_alldata_csv.zip",),
            },
        )
    ]
