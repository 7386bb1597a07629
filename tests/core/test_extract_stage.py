from __future__ import annotations

import json

from fakes.workshop import Workshop

LATER = "everything else was done; run again later"


def extracted(folders: Workshop, *, code: int = 0) -> dict[str, object]:
    ended = folders.run("pipeline", "run", "extract", "--json")

    assert ended.returncode == code, ended.stderr
    result: dict[str, object] = json.loads(ended.stdout)["stages"][0]["result"]
    return result


def counted(result: dict[str, object]) -> dict[str, object]:
    words = ("asked", "fetched", "unchanged", "absent", "refused", "failed", "in_use")
    return {word: result[word] for word in words if result[word]}


def test_the_first_run_fetches_all_and_the_second_finds_it_unchanged(folders: Workshop) -> None:
    first, second = extracted(folders), extracted(folders)

    assert counted(first) == {"asked": 2, "fetched": 2, "in_use": 2}
    assert first["bytes"] == len("apples,1\npears,2\napples,3\n")
    assert counted(second) == {"asked": 2, "unchanged": 2, "in_use": 2}
    assert second["bytes"] == 0


def test_one_bad_partition_harms_no_other(folders: Workshop) -> None:
    folders.write("in/2024-03.csv", "#refuse is not a zip\n")
    folders.write("in/2024-04.csv", "#fail the server says 503\n")
    folders.write("in/2024-05.csv", "#absent\n")
    folders.write("in/2024-06.csv", "apples,6\n")

    result = extracted(folders, code=1)

    assert counted(result) == {
        "asked": 6,
        "fetched": 3,
        "absent": 1,
        "refused": 1,
        "failed": 1,
        "in_use": 3,
    }


def test_each_problem_is_told_with_its_address_and_reason(folders: Workshop) -> None:
    refused = folders.write("in/2024-03.csv", "#refuse is not a zip\n")
    failed = folders.write("in/2024-04.csv", "#fail the server says 503\n")

    ended = folders.run("pipeline", "run", "extract")

    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"materia: 2 partitions of folder could not be used; {LATER}",
        f"  2024-03: {refused.as_uri()}: is not a zip",
        f"  2024-04: {failed.as_uri()}: the server says 503",
    ]


def test_a_file_in_quarantine_since_before_is_a_warning(folders: Workshop) -> None:
    refused = folders.write("in/2024-03.csv", "#refuse is not a zip\n")
    extracted(folders, code=1)

    ended = folders.run("pipeline", "run", "extract")

    assert ended.returncode == 0
    assert ended.stderr == (
        "warning: 2024-03 is still in quarantine (there is no other file): "
        f"{refused.as_uri()}: is not a zip\n"
    )


def test_without_any_file_the_stage_itself_fails(workshop: Workshop) -> None:
    workshop.install("folder", "fakes.folder")
    workshop.write("materia.toml", 'source = "folder"\nsink = "folder"\n')
    failed = workshop.write("in/2024-04.csv", "#fail the server says 503\n")

    ended = workshop.run("run")

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        "materia: folder: no file could be fetched; check the network and the settings under "
        "[sources.folder], and run again\n"
        f"  2024-04: {failed.as_uri()}: the server says 503\n"
    )


def test_a_source_that_only_fails_is_not_asked_two_hundred_times(workshop: Workshop) -> None:
    workshop.install("folder", "fakes.folder")
    workshop.write("materia.toml", 'source = "folder"\nsink = "folder"\n')
    for number in range(200):
        workshop.write(f"in/{1900 + number}-01.csv", "#fail the server says 503\n")

    ended = workshop.run("pipeline", "run", "extract")

    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert lines[0].startswith("materia: folder: no file could be fetched; check the network")
    (down,) = [line for line in lines if "503" in line]
    span, _, reason = down.partition(" partitions: ")
    assert reason.endswith("1900-01.csv: the server says 503")
    assert 16 <= int(span.split()[-1]) <= 24
    assert lines[-1].startswith("  skipped ")
    assert lines[-1].endswith("more, because all before them failed")


def test_a_mistake_in_a_source_is_the_trouble_of_one_partition_and_told_with_its_place(
    folders: Workshop,
) -> None:
    crashed = folders.write("in/2024-03.csv", "#crash nowhere\n")
    folders.write("in/2024-06.csv", "apples,6\n")

    ended = folders.run("pipeline", "run", "extract")

    assert ended.returncode == 1
    head, told = ended.stderr.splitlines()
    assert head == f"materia: 1 partition of folder could not be used; {LATER}"
    assert told.startswith(
        f"  2024-03: {crashed.as_uri()}: the source failed with KeyError: 'nowhere' "
        "(folder_source.py, line "
    )
    assert counted(extracted(folders, code=1))["in_use"] == 3


def test_a_partition_that_the_source_denies_is_warned_of_and_stays_in_what_is_published(
    run_folders: Workshop,
) -> None:
    denied = run_folders.write("in/2024-01.csv", "#absent\n")
    again = run_folders.run("run", "--json")
    shown = run_folders.run("sinks").stdout

    assert again.returncode == 0, again.stderr
    extract, transform = json.loads(again.stdout)["stages"]
    assert counted(extract["result"]) == {"asked": 2, "unchanged": 1, "in_use": 2}
    assert extract["result"]["denied"] == 1
    [denial] = extract["result"]["denials"]
    assert (denial["partition"], denial["url"]) == ("2024-01", denied.as_uri())
    assert transform["result"]["published"] is False
    assert "kept, though the source denies it: 2024-01" in shown
    assert "1 denied" in run_folders.run("pipeline", "run", "extract").stdout


def test_a_worker_that_dies_is_told_with_its_last_words(folders: Workshop) -> None:
    folders.write("in/2024-03.csv", "#die\n")

    ended = folders.run("pipeline", "run", "extract")

    assert ended.returncode == 1
    assert ended.stderr == (
        "materia: extract: the worker was ended by SIGKILL (out of memory?)\n  last words\n"
    )
    assert folders.workers() == []
