"""What a plugin warns of is a warning of the run."""

import json
import logging
from dataclasses import replace
from datetime import timedelta

from fakes.odd_store import OddStore
from fakes.s3 import KEY, SECRET
from fakes.workshop import Workshop
from materia_runner.messages.events import Event, Log
from materia_runner.worker.plugin_warnings import plugin_warnings


def test_a_warning_of_a_plugin_is_an_event_without_what_is_hidden() -> None:
    said: list[Event] = []
    logger = logging.getLogger("materia.sinks.acme")
    with plugin_warnings(said.append, ["a planted word"]):
        logger.warning("%s stays in %s", "a planted word", "s3://acme")
        logger.info("is nothing to warn of")
        logging.getLogger("boto3").warning("of another library")
    logger.warning("afterwards")

    assert said == [Log(level="warning", message="*** stays in s3://acme")]


def test_what_a_bucket_cannot_clear_away_is_said_at_the_end_of_a_run_that_succeeds(
    workshop: Workshop,
) -> None:
    workshop.install("folder", "fakes.folder")
    home = workshop.directory
    (home / "in").mkdir()
    (home / "in/2024-01.csv").write_text("apples,1\n")
    store = OddStore()
    try:
        (home / "materia.toml").write_text(
            'source = "folder"\nsink = "s3"\n[sinks.s3]\n'
            f'bucket = "s3://acme/coffee"\nendpoint = "{store.endpoint}"\n'
        )
        keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        odd = {"AWS_ENDPOINT_URL_S3": "", "AWS_SKIP_SIGNATURE": "true"}
        first = workshop.run("run", environment={**keys, **odd})
        assert first.returncode == 0, first.stderr
        left = f"coffee/databases/{'0' * 64}/materia.duckdb"
        pointer = store.state.objects["coffee/published.json"]
        store.state.objects[left] = replace(pointer, content=b"left")
        store.age(timedelta(days=2))
        store.be(deletes=501)
        (home / "in/2024-02.csv").write_text("pears,2\n")
        second = workshop.run("run", "--json", environment={**keys, **odd})
    finally:
        store.close()

    assert second.returncode == 0, second.stderr
    assert f"s3://acme/{left}: cannot delete this unused object" in second.stderr
    assert json.loads(second.stdout)["stages"][1]["result"]["published"]
