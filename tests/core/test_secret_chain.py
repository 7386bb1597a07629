from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from fakes.esc import TOKEN, Esc, Secret
from hypothesis import given
from hypothesis import strategies as st
from materia_runner.bundled import load_registry
from materia_runner.cli.context import load_environment
from materia_runner.config.parse import parse_config
from materia_runner.config.secret_needs import Need, unmet
from materia_runner.secrets.resolve import Resolved, resolve
from materia_testing.emulation import Fault

NAME = "acme/beanflows/prod"


@pytest.fixture
def esc() -> Iterator[Esc]:
    with Esc() as service:
        service.environments[NAME] = {"environmentVariables": {"A": Secret("esc-a"), "B": "esc-b"}}
        yield service


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    return env(tmp_path, "B=file-b\nC=file-c\n")


def env(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / ".env"
    path.write_text(text)
    path.chmod(mode)
    return path


def found(resolved: Resolved, *names: str) -> list[tuple[str | None, str | None]]:
    return [(resolved.values.get(name), resolved.origin.get(name)) for name in names]


def test_the_first_place_that_has_a_name_is_used(esc: Esc, dotenv: Path) -> None:
    environment = {"C": "env-c", "D": "", "OTHER": "kept", **esc.secrets()}

    resolved = resolve(environment, names=["A", "B", "C", "D"], dotenv=dotenv, esc=NAME)

    assert found(resolved, "A", "B", "C", "D") == [
        ("esc-a", "Pulumi ESC"),
        ("file-b", ".env"),
        ("env-c", "environment"),
        ("", None),
    ]
    assert resolved.values["OTHER"] == "kept"
    assert resolved.problems == ()


def test_what_nobody_wants_stays_where_it_is(esc: Esc, dotenv: Path) -> None:
    resolved = resolve(esc.secrets(), names=["A"], dotenv=dotenv, esc=NAME)

    assert dict(resolved.values) == {**esc.secrets(), "A": "esc-a"}


def test_nobody_is_asked_when_nothing_is_missing(esc: Esc, dotenv: Path) -> None:
    dotenv.write_text("not read\n")
    environment = {**esc.secrets(), "A": "env-a"}

    resolved = resolve(environment, names=["A"], dotenv=dotenv, esc=NAME)

    assert resolved.problems == ()
    assert esc.exchanges == []


def test_esc_is_not_asked_for_what_the_file_has(esc: Esc, dotenv: Path) -> None:
    resolve(esc.secrets(), names=["B", "C"], dotenv=dotenv, esc=NAME)

    assert esc.exchanges == []


def test_esc_is_asked_once_for_all_names(esc: Esc, dotenv: Path) -> None:
    resolve(esc.secrets(), names=["A", "X", "Y", "Z"], dotenv=dotenv, esc=NAME)

    assert len(esc.exchanges) == 2


def test_the_token_may_be_in_the_file_and_stays_there(esc: Esc, tmp_path: Path) -> None:
    dotenv = env(tmp_path, f"PULUMI_ACCESS_TOKEN={TOKEN}\nPULUMI_BACKEND_URL={esc.url}\n")

    resolved = resolve({}, names=["A"], dotenv=dotenv, esc=NAME)

    assert dict(resolved.values) == {"A": "esc-a"}


def test_without_a_token_it_says_which_variable(esc: Esc) -> None:
    resolved = resolve({}, names=["A"], dotenv=None, esc=NAME)

    assert resolved.problems == (
        f"Pulumi ESC {NAME} was not read: set PULUMI_ACCESS_TOKEN to use it",
    )
    assert esc.exchanges == []


def test_esc_that_fails_leaves_what_was_found(esc: Esc, dotenv: Path) -> None:
    esc.faults.next("POST", "*", Fault(error="unauthorized"))

    resolved = resolve(esc.secrets(), names=["A", "C"], dotenv=dotenv, esc=NAME)

    assert found(resolved, "A", "C") == [(None, None), ("file-c", ".env")]
    [problem] = resolved.problems
    assert problem.startswith(f"Pulumi ESC {NAME} cannot be read: PULUMI_ACCESS_TOKEN was refused")


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        (
            {"A": Secret("x")},
            "has A outside of its environmentVariables; move it into environmentVariables",
        ),
        ({}, "has no environmentVariables; add the secrets there"),
        ({"environmentVariables": {"B": "x"}}, ""),
    ],
)
def test_a_name_in_another_place_of_esc_is_told(
    esc: Esc, properties: Mapping[str, object], problem: str
) -> None:
    esc.environments[NAME] = dict(properties)

    resolved = resolve(esc.secrets(), names=["A"], dotenv=None, esc=NAME)

    assert problem in "".join(resolved.problems)
    assert bool(problem) == bool(resolved.problems)


def test_a_file_for_everybody_is_told_when_it_gave_a_secret(tmp_path: Path) -> None:
    dotenv = env(tmp_path, "A=file-a\n", 0o644)

    assert resolve({}, names=["B"], dotenv=dotenv, esc=None).problems == ()
    [problem] = resolve({}, names=["A"], dotenv=dotenv, esc=None).problems
    assert (
        problem == f"{dotenv} is readable by every user on this machine; run: `chmod 600 {dotenv}`"
    )


def test_a_command_that_looks_up_secrets_twice_warns_of_their_place_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env(tmp_path, "AWS_ACCESS_KEY_ID=planted-key-id\n", 0o644)
    registry = load_registry(bundled_only=True)
    settings = {"artifacts": {"bucket": "s3://acme/materia"}}
    pipeline = parse_config(settings, registry, name="materia.toml", directory=tmp_path)

    for _ in range(2):
        load_environment(registry, pipeline, using=(), bucket=True)

    assert capsys.readouterr().err.count("is readable by every user") == 1


PLACES = st.dictionaries(st.sampled_from("ABCD"), st.sampled_from(["", "1", "2"]))


@given(PLACES, PLACES)
def test_every_name_is_from_the_first_place_that_has_it(
    tmp_path_factory: pytest.TempPathFactory, first: dict[str, str], second: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    dotenv = env(folder, "".join(f"{name}={value}\n" for name, value in second.items()))

    resolved = resolve(first, names="ABCD", dotenv=dotenv, esc=None)

    for name in "ABCD":
        assert (resolved.values.get(name) or "") == (first.get(name) or second.get(name) or "")
        assert (name in resolved.origin) == bool(first.get(name) or second.get(name))


NEEDS = (
    Need(kind="source", name="psd", names=("S",)),
    Need(kind="sink", name="files", names=()),
    Need(kind="provider", name="one", names=("P", "Q")),
    Need(kind="provider", name="two", names=("R",)),
    Need(kind="provider", name="unused", names=("U",), in_use=False),
)


@pytest.mark.parametrize(
    ("found", "auto", "lacking"),
    [
        ("SPQR", True, []),
        ("SR", True, []),
        ("SR", False, ["one"]),
        ("SP", True, ["one", "two"]),
        ("PQ", True, ["psd"]),
        ("", False, ["psd", "one", "two"]),
    ],
)
def test_under_auto_one_provider_is_enough(found: str, auto: bool, lacking: list[str]) -> None:  # noqa: FBT001 -- parameters of the test
    assert [need.name for need in unmet(NEEDS, found, auto=auto)] == lacking
