"""The `s3` sink: raw files and one DuckDB file in a bucket, so that a worker keeps nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from materia import Opening, Plugin, Setting, Sink, hookimpl

if TYPE_CHECKING:
    from materia_store.object_store import Patience

SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def open_s3(opening: Opening, patience: Patience | None = None) -> Sink:
    """Open the sink; the bucket is not asked before something is needed of it.

    Raises:
        ConfigError: `bucket` or `endpoint` is not set, or not an address.
    """
    from materia_s3.sink import S3Sink, address_of

    address = address_of(opening.settings)
    folder = opening.directory.joinpath(str(opening.settings["cache"])).expanduser()
    key, secret = (opening.secrets[name] for name in SECRETS)
    return S3Sink(address, key=key, secret=secret, cache=folder, patience=patience)


@hookimpl
def materia_sinks() -> list[Plugin[Sink]]:
    """Declare `s3`."""
    return [
        Plugin(
            name="s3",
            summary="a bucket of raw files and one DuckDB file, swapped whole at each publish",
            open=open_s3,
            secrets=SECRETS,
            on_worker=True,
            settings=(
                Setting(
                    name="bucket",
                    kind="text",
                    default=None,
                    help="The bucket, and what all names in it begin with: s3://bucket/prefix.",
                ),
                Setting(
                    name="endpoint",
                    kind="text",
                    default=None,
                    help="Address of the object store, or not set for that of AWS.",
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
                    help="Folder for copies of what is in the bucket; it may be deleted.",
                ),
            ),
        )
    ]
