"""Who takes part in a run, and what is refused before anybody is asked."""

from __future__ import annotations

import tomllib
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.workshop import Workshop
from materia import Opening, Provider
from materia.plugins import InstalledPlugin
from materia_runner.bundled import load_registry
from materia_runner.cli.commands.machines.emulator import toml
from materia_runner.config.parse import parse_config
from materia_runner.planning.available_offers import asked_for, collect_offers
from materia_testing.emulation.services import service_class

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
        f"sources.psdonline.base_url is the folder {value} on this machine, which" in ended.stderr
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


ODD = """
from materia import Plugin, hookimpl

class Odd:
    def __init__(self, answer):
        self.answer = answer
    def offers(self, _):
        return self.answer
    list_instances = lambda self: self.answer
    def create_instance(self, request): ...
    def wait_for_ssh(self, instance, *, timeout): ...
    def destroy_instance(self, instance): ...

def fails(opening):
    raise KeyError("a fault of the plugin")

@hookimpl
def materia_providers():
    opens = {"none": lambda _: Odd(None), "number": lambda _: Odd(7), "texts": lambda _: Odd(["a"])}
    opens |= {"fails": fails}
    return [Plugin(name=name, summary="answers oddly", open=opens[name]) for name in opens]
"""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none", "none: its plugin failed: TypeError: 'NoneType' object is not iterable"),
        ("number", "number: its plugin failed: TypeError: 'int' object is not iterable"),
        ("fails", "fails: its plugin failed: KeyError: 'a fault of the plugin'"),
    ],
)
def test_a_fault_of_the_only_plugin_that_is_asked_is_said_in_a_sentence(
    workshop: Workshop, name: str, sentence: str
) -> None:
    workshop.module("odd", ODD)
    workshop.install("odd", "odd")

    ended = workshop.run("plan", "--provider", name)

    assert (ended.returncode, ended.stderr) == (1, f"materia: {sentence}\n")


def test_a_plugin_whose_machines_are_none_is_listed_with_its_fault(workshop: Workshop) -> None:
    workshop.module("odd", ODD)
    workshop.install("odd", "odd")

    ended = workshop.run("providers", "list")

    assert "Traceback" not in ended.stderr
    assert "number: its plugin failed: TypeError: 'int' object is not iterable" in ended.stdout
    assert "texts: its plugin failed: AttributeError: 'str' object has no" in ended.stdout


@pytest.mark.parametrize("names", [("hetzner",), ("hetzner", "oracle", "ovh", "scaleway")])
def test_a_provider_is_opened_once_and_asked_each_question_once(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    opened: Counter[str] = Counter()

    def counted(found: InstalledPlugin[Provider]) -> InstalledPlugin[Provider]:
        def opening(of: Opening) -> Provider:
            opened[found.plugin.name] += 1
            return found.plugin.open(of)

        return replace(found, plugin=replace(found.plugin, open=opening))

    registry = load_registry(bundled_only=True)
    counting = replace(
        registry,
        found=tuple(counted(one) if one.kind == "provider" else one for one in registry.found),
    )
    with ExitStack() as stack:
        clouds = {name: stack.enter_context(service_class(name)()) for name in names}
        secrets = {key: text for cloud in clouds.values() for key, text in cloud.secrets().items()}
        document = {
            "provider": list(names),
            "providers": {
                name: tomllib.loads(toml({name: cloud.settings()}))["providers"][name]
                for name, cloud in clouds.items()
            },
            "stages": {"transform": {"vcpus": 4, "memory_gib": 16}},
        }
        pipeline = parse_config(document, counting, name="materia.toml", directory=tmp_path)

        available = collect_offers(
            pipeline, counting, {**secrets, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        )
        listed = {name: provider.list_instances() for name, provider in available.providers.items()}

        asked = {
            name: Counter((one.method, one.target, one.body) for one in cloud.exchanges)
            for name, cloud in clouds.items()
        }

    assert len(asked_for(pipeline.stages)) > 1
    assert opened == Counter(names)
    assert listed.keys() == set(names)
    assert not any(listed.values())
    assert all(asked.values())
    repeated = [(name, *one) for name in names for one, times in asked[name].items() if times > 1]
    assert repeated == []
