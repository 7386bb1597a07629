"""One source or many in materia.toml, and runs that are narrowed to some of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes.config_registry import REGISTRY, plugin
from materia.errors import ConfigError
from materia_runner.config.load import load_config
from materia_runner.config.pipeline import narrowed


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


def test_a_run_is_narrowed_to_sources_of_the_pipeline_in_their_order(tmp_path: Path) -> None:
    pipeline = replace(
        load_config(REGISTRY, path=None, start=tmp_path), sources=("acme", "ecb", "cot")
    )

    assert narrowed(pipeline, ["cot", "acme"]).fetched == ("acme", "cot")
    assert narrowed(pipeline, ["cot", "ecb", "acme"]).only == ()
    assert narrowed(pipeline, []).fetched == pipeline.sources
    with pytest.raises(ConfigError, match=r"--source ebc: no source of this pipeline .*'ecb'"):
        narrowed(pipeline, ["ebc"])
