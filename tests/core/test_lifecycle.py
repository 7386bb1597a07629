from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.rental import Rental, offer
from materia.compute import Instance, InstanceRequest
from materia.errors import (
    ConfigError,
    CredentialsError,
    LedgerError,
    OrphanError,
    ProviderError,
)
from materia_runner.rental.lifecycle import destroy, rented_instance
from materia_runner.signals import Interrupts

STEPS = ("requesting", "created", "ready", "destroying", "delayed", "gone")


@dataclass
class Written:
    """A life that cannot write down one of its steps."""

    fails: str = ""
    steps: list[str] = field(default_factory=list)

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if name == self.fails:
            raise LedgerError("the disk is full")

    def requesting(self) -> None:
        self._step("requesting")

    def refused(self, _reason: str, /) -> None:
        self._step("refused")

    def undone(self, _made: str, /) -> None:
        self._step("undone")

    def created(self, _instance: Instance, /) -> None:
        self._step("created")

    def ready(self, _instance: Instance, /) -> None:
        self._step("ready")

    def destroying(self, _instance: Instance, /) -> None:
        self._step("destroying")

    def delayed(self, _instance: Instance, _reason: str, /) -> None:
        self._step("delayed")

    def gone(self, _instance: Instance, /) -> None:
        self._step("gone")


@dataclass
class Unreachable(Rental):
    """A rental whose provider does not answer the first destroys."""

    silent: int = 1

    def destroy_instance(self, instance: Instance, /) -> None:
        self.silent -= 1
        if self.silent >= 0:
            raise ProviderError("rental: no answer")
        super().destroy_instance(instance)


class Forbidding(Rental):
    """A rental whose provider no longer accepts the credentials."""

    def destroy_instance(self, instance: Instance, /) -> None:
        raise CredentialsError("rental: no")


REQUEST = InstanceRequest(
    name="materia-r-extract",
    run="r",
    stage="extract",
    offer=offer("small"),
    expires_at=datetime(2026, 11, 24, tzinfo=UTC),
)


@pytest.mark.parametrize("fails", STEPS)
def test_a_machine_is_destroyed_also_when_its_life_cannot_be_written_down(
    tmp_path: Path, fails: str
) -> None:
    rental = Unreachable(tmp_path)
    life = Written(fails)

    if fails == "delayed":  # what it says is lost, and nothing else
        with rented_instance(rental, REQUEST, Interrupts(), life, host_key=None):
            pass
    else:
        with (
            pytest.raises(LedgerError),
            rented_instance(rental, REQUEST, Interrupts(), life, host_key=None),
        ):
            pass

    assert rental.running == {}
    assert fails in life.steps


def test_every_step_is_told_before_its_effect_or_after_it(tmp_path: Path) -> None:
    life = Written()

    with rented_instance(Rental(tmp_path), REQUEST, Interrupts(), life, host_key=None):
        assert life.steps == ["requesting", "created", "ready"]

    assert life.steps == ["requesting", "created", "ready", "destroying", "gone"]


def test_a_provider_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    rental = Unreachable(tmp_path, silent=3)
    instance = rental.create_instance(REQUEST)
    reasons: list[str] = []

    destroy(rental, instance, patience=timedelta(seconds=20), delayed=reasons.append)

    assert rental.running == {}
    assert reasons == ["rental: no answer"]


def test_a_provider_that_never_answers_leaves_an_orphan_that_is_told(tmp_path: Path) -> None:
    rental = Unreachable(tmp_path, silent=1000)
    instance = rental.create_instance(REQUEST)

    with pytest.raises(OrphanError, match="still costs money: rental: no answer") as raised:
        destroy(rental, instance, patience=timedelta(seconds=0.05))

    assert "materia sweep" in str(raised.value)
    assert raised.value.exit_code == 3


def test_a_machine_whose_destroying_is_not_allowed_any_more_is_an_orphan(tmp_path: Path) -> None:
    rental = Forbidding(tmp_path)
    instance = rental.create_instance(REQUEST)

    with pytest.raises(OrphanError, match=r"still costs money: rental: no; .* they are accepted"):
        destroy(rental, instance, patience=timedelta(minutes=1))


@dataclass
class Faulty(Rental):
    """A rental whose provider has a fault: what it raises is no error of a provider."""

    fault: Exception = field(default_factory=KeyError)
    at: str = "destroy"

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        made = super().create_instance(request)
        if self.at == "create":
            raise self.fault
        return made

    def destroy_instance(self, instance: Instance, /) -> None:
        raise self.fault


@pytest.mark.parametrize("fault", [KeyError("id"), ConfigError("no such project")])
def test_a_fault_of_a_provider_at_the_end_is_no_end(tmp_path: Path, fault: Exception) -> None:
    rental = Faulty(tmp_path, fault=fault)
    instance = rental.create_instance(REQUEST)

    with pytest.raises(OrphanError, match="still costs money") as raised:
        destroy(rental, instance, patience=timedelta(seconds=0.05))

    assert str(fault) in str(raised.value)
    assert "materia sweep" in str(raised.value)


def test_a_fault_of_a_provider_after_it_made_a_machine_is_not_taken_for_a_refusal(
    tmp_path: Path,
) -> None:
    life = Written()

    with (
        pytest.raises(
            OrphanError, match=r"materia-r-extract may exist.* KeyError: .*materia sweep"
        ),
        rented_instance(Faulty(tmp_path, at="create"), REQUEST, Interrupts(), life, host_key=None),
    ):
        pass

    assert life.steps == ["requesting"]
