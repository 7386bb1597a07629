"""A source, sink or provider that is right but for one thing breaks a named promise."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import wrong_loads, wrong_providers, wrong_sinks, wrong_sources
from fakes.nameless import Nameless, NamelessCloud
from materia import Opening
from materia_http.download import Patience
from materia_snapshots import Column, Csv, Months, Snapshots
from materia_snapshots.settings import read_settings
from materia_snapshots.source import SnapshotSource
from materia_testing.contracts.contract import Contract
from materia_testing.contracts.opened import Declared
from materia_testing.contracts.provider import ProviderContract
from materia_testing.contracts.sink import SinkContract
from materia_testing.contracts.sinks.publish import read_duckdb
from materia_testing.contracts.source import SourceContract
from materia_testing.contracts.sources.served import ServedFiles, served_files
from materia_testing.emulation import Clock
from materia_testing.emulation.contract_world import CloudWorld

PRICES = Snapshots(
    name="acme",
    summary="prices by month",
    url="https://acme.example/prices",
    partitions=Months("{year}-{month:02}.csv", since="2026-01"),
    each="slice",
    form=Csv(),
    key=("item",),
    columns={"item": "TEXT", "price": Column(type="DECIMAL(18, 2)", comment="In euros")},
)
# The promise that each wrong source breaks, and what else its test is given.
SOURCES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "IgnoresKnown": ("an_etag_that_still_matches_costs_one_request_and_no_bytes", {}),
    "WrongHash": ("a_fetched_file_is_what_is_said_of_it", {}),
    "ContentOfTheMoment": ("the_same_bytes_have_the_same_content", {}),
    "ContentOfTheKey": ("a_changed_file_is_fetched_with_another_content", {}),
    "Backwards": ("partitions_are_listed_oldest_first_and_each_once", {}),
    "RecheckedLast": ("partitions_are_in_order_and_each_once_whatever_is_known", {}),
    "Twice": ("partitions_are_in_order_and_each_once_whatever_is_known", {}),
    "ForgetsNew": ("partitions_are_in_order_and_each_once_whatever_is_known", {}),
    "OnlyWhatIsDue": ("everything_leaves_no_partition_out", {}),
    "TrustsAnyAddress": ("an_etag_is_never_sent_to_another_address", {}),
    "OutageIsAbsence": ("a_place_that_cannot_be_reached_is_an_error_and_not_an_absence", {}),
    "AbsenceIsAnError": ("a_partition_that_is_not_there_is_absent", {}),
    "AbsenceIsARemoval": ("a_partition_that_is_not_there_is_absent", {}),
    "WritesIntoThePublished": (
        "what_differs_from_what_is_published_is_affected_until_it_is_published",
        {},
    ),
    "DropsOthers": ("a_load_changes_nothing_but_its_database_and_its_own_folder", {}),
    "SaysItLoadedTheRefused": (
        "a_file_of_no_use_is_refused_with_its_reason_and_harms_no_other",
        {},
    ),
    "KeepsACopy": ("a_fetch_writes_into_its_own_folder_alone", {}),
    "WritesBeside": ("a_fetch_writes_into_its_own_folder_alone", {}),
    "LeavesRubbish": ("a_fetched_file_is_what_is_said_of_it", {}),
    "OneAtATime": ("partitions_are_fetched_side_by_side", {}),
    "Silent": ("received_bytes_are_told_as_they_come", {}),
    "TotalsOverAgain": ("received_bytes_are_told_as_they_come", {}),
    "LocalTime": ("a_fetched_file_is_what_is_said_of_it", {}),
    "TimeOfYesterday": ("a_fetched_file_is_what_is_said_of_it", {}),
    "DropsTheTag": ("an_etag_that_still_matches_costs_one_request_and_no_bytes", {}),
    "NamesAnotherTag": ("an_etag_that_still_matches_costs_one_request_and_no_bytes", {}),
    "AcceptsEverything": ("a_file_of_no_use_is_refused_with_its_reason_and_harms_no_other", {}),
    "LoadsTwice": ("loading_twice_does_nothing_the_second_time", {}),
    "NeverRemoves": ("load_brings_the_raw_layer_to_exactly_the_files_given", {}),
    "ForgetsAffected": (
        "every_change_of_rows_affects_the_dates_of_these_rows",
        {"change": "replaced"},
    ),
    "AffectedByLoadedAlone": (
        "every_change_of_rows_affects_the_dates_of_these_rows",
        {"change": "removed"},
    ),
    "AffectedSinceTheLastLoad": (
        "what_differs_from_what_is_published_is_affected_until_it_is_published",
        {},
    ),
    "AlwaysAffected": (
        "what_differs_from_what_is_published_is_affected_until_it_is_published",
        {},
    ),
    "AffectedTimes": (
        "every_change_of_rows_affects_the_dates_of_these_rows",
        {"change": "added"},
    ),
    "AffectedUnsorted": (
        "every_change_of_rows_affects_the_dates_of_these_rows",
        {"change": "added"},
    ),
    "UnpacksInPlace": ("a_load_changes_nothing_but_its_database_and_its_own_folder", {}),
    "ChangesTheRawFile": ("a_load_changes_nothing_but_its_database_and_its_own_folder", {}),
    "NoProgress": ("a_load_says_after_each_partition_how_many_are_left", {}),
    "NeedsEveryFile": ("a_file_that_is_loaded_already_is_not_needed_again", {}),
    "RaisesForABadFile": ("a_file_of_no_use_is_refused_with_its_reason_and_harms_no_other", {}),
    "NoReason": ("a_file_of_no_use_is_refused_with_its_reason_and_harms_no_other", {}),
    "NoRowsAdded": ("a_load_says_after_each_partition_how_many_are_left", {}),
    "CountsWholeFiles": ("the_numbers_of_rows_that_came_and_went_are_those_of_the_rows", {}),
    "NothingEnds": ("the_numbers_of_rows_that_came_and_went_are_those_of_the_rows", {}),
    "RemarksOnOthers": ("load_brings_the_raw_layer_to_exactly_the_files_given", {}),
    "RoundsMoney": ("every_row_is_loaded_as_it_is_written", {"edition": 2}),
    "MixesUpCapitals": ("every_row_is_loaded_as_it_is_written", {"edition": 1}),
    "MergesRows": ("every_row_is_loaded_as_it_is_written", {"edition": 2}),
    "DropsTheLastRow": ("every_row_is_loaded_as_it_is_written", {"edition": 2}),
    "LeavesOneOut": ("partitions_are_listed_oldest_first_and_each_once", {}),
    "AnotherOrderEachTime": ("partitions_are_the_same_when_asked_again", {}),
    "LeavesTheRefused": ("what_was_refused_or_denied_is_asked_for_again", {}),
    "LoadsTheNewestAlone": ("load_brings_the_raw_layer_to_exactly_the_files_given", {}),
    "NeverReplaces": ("load_brings_the_raw_layer_to_exactly_the_files_given", {}),
    "SaysItLoadedAll": ("loading_twice_does_nothing_the_second_time", {}),
    "DeletesTheRawFile": ("a_load_changes_nothing_but_its_database_and_its_own_folder", {}),
    "OutageIsNoChange": ("a_place_that_cannot_be_reached_is_an_error_and_not_an_absence", {}),
    "NeverChanges": ("a_changed_file_is_fetched_with_another_content", {}),
    "WrongSize": ("a_fetched_file_is_what_is_said_of_it", {}),
    "OfAnotherPartition": ("a_fetched_file_is_what_is_said_of_it", {}),
    "TakesHalf": ("an_answer_that_breaks_off_never_stays_under_its_final_name", {}),
    "TrustsTheClock": ("partitions_are_listed_oldest_first_and_each_once", {}),
    "NamesNoFile": ("partitions_are_listed_oldest_first_and_each_once", {}),
    "NoModels": ("models_are_a_folder_of_sqlmesh_models_or_none", {}),
}
SINKS: Mapping[str, str] = {
    "LosesTheOldFile": "a_kept_file_that_cannot_be_loaded_gives_way_to_the_one_before_it",
    "FindsByName": "a_raw_file_is_found_by_its_hash_and_never_another",
    "TakesWhatIsTorn": "a_file_that_is_not_what_was_fetched_is_not_kept",
    "ForgetsThePartition": "an_absent_partition_is_remembered_as_absent",
    "MixesSources": "partitions_and_sources_do_not_mix",
    "KeepsTheOldTag": "unchanged_takes_the_newest_etag_and_keeps_the_file",
    "UnchangedOfNothing": "unchanged_of_something_never_kept_is_an_error",
    "NeverRefuses": "a_kept_file_that_cannot_be_loaded_gives_way_to_the_one_before_it",
    "LosesWhatItRefuses": "a_file_in_quarantine_is_there_to_be_looked_at",
    "LosesWhatIsNoFile": "a_file_in_quarantine_is_there_to_be_looked_at",
    "PublishesHalf": "a_missing_table_publishes_none_of_them",
    "CountsNothing": "publish_returns_its_tables_in_order_with_rows_and_description",
    "PublishesAgain": "publishing_the_same_run_twice_changes_nothing",
    "ForgetsTheLock": "a_second_run_is_refused_with_the_name_of_the_first",
    "KeepsTheLock": "an_open_sink_lets_others_publish_and_sees_what_they_published",
    "RemembersTheFingerprint": "an_open_sink_lets_others_publish_and_sees_what_they_published",
    "WorksOnWhatIsPublished": "a_working_copy_starts_from_what_is_published_and_is_private",
    "StartsAnew": "a_working_copy_starts_from_what_is_published_and_is_private",
    "WritesALog": "it_writes_nothing_outside_of_its_own_place",
    "WritesBeside": "it_writes_nothing_outside_of_its_own_place",
}
PROVIDERS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "ForgetsALabel": ("an_instance_carries_its_name_run_stage_and_expiry", {}),
    "ForgetsTheExpiry": ("an_instance_carries_its_name_run_stage_and_expiry", {}),
    "CreatedWhenItIsAsked": ("an_instance_carries_its_name_run_stage_and_expiry", {}),
    "LeaksOnFailure": ("a_create_that_fails_leaves_nothing", {}),
    "LeavesItsKey": ("nothing_is_left_when_destroy_returns", {}),
    "MakesNoMark": ("an_instance_that_is_late_to_be_listed_is_adopted_too", {}),
    "PricesByTheMonth": ("an_instance_costs_what_its_offer_says", {}),
    "PricesHalf": ("an_instance_costs_what_its_offer_says", {}),
    "ForgetsTheLeastCharge": ("an_instance_costs_what_its_offer_says", {}),
    "RoundsToHours": ("an_instance_costs_what_its_offer_says", {}),
    "PricesOfLastYear": ("prices_are_as_old_as_the_answer", {}),
    "OffersOnceMore": ("offers_of_one_answer_differ_in_what_can_be_asked_for", {}),
    "OffersWhatIsSoldOut": ("a_type_that_is_sold_out_is_not_offered_as_available", {}),
    "ListsEverything": ("a_copy_of_our_labels_on_another_machine_makes_nothing_ours", {}),
    "ListsNothingOnError": ("a_list_that_cannot_be_read_is_an_error_and_never_a_shorter_list", {}),
    "DestroysAndForgets": ("nothing_is_left_when_destroy_returns", {}),
    "DropsTheUserData": ("a_machine_is_given_its_user_data_unchanged", {}),
}


def hold(contract: Contract, promise: str, given: Mapping[str, Any]) -> None:
    """Run the test of one promise with what it asks for."""
    test = getattr(type(contract), f"test_{promise}")
    test(
        contract,
        **{name: given[name] for name in inspect.signature(test).parameters if name != "self"},
    )


def broken(contract: Contract, promise: str, given: Mapping[str, Any]) -> str:
    """The note of the failure; it must be there."""
    with pytest.raises((Exception, pytest.fail.Exception)) as raised:
        hold(contract, promise, given)
    assert not isinstance(raised.value, pytest.skip.Exception)
    (note,) = raised.value.__notes__
    return str(note)


@pytest.fixture
def world() -> Iterator[ServedFiles]:
    with served_files(
        {month: f"{month}.csv" for month in ("2026-01", "2026-02", "2026-03")},
        now=datetime(2026, 3, 20, tzinfo=UTC),
        editions=(b"item,price\nnails,1.50\n", b"item,price\nnails,1.75\nbolts,0.20\n"),
        damaged={
            "a web page": (b"<html>moved</html>\n", "item"),
            "letters": (b"item,price\nnails,cheap\n", "price"),
        },
        table="raw.acme_row",
        rows=(
            [{"item": "nails", "price": "1.50"}],
            [{"item": "nails", "price": "1.75"}, {"item": "bolts", "price": "0.20"}],
        ),
    ) as world:
        yield world


WRONG_SOURCES = [*wrong_sources.WRONG, *wrong_loads.WRONG]


def test_every_wrong_plugin_has_its_promise() -> None:
    assert {one.__name__ for one in WRONG_SOURCES} == set(SOURCES)
    assert set(wrong_sinks.WRONG) - {"Right"} == set(SINKS)
    assert set(wrong_providers.WRONG) == set(PROVIDERS)


@pytest.mark.parametrize("kind", WRONG_SOURCES, ids=lambda kind: kind.__name__)
def test_a_wrong_source_breaks_a_named_promise(
    world: ServedFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[wrong_sources.Wrong],
) -> None:
    promise, more = SOURCES[kind.__name__]
    opening = Opening(
        secrets={}, settings={"since": "2026-01", **world.settings}, directory=tmp_path
    )
    right = SnapshotSource(PRICES, read_settings(PRICES, opening), Patience(first_wait=0.02))
    here = tmp_path / "work"
    elsewhere = here / "elsewhere"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr("materia_testing.contracts.sources.care.BARRIER_SECONDS", 1.0)
    given = {
        "source": kind(right),
        "world": world,
        "tmp_path": here,
        "elsewhere": elsewhere,
        **more,
    }
    note = broken(SourceContract(), promise, given)

    assert note.startswith(f"promise: {promise.replace('_', ' ')}\n")
    assert note.endswith("\npage: docs/plugins.md#a-source-of-your-own-code")


class Sinks(SinkContract):
    module = "fakes.wrong_sinks"


@pytest.mark.parametrize("name", SINKS)
def test_a_wrong_sink_breaks_a_named_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def read(sink: Any) -> tuple[int, int] | None:
        path = sink.published()
        return None if path is None else read_duckdb(path)

    directory = tmp_path / "project"
    directory.mkdir()
    declared = Declared(kind="sink", module="fakes.wrong_sinks", name=name, directory=directory)
    given = {
        "sink": declared.open(),
        "declared": declared,
        "tmp_path": tmp_path,
        "folder": tmp_path / "in",
        "reading": read,
        "when": "fetched" if name == "LosesWhatIsNoFile" else "loaded",
        "stored": lambda: [one.read_bytes() for one in directory.rglob("*") if one.is_file()],
        "monkeypatch": monkeypatch,
    }
    note = broken(Sinks(), SINKS[name], given)

    assert note.startswith(f"promise: {SINKS[name].replace('_', ' ')}\n")
    assert note.endswith("page: docs/plugins.md#a-sink")


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_wrong_provider_breaks_a_named_promise(name: str) -> None:
    promise, more = PROVIDERS[name]
    contract = ProviderContract()
    with NamelessCloud(clock=Clock(speed=1000)) as cloud:
        world = CloudWorld(cloud, slow_seconds=2.5, late_seconds=0.3)

        def open_provider() -> Nameless:
            return wrong_providers.WRONG[name](
                "secret",
                url=cloud.url,
                timeout=timedelta(seconds=2),
                patience=timedelta(seconds=0.4),
                settle=timedelta(seconds=0.5),
            )

        needs = wrong_providers.NEEDS
        scene = wrong_providers.scene(world, open_provider)
        given = {
            "provider": open_provider(),
            "open_provider": open_provider,
            "scene": scene,
            "world": world,
            "needs": needs,
            **more,
        }
        note = broken(contract, promise, given)

    assert note.startswith(f"promise: {promise.replace('_', ' ')}\n")
    assert note.endswith("page: docs/plugins.md#a-provider")
