"""The same question is asked once while its answer is young, whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from fakes import hetzner_open, ovh_open, scaleway_open
from materia.compute import Requirements
from materia.kit.once import Once, unkept
from materia_hetzner.emulator.service import Hetzner
from materia_ovh.emulator.service import Ovh
from materia_scaleway.emulator.service import Scaleway
from materia_testing.emulation.service import Service

SMALL, LARGE = Requirements(vcpus=1), Requirements(vcpus=8, disk_gib=100)


def test_an_answer_is_given_again_and_another_question_is_asked() -> None:
    once, asked = Once(), []

    def ask(name: str) -> str:
        asked.append(name)
        return name.upper()

    assert [once.ask(name, lambda name=name: ask(name)) for name in ("a", "b", "a")] == [  # type: ignore[misc]
        "A",
        "B",
        "A",
    ]
    assert asked == ["a", "b"]


def test_an_error_is_not_kept() -> None:
    once = Once()

    def fail() -> str:
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        once.ask("a", fail)
    assert once.ask("a", lambda: "up") == "up"


@pytest.mark.parametrize("once", [unkept(), Once(timedelta(microseconds=1))], ids=["no", "old"])
def test_an_answer_that_is_not_kept_or_old_is_asked_for_again(once: Once) -> None:
    asked: list[int] = []
    for _ in range(2):
        once.ask("a", lambda: asked.append(1))
        threading.Event().wait(0.001)

    assert len(asked) == 2


def test_who_asks_meanwhile_waits_for_the_same_answer() -> None:
    once, begun, go_on = Once(), threading.Event(), threading.Event()
    found: list[str] = []

    def slow() -> str:
        begun.set()
        go_on.wait(5)
        return "slow"

    first = threading.Thread(target=lambda: found.append(once.ask("a", slow)))
    second = threading.Thread(target=lambda: found.append(once.ask("a", lambda: "again")))
    first.start()
    begun.wait(5)
    second.start()
    go_on.set()
    first.join(5)
    second.join(5)

    assert found == ["slow", "slow"]


@pytest.mark.parametrize(
    ("cloud_class", "opened"),
    [(Hetzner, hetzner_open.opened), (Ovh, ovh_open.opened), (Scaleway, scaleway_open.opened)],
)
def test_what_does_not_depend_on_the_need_is_fetched_once_for_two_needs(
    cloud_class: type[Service], opened: Callable[..., object]
) -> None:
    with cloud_class() as cloud:
        provider = opened(cloud)
        provider._once = Once()  # type: ignore[attr-defined]
        first = provider.offers(SMALL)  # type: ignore[attr-defined]  # any provider
        before = len(cloud.exchanges)
        second = provider.offers(LARGE)  # type: ignore[attr-defined]  # as above

        assert len(first) == len(second)
        assert len(cloud.exchanges) == before
