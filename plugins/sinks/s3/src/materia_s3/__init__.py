"""The `s3` sink: raw files and one DuckDB file in an S3 bucket, published by compare-and-swap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from materia import Opening, Plugin, Setting, Sink, hookimpl

if TYPE_CHECKING:
    from materia_store.object_store import Patience

SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def open_s3(opening: Opening, patience: Patience | None = None) -> Sink:
    """Open the sink; this sends no request to the store.

    Raises:
        ConfigError: `bucket` is not set, or `bucket` or `endpoint` is not a URL.
    """
    from materia_s3.settings import address_of
    from materia_s3.sink import S3Sink

    address = address_of(opening.settings)
    folder = opening.directory.joinpath(str(opening.settings["cache"])).expanduser()
    key, secret = (opening.secrets[name] for name in SECRETS)
    return S3Sink(address, key=key, secret=secret, cache=folder, patience=patience)


def check(opening: Opening) -> None:
    """Check the settings.

    Raises:
        ConfigError: some are missing or invalid; it has every mistake.
    """
    from materia_s3.settings import address_of

    address_of(opening.settings)


@hookimpl
def materia_sinks() -> list[Plugin[Sink]]:
    """Declare `s3`."""
    return [
        Plugin(
            name="s3",
            summary="an S3 bucket: raw files, and one DuckDB file with atomic publish",
            open=open_s3,
            check=check,
            secrets=SECRETS,
            on_worker=True,
            settings=(
                Setting(
                    name="bucket",
                    kind="text",
                    default=None,
                    help="The bucket and the prefix of all names in it: s3://bucket/prefix.",
                ),
                Setting(
                    name="endpoint",
                    kind="text",
                    default=None,
                    help="URL of the object store; not set: AWS.",
                ),
                Setting(
                    name="region",
                    kind="text",
                    default="us-east-1",
                    help='Region of the bucket; Cloudflare R2 calls it "auto".',
                ),
                Setting(
                    name="cache",
                    kind="text",
                    default=".materia.s3",
                    help="Cache folder for copies of objects in the bucket; you may delete it.",
                ),
            ),
        )
    ]
