"""The contract finds a provider that breaks a promise: each of these breaks one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
MODULE = """
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from fakes.failing_folder import failing_folder
from materia.errors import OrphanError, ProviderError
from materia.compute import Money, Requirements
from materia_testing.contracts.provider import ProviderContract
from materia_local.provider import Local


class Breaking(Local):
{fault}


class TestBreaking(ProviderContract):
    @pytest.fixture
    def world(self, tmp_path):
        with failing_folder(tmp_path / "workers") as folder:
            yield folder

    @pytest.fixture
    def open_provider(self, tmp_path):
        return lambda: Breaking(tmp_path / "workers")

    @pytest.fixture
    def needs(self):
        return Requirements(vcpus=1, memory_gib=Decimal(1), disk_gib=1)
"""
FAULTS = {
    "destroy does nothing": (
        """
    def destroy_instance(self, instance, /):
        pass
""",
        "test_nothing_is_left_when_destroy_returns",
    ),
    "destroy fails the second time": (
        """
    def destroy_instance(self, instance, /):
        if not any(one.name == instance.name for one in self.list_instances()):
            raise ProviderError("it is not there")
        super().destroy_instance(instance)
""",
        "test_an_instance_that_is_gone_already_is_not_an_error",
    ),
    "destroy removes everything": (
        """
    def destroy_instance(self, instance, /):
        for one in self.list_instances():
            super().destroy_instance(one)
""",
        "test_the_instances_of_other_runs_stay",
    ),
    "giving up is not said to cost money": (
        """
    def destroy_instance(self, instance, /):
        try:
            super().destroy_instance(instance)
        except OrphanError as error:
            raise ProviderError(str(error)) from error
""",
        "test_giving_up_is_an_error_that_says_what_remains",
    ),
    "the same name makes a second": (
        """
    def create_instance(self, request, /):
        count = len(self.list_instances())
        return super().create_instance(replace(request, name=f"{request.name}-{count}"))
""",
        "test_the_same_name_again_adopts_and_never_makes_a_second",
    ),
    "the run is forgotten": (
        """
    def list_instances(self):
        return [replace(one, run="") for one in super().list_instances()]
""",
        "test_an_instance_carries_its_name_run_stage_and_expiry",
    ),
    "a list that cannot be read is empty": (
        """
    def list_instances(self):
        try:
            return super().list_instances()
        except ProviderError:
            return []
""",
        "test_a_list_that_cannot_be_read_is_an_error_and_never_a_shorter_list",
    ),
    "an error of the operating system gets out": (
        """
    def create_instance(self, request, /):
        try:
            return super().create_instance(request)
        except ProviderError as error:
            raise error.__cause__ from None
""",
        "test_a_create_that_fails_leaves_nothing",
    ),
    "there are no offers and no reason": (
        """
    def offers(self, requirements, /):
        return [] if requirements.vcpus > 1000 else super().offers(requirements)
""",
        "test_when_nothing_can_do_it_there_is_an_answer_or_a_reason",
    ),
    "the currency changes as it likes": (
        """
    def offers(self, requirements, /):
        wrong = {"EUR": "USD", "USD": "EUR"}[requirements.currency]
        return [
            replace(one, hourly=Money(Decimal(0), wrong)) for one in super().offers(requirements)
        ]
""",
        "test_the_currency_is_the_one_asked_for_or_always_the_same",
    ),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What one pytest says of all of them, each under the test of its promise."""
    folder = tmp_path_factory.mktemp("breaking")
    chosen = []
    for number, (code, expected) in enumerate(FAULTS.values()):
        module = folder / f"test_{number}.py"
        module.write_text(MODULE.format(fault=code))
        chosen.append(f"{module}::TestBreaking::{expected}")
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider"),
            *("-o", f"pythonpath={TESTS}", "--rootdir", str(folder), "-c", "/dev/null", *chosen),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    ).stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_promise_fails_the_test_of_it(fault: str, report: str) -> None:
    number = list(FAULTS).index(fault)

    failed = set(re.findall(rf"^FAILED .*\btest_{number}\.py::.*::(\w+)", report, re.MULTILINE))
    assert failed == {FAULTS[fault][1]}, report
