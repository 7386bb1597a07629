"""A worker of a run with several sources records partitions of these, and of no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from materia.data import Partition, PublishRequest, Unchanged
from materia_runner.codec import MalformedError
from materia_runner.execution.sink_rules import refuse_foreign, refuse_other_owner
from materia_runner.messages.sink_messages import AskKnown, AskRaw, Publish, Record
from materia_runner.messages.stage_request import WorkerRequest

REQUEST = WorkerRequest(
    run="r1",
    stage="extract",
    pipeline="acme",
    sources=("acme", "ecb"),
    sink="duckdb",
    settings={},
    secrets={},
    directory=Path("/srv"),
    workspace=Path("/srv/work"),
)
PARTITIONS = {"acme": {"2026-01"}, "ecb": {"2026-02"}}


def recorded(source: str, key: str) -> Record:
    return Record(
        source=source,
        partition=Partition(key=key, url="https://acme.example", file="prices.csv"),
        result=Unchanged(etag=None, last_modified=None),
        sha256=None,
    )


@pytest.mark.parametrize(("source", "key"), [("acme", "2026-01"), ("ecb", "2026-02")])
def test_a_partition_of_each_source_may_be_recorded(source: str, key: str) -> None:
    refuse_foreign(recorded(source, key), REQUEST, PARTITIONS)
    refuse_foreign(AskKnown(source=source), REQUEST, PARTITIONS)


@pytest.mark.parametrize(
    ("source", "key"),
    [("acme", "2026-02"), ("ecb", "2026-01"), ("psdonline", "2026-01"), ("ecb-sample", "2026-02")],
)
def test_a_partition_of_another_source_is_refused(source: str, key: str) -> None:
    with pytest.raises(MalformedError, match=r"is not a (partition|source) of"):
        refuse_foreign(recorded(source, key), REQUEST, PARTITIONS)


def test_a_narrowed_run_records_nothing_of_the_sources_that_it_leaves_out() -> None:
    narrow = replace(REQUEST, only=("ecb",))

    refuse_foreign(recorded("ecb", "2026-02"), narrow, PARTITIONS)
    with pytest.raises(MalformedError, match="'acme' is not a source of this run"):
        refuse_foreign(recorded("acme", "2026-01"), narrow, PARTITIONS)


def test_a_transform_reads_raw_files_of_the_sources_of_its_request_alone() -> None:
    transform = replace(REQUEST, stage="transform")
    sha256 = "0" * 64

    for source in REQUEST.sources:
        asked = AskRaw(source=source, partition="2026-01", file="prices.csv", sha256=sha256)
        refuse_foreign(asked, transform, {})
    foreign = AskRaw(source="psdonline", partition="2026-01", file="prices.csv", sha256=sha256)
    with pytest.raises(MalformedError, match="'psdonline' is not a source of this run"):
        refuse_foreign(foreign, transform, {})
    other = PublishRequest(run="r2", database=Path("/srv/x"), tables=(), fingerprint="")
    with pytest.raises(MalformedError, match="another run"):
        refuse_foreign(Publish(request=other, sha256=sha256), transform, {})


@pytest.mark.parametrize(
    "fingerprint",
    [
        "acme+ecb:0+0.0",
        "acme+ecb:0+0.0;psdonline:1.2",
        "acme+ecb:0+0.0;psdonline@grain:2.2",
        "acme+ecb+psdonline:0+0+0.0",
    ],
)
def test_a_worker_cannot_change_what_another_pipeline_published(fingerprint: str) -> None:
    published = "acme:0.0;psdonline@grain:1.2"

    refuse_other_owner("acme+ecb:0+0.0;psdonline@grain:1.2", published, REQUEST)
    with pytest.raises(MalformedError, match=r"another pipeline|not of this run"):
        refuse_other_owner(fingerprint, published, REQUEST)
