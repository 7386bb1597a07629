"""What is tried after a machine could not be rented, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.rental import offer
from materia.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    MateriaError,
    ProviderError,
    ReadyTimeoutError,
    WorkerLostError,
)
from materia_runner.rental.failover import (
    IN_VAIN_AT_MOST,
    REFUSED_AT_MOST,
    Failover,
    FailoverNotices,
)

CHEAP, DEAR = offer("cheap"), offer("dear")
OTHER = replace(offer("other"), provider="other")
FAULT = ProviderError("rental: HTTP 503")


def test_a_refused_offer_gives_way_to_the_next() -> None:
    failover = Failover(offers=[CHEAP, DEAR])

    assert failover.learn(CapacityError("sold out"), CHEAP) == "trying the next offer"
    assert [one for one in (CHEAP, DEAR) if failover.is_open(one)] == [DEAR]
    assert failover.lines() == ["sold out"]


def test_a_fault_is_met_by_asking_again_then_by_the_next_offer_then_by_the_others() -> None:
    failover = Failover(offers=[CHEAP, DEAR, OTHER])

    first = failover.learn(FAULT, CHEAP)
    assert (first, failover.is_open(CHEAP)) == ("retrying rental", True)
    second = failover.learn(FAULT, CHEAP)
    assert (second, failover.is_open(CHEAP)) == ("trying the next offer", False)
    assert failover.is_open(DEAR)
    third = failover.learn(FAULT, DEAR)

    assert third == "continuing without rental"
    assert not failover.is_open(DEAR)
    assert failover.is_open(OTHER)


@pytest.mark.parametrize("error", [CredentialsError("wrong key"), ConfigError("no such project")])
def test_what_ends_a_provider_is_not_tried_again_there(error: ProviderError | ConfigError) -> None:
    failover = Failover(offers=[CHEAP, DEAR, OTHER])

    assert failover.learn(error, CHEAP) == "continuing without rental"
    assert [one.provider for one in failover.offers if failover.is_open(one)] == ["other"]


@pytest.mark.parametrize("error", [CredentialsError("wrong key"), ConfigError("no such project")])
def test_what_ends_the_only_provider_is_the_error(error: ProviderError | ConfigError) -> None:
    with pytest.raises(type(error)) as raised:
        Failover(offers=[CHEAP, DEAR]).learn(error, CHEAP)

    assert raised.value is error


def test_a_fault_of_the_only_offer_is_the_error_once_it_has_come_again() -> None:
    failover = Failover(offers=[CHEAP])
    failover.learn(FAULT, CHEAP)

    with pytest.raises(ProviderError, match="HTTP 503"):
        failover.learn(FAULT, CHEAP)


def test_after_many_refusals_of_one_provider_the_others_are_asked() -> None:
    many = [offer(f"type-{number}") for number in range(REFUSED_AT_MOST + 5)]
    failover = Failover(offers=[*many, OTHER])

    said = [failover.learn(CapacityError("quota"), one) for one in many[:REFUSED_AT_MOST]]

    assert said[-1] == "continuing without rental"
    assert not any(map(failover.is_open, many))


def test_machines_that_never_answer_are_not_paid_for_without_end() -> None:
    many = [offer(f"type-{number}") for number in range(IN_VAIN_AT_MOST + 1)]
    failover = Failover(offers=many)
    for one in many[: IN_VAIN_AT_MOST - 1]:
        failover.learn(ReadyTimeoutError("no answer"), one)

    with pytest.raises(ReadyTimeoutError, match="check that this network allows outgoing SSH"):
        failover.learn(ReadyTimeoutError("no answer"), many[IN_VAIN_AT_MOST - 1])


def test_a_lost_worker_is_begun_again_once() -> None:
    failover = Failover(offers=[CHEAP])

    assert failover.learn_lost(WorkerLostError("gone"), "extract").startswith("running extract")
    with pytest.raises(WorkerLostError):
        failover.learn_lost(WorkerLostError("gone"), "extract")


def test_the_next_try_is_said_when_it_is_made_and_not_before() -> None:
    said: list[tuple[str, str]] = []
    with FailoverNotices(lambda stage, text: said.append((stage, text))) as news:
        news.tried()
        news.hold("extract", CapacityError("sold out"), "trying the next offer")
        assert said == []
        news.tried()
        assert said == [("extract", "sold out; trying the next offer")]

        news.hold("extract", CapacityError("over quota"), "trying the next offer")

    assert said[1:] == [("extract", "over quota")]


def test_what_went_wrong_is_said_also_when_something_else_ends_the_trying() -> None:
    said: list[str] = []

    def go() -> None:
        with FailoverNotices(lambda _, text: said.append(text)) as news:
            news.hold("extract", MateriaError("sold out"), "trying the next offer")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go()
    assert said == ["sold out"]
