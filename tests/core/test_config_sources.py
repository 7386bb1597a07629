"""One source or many in materia.toml, and runs that are narrowed to some of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.config_registry import REGISTRY, plugin
from materia.errors import ConfigError
from materia_runner.config.load import load_config
from materia_runner.config.pipeline import SourceNeeds, narrowed


def test_one_source_or_a_list_of_them_each_once(tmp_path: Path) -> None:
    registry = replace(REGISTRY, found=(*REGISTRY.found, plugin("source", "ecb")))

    def sources(text: str) -> tuple[str, ...]:
        (tmp_path / "materia.toml").write_text(text)
        pipeline = load_config(registry, path=None, start=tmp_path)
        assert pipeline.name == pipeline.sources[0]
        return pipeline.sources

    assert sources("source = 'ecb'") == ("ecb",)
    assert sources("source = ['ecb', 'acme', 'ecb']") == ("ecb", "acme")
    assert sources("sources = ['acme', 'ecb']") == ("acme", "ecb")
    assert sources("source = ['acme', 'ecb']\n[sources.ecb]\nfolder = 'x'") == ("acme", "ecb")


def test_a_list_called_like_the_tables_of_settings_is_refused_with_the_right_key(
    tmp_path: Path,
) -> None:
    text = "sources = ['acme']\n[sources.acme]\nfolder = 'in'\n"
    (tmp_path / "materia.toml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_config(REGISTRY, path=None, start=tmp_path)
    said = str(refused.value)

    assert "is not valid TOML: " in said
    assert said.endswith(
        'sources is both a list and the tables [sources.NAME]: call the list "source"'
    )


def test_a_source_says_what_its_own_extract_needs(tmp_path: Path) -> None:
    text = """
source = ["acme"]
[sources.acme]
folder = "in"
[sources.acme.extract]
vcpus = 8
memory_gib = 64
disk_gib = 100
architectures = ["arm64"]
dedicated = true
minutes = 90
deadline_minutes = 120
output_gib = "0.5"
"""
    (tmp_path / "materia.toml").write_text(text)

    pipeline = load_config(REGISTRY, path=None, start=tmp_path)

    assert pipeline.settings["source", "acme"]["folder"] == "in"
    assert pipeline.source_needs == {
        "acme": SourceNeeds(
            vcpus=8,
            memory_gib=Decimal(64),
            disk_gib=100,
            architectures=("arm64",),
            dedicated=True,
            expected=timedelta(minutes=90),
            deadline=timedelta(minutes=120),
            output_gib=Decimal("0.5"),
        )
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("memory = 8", "unknown key sources.acme.extract.memory (did you mean 'memory_gib'?)"),
        ("vcpus = 0", "sources.acme.extract.vcpus must be a whole number from 1 up, is 0"),
        ('architectures = ["z80"]', "sources.acme.extract.architectures must be a list of x86_64"),
        (
            "minutes = 9\ndeadline_minutes = 8",
            "sources.acme.extract.deadline_minutes must be at least minutes, which is 9, is 8",
        ),
    ],
)
def test_a_mistake_in_what_a_source_needs_is_named(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "materia.toml").write_text(f"[sources.acme.extract]\n{line}\n")

    with pytest.raises(ConfigError) as refused:
        load_config(REGISTRY, path=None, start=tmp_path)

    assert said in str(refused.value)


def test_a_run_is_narrowed_to_sources_of_the_pipeline_in_their_order(tmp_path: Path) -> None:
    pipeline = replace(
        load_config(REGISTRY, path=None, start=tmp_path), sources=("acme", "ecb", "cot")
    )

    assert narrowed(pipeline, ["cot", "acme"]).fetched == ("acme", "cot")
    assert narrowed(pipeline, ["cot", "ecb", "acme"]).only == ()
    assert narrowed(pipeline, []).fetched == pipeline.sources
    with pytest.raises(ConfigError, match=r"--source ebc: no source of this pipeline .*'ecb'"):
        narrowed(pipeline, ["ebc"])
