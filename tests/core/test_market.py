"""Who takes part in a run, and what is refused before anybody is asked."""

from __future__ import annotations

import pytest
from fakes.workshop import Workshop

SHY = """
from materia import Plugin, hookimpl

def never(*_):
    raise AssertionError("it was asked")

@hookimpl
def materia_providers():
    return [
        Plugin(
            name="shy",
            summary="has public prices, and rents to those it knows",
            open=never,
            secrets=("SHY_KEY", "SHY_SECRET"),
            public_offers=never,
        )
    ]
"""


def test_a_provider_without_credentials_is_left_out_and_its_public_prices_are_not_asked_for(
    workshop: Workshop,
) -> None:
    workshop.module("shy", SHY)
    workshop.install("shy", "shy")

    alone = workshop.run("plan", "--provider", "shy")
    beside = workshop.run("plan", "--provider", "shy,local")

    assert (alone.returncode, beside.returncode) == (2, 0), beside.stderr
    assert alone.stderr == "materia: shy: set SHY_KEY and SHY_SECRET to use it\n"
    assert "shy: set SHY_KEY and SHY_SECRET to use it" in beside.stdout


@pytest.mark.parametrize("value", ["mirror", "./mirror", "file:///mirror"])
def test_a_source_that_reads_a_folder_is_not_run_on_a_rented_machine(
    workshop: Workshop, value: str
) -> None:
    workshop.write("mirror/2024/01/readme", "")
    workshop.write("materia.toml", f'[sources.psdonline]\nbase_url = "{value}"\n')

    ended = workshop.run("run", "--provider", "hetzner")

    assert ended.returncode == 2
    assert (
        f"sources.psdonline.base_url is the folder {value}, which is on this mach" in ended.stderr
    )
    assert "--provider local" in ended.stderr


def test_a_worker_by_hand_has_nothing_to_do_with_the_source(workshop: Workshop) -> None:
    workshop.write("mirror/2024/01/readme", "")
    workshop.write("materia.toml", '[sources.psdonline]\nbase_url = "mirror"\n')

    ended = workshop.run("worker", "create", "--provider", "hetzner")

    assert ended.stderr == "materia: hetzner: set HCLOUD_TOKEN to use it\n"


def test_the_sample_comes_along_and_an_address_is_reached_from_anywhere(workshop: Workshop) -> None:
    plans = []
    for text, options in (("mirror", ["--sample"]), ("https://example.org/mirror", [])):
        workshop.write("materia.toml", f'[sources.psdonline]\nbase_url = "{text}"\n')
        plans.append(workshop.run("plan", "--provider", "hetzner", *options).stderr)

    assert plans == ["materia: hetzner: set HCLOUD_TOKEN to use it\n"] * 2
