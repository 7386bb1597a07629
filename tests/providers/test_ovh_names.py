"""The owner is written into an instance's name at OVHcloud, and is read back from there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia.errors import ProviderError
from materia_ovh.names import read_name, write_name
from materia_providers.labels import Owner

WORDS = st.from_regex(r"[A-Za-z0-9._]{1,12}(-[A-Za-z0-9._]{1,12}){0,3}", fullmatch=True)


@given(
    name=st.from_regex(r"materia-[a-z0-9]([a-z0-9-]{0,53}[a-z0-9])?", fullmatch=True),
    run=WORDS,
    stage=WORDS,
    second=st.integers(min_value=10**9, max_value=10**11 - 1),
)
def test_a_name_is_read_back_as_it_was_written_or_refused(
    name: str, run: str, stage: str, second: int
) -> None:
    expires_at = datetime.fromtimestamp(second, UTC)
    owner = Owner(name=name, run=run, stage=stage, expires_at=expires_at)
    try:
        written = write_name(owner)
    except ProviderError:
        assert "--" in name
        return

    assert read_name(written) == owner


@pytest.mark.parametrize(
    "name",
    [
        "materia-web",
        "materia-20261001t000000-abcdef-extract",
        "build--1--2--3",
        "a--b--c--materia",
        "a--b--c--materia12",
        "--b--c--materia1795510500",
        "A Name--b--c--materia1795510500",
    ],
)
def test_a_strangers_name_is_not_materias(name: str) -> None:
    assert read_name(name) is None
