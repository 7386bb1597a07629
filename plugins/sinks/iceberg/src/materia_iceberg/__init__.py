"""The `iceberg` sink: raw files in a bucket, finished tables in an Iceberg REST catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from materia import Opening, Plugin, Setting, Sink, hookimpl

if TYPE_CHECKING:
    from materia_store.object_store import Patience

SECRETS = ("ICEBERG_TOKEN", "ICEBERG_BUCKET_KEY")
LAYERS = ("serving", "cleaned", "staging", "raw")


def open_iceberg(opening: Opening, patience: Patience | None = None) -> Sink:
    """Open the sink; neither bucket nor catalog is asked before something is needed of it.

    Raises:
        ConfigError: a setting is missing, or of no use.
    """
    from materia_iceberg.settings import read_settings
    from materia_iceberg.sink import IcebergSink

    token, key = (opening.secrets[name] for name in SECRETS)
    settings = read_settings(opening.settings, token=token, key=key)
    folder = opening.directory.joinpath(str(opening.settings["cache"])).expanduser()
    return IcebergSink(settings, cache=folder, patience=patience)


def check(opening: Opening) -> None:
    """Check the settings.

    Raises:
        ConfigError: some are missing or invalid; it has every mistake.
    """
    from materia_iceberg.settings import read_places

    read_places(opening.settings)


@hookimpl
def materia_sinks() -> list[Plugin[Sink]]:
    """Declare `iceberg`."""
    return [
        Plugin(
            name="iceberg",
            summary="a bucket of raw files, and tables in an Iceberg REST catalog for any engine",
            open=open_iceberg,
            check=check,
            secrets=SECRETS,
            on_worker=True,
            settings=(
                Setting(
                    name="account",
                    kind="text",
                    default=None,
                    help="Of Cloudflare R2: with the bucket, it says all the rest.",
                ),
                Setting(
                    name="bucket",
                    kind="text",
                    default=None,
                    help="Bucket of the raw files, and what names begin with: s3://bucket/prefix.",
                ),
                Setting(
                    name="catalog",
                    kind="text",
                    default=None,
                    help="Address of the Iceberg REST catalog, or not set for that of R2.",
                ),
                Setting(
                    name="warehouse",
                    kind="text",
                    default=None,
                    help="What the catalog calls the warehouse, or not set for that of R2.",
                ),
                Setting(
                    name="endpoint",
                    kind="text",
                    default=None,
                    help="Address of the object store; not set: that of R2 or AWS.",
                ),
                Setting(
                    name="region",
                    kind="text",
                    default=None,
                    help="Region of the bucket; not set: auto for R2, else us-east-1.",
                ),
                Setting(
                    name="namespace_prefix",
                    kind="text",
                    default="",
                    help="What names of namespaces begin with, so that two pipelines can share.",
                ),
                Setting(
                    name="tables",
                    kind="texts",
                    default=LAYERS,
                    help="Layers whose tables are published; of raw, the kept history.",
                ),
                Setting(
                    name="cache",
                    kind="text",
                    default=".materia.iceberg",
                    help="Folder for copies of what is in the bucket; it may be deleted.",
                ),
            ),
        )
    ]
