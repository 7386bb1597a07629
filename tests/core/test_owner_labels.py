"""What is materia's is found again, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from materia_providers.labels import Owner, entry_owner, read_owner
from materia_providers.polling import poll

OWNER = Owner(
    name="materia-r1-extract",
    run="20261124T085500-ab12cd",
    stage="extract",
    expires_at=datetime(2026, 11, 24, 12, tzinfo=UTC),
)


def test_a_mark_is_read_from_its_labels() -> None:
    assert read_owner(OWNER.labels()) == OWNER


def test_other_labels_beside_it_do_not_matter() -> None:
    assert read_owner({**OWNER.labels(), "team": "a"}) == OWNER


@pytest.mark.parametrize("key", sorted(OWNER.labels()))
def test_what_lacks_one_of_the_four_is_not_materias(key: str) -> None:
    labels = OWNER.labels()
    del labels[key]

    assert read_owner(labels) is None
    assert read_owner({**labels, key: ""}) is None


@pytest.mark.parametrize("expires", ["never", "9" * 30, "1e9", ""])
def test_an_expiry_that_is_no_time_is_a_strangers(expires: str) -> None:
    assert read_owner({**OWNER.labels(), "materia-expires": expires}) is None


@pytest.mark.parametrize("labels", [None, {}])
def test_what_has_no_labels_is_not_materias(labels: dict[str, str] | None) -> None:
    assert read_owner(labels) is None


def test_polling_takes_a_first_and_a_last_turn() -> None:
    turns = list(poll(timedelta(seconds=0.2)))

    assert turns[0] <= timedelta(seconds=0.2)
    assert turns == sorted(turns, reverse=True)
    assert turns[-1] == timedelta(0)
    assert 2 < len(turns) < 20  # the pauses grow; without that there would be 50


def test_polling_without_time_takes_one_turn() -> None:
    assert list(poll(timedelta(0))) == [timedelta(0)]


@pytest.mark.parametrize("named", ["precious-db", "materia-web", None, 7, ""])
def test_a_copy_of_our_labels_makes_no_other_machine_ours(named: object) -> None:
    assert read_owner(OWNER.labels(), named=named) is None
    assert read_owner(OWNER.labels(), named=OWNER.name) == OWNER


@pytest.mark.parametrize(
    "name", ["precious-db", "Materia-r1", "materia-", "materia-r1_x", "x" * 64]
)
def test_labels_with_a_name_that_materia_does_not_give_are_a_strangers(name: str) -> None:
    assert read_owner({**OWNER.labels(), "materia-name": name}, named=name) is None


@pytest.mark.parametrize(
    ("identity", "labels", "named"),
    [
        (7, None, None),
        ("a", [], "web"),
        (None, None, "web"),
        ("a", {"team": 7}, None),
        (None, OWNER.labels(), "precious-db"),
    ],
)
def test_a_strangers_entry_may_be_as_odd_as_it_likes(
    identity: object, labels: object, named: object
) -> None:
    assert entry_owner(identity, labels, named=named) is None


@pytest.mark.parametrize(
    ("identity", "labels", "named"),
    [
        (None, None, None),
        (None, dict.fromkeys(OWNER.labels()), None),
        (None, OWNER.labels(), OWNER.name),
        ("", OWNER.labels(), OWNER.name),
        (7, dict.fromkeys(OWNER.labels(), 7), 7),
        (7, 7, None),
        (7, OWNER.labels(), 7),
    ],
)
def test_an_entry_that_may_be_ours_and_does_not_say_so_is_no_strangers(
    identity: object, labels: object, named: object
) -> None:
    with pytest.raises(ValueError, match="its labels or name do not show its owner"):
        entry_owner(identity, labels, named=named)
