"""dlt, at its fastest here: a resource of our own yields Arrow batches; each run appends."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator

import dlt
import pyarrow as pa
from pyarrow import csv


@dlt.resource(name="psd", write_disposition="append")
def rows(archives: tuple[str, ...]) -> Iterator[pa.Table]:
    """The rows of *archives* in batches; codes stay text."""
    text = [
        "Commodity_Code", "Country_Code", "Month", "Attribute_ID", "Unit_ID",
        "Commodity_Description", "Country_Name", "Attribute_Description", "Unit_Description",
    ]  # fmt: skip
    options = csv.ConvertOptions(
        column_types={**dict.fromkeys(text, pa.string()), "Value": pa.float64()},
        null_values=[""],
        strings_can_be_null=False,
    )
    for archive in archives:
        with zipfile.ZipFile(archive).open("psd_alldata.csv") as member:
            reader = csv.open_csv(
                member,
                read_options=csv.ReadOptions(block_size=1 << 25),
                convert_options=options,
            )
            for batch in reader:
                yield pa.Table.from_batches([batch])


def main(database: str, state: str, *archives: str) -> None:
    """Append *archives* to *database*; *state* is dlt's own folder."""
    pipeline = dlt.pipeline(
        pipeline_name="psd",
        pipelines_dir=state,
        destination=dlt.destinations.duckdb(database),
        dataset_name="raw",
    )
    pipeline.run(rows(archives), loader_file_format="parquet")


if __name__ == "__main__":
    main(*sys.argv[1:])
