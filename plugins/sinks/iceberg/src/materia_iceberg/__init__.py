"""The `iceberg` sink: raw files in a bucket, finished tables in an Iceberg REST catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from materia import Opening, Plugin, Setting, Sink, hookimpl

if TYPE_CHECKING:
    from materia_store.object_store import Patience

SECRETS = ("ICEBERG_TOKEN", "ICEBERG_BUCKET_KEY")
LAYERS = ("serving", "cleaned", "staging", "raw")


def open_iceberg(opening: Opening, patience: Patience | None = None) -> Sink:
    """Open the sink; this sends no request to the bucket or the catalog.

    Raises:
        ConfigError: some settings or secrets are missing or invalid.
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
                    help="Account id of Cloudflare R2; with it the addresses have defaults.",
                ),
                Setting(
                    name="bucket",
                    kind="text",
                    default=None,
                    help="Bucket of the raw files, and prefix of all names in it: s3://bucket/prefix.",
                ),
                Setting(
                    name="catalog",
                    kind="text",
                    default=None,
                    help="Address of the Iceberg REST catalog; not set: that of R2.",
                ),
                Setting(
                    name="warehouse",
                    kind="text",
                    default=None,
                    help="Name of the warehouse in the catalog; not set: that of R2.",
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
                    help="Prefix of all namespaces, so that pipelines can share a catalog.",
                ),
                Setting(
                    name="tables",
                    kind="texts",
                    default=LAYERS,
                    help="Layers to publish; of the layer raw, the kept history.",
                ),
                Setting(
                    name="cache",
                    kind="text",
                    default=".materia.iceberg",
                    help="Cache folder for copies of objects in the bucket; you may delete it.",
                ),
            ),
        )
    ]
