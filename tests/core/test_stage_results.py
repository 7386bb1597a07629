"""What a worker says its stage did, as it is shown and summed up."""

from __future__ import annotations

from materia_runner.messages.stage_results import checked

SAID = ("asked", "fetched", "unchanged", "absent", "refused", "failed", "bytes")


def test_what_a_stage_did_not_say_is_nothing_and_never_missing() -> None:
    found = checked("extract", dict.fromkeys(SAID, 1) | {"more": "\x1b[1m"})

    assert found["asked"] == 1
    assert found["more"] == ""
    assert (found["denied"], found["not_asked"], found["in_use"]) == (0, 0, 0)
    assert (found["problems"], found["remarks"], found["denials"]) == ([], [], [])
