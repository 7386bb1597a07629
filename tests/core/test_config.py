from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.config_registry import REGISTRY, plugin
from fakes.workshop import Workshop
from materia.compute import Money
from materia.errors import ConfigError, MateriaError, PluginError
from materia.plugins import Registry
from materia_runner.config.load import load_config
from materia_runner.config.parse import parse_providers
from materia_runner.config.pipeline import Bucket, Budget


def refusal(tmp_path: Path, text: str) -> str:
    """What is said of a materia.toml of this text, after the name of the file."""
    path = tmp_path / "materia.toml"
    path.write_text(text)
    with pytest.raises(MateriaError) as raised:
        load_config(REGISTRY, path=None, start=tmp_path)

    assert raised.value.exit_code == 2
    file, _, said = str(raised.value).partition(": ")
    assert file == str(path)
    return said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sorce = 'acme'", "unknown key sorce (did you mean 'source'?); known keys: artifacts, "),
        ("source = 3", "source must be text, is 3"),
        ("source = []", "source must be the name of a source, or a list of names, is []"),
        ("source = ['acme', 3]", "source must be a list of text, is ['acme', 3]"),
        ("source = ['acme', 'acne']", "source: unknown source 'acne' (did you mean 'acme'?); inst"),
        ("sources = ['acne']", "sources: unknown source 'acne' (did you mean 'acme'?); installed"),
        (
            "source = 'acme'\nsources = ['acme']",
            "source and sources are both given: keep one, source = [...]",
        ),
        (
            "source = ['acme']\nsources = ['acme']",
            "source and sources are both given: keep one, source = [...]",
        ),
        ("[source.acme]", "source must be the name of a source; settings belong under [sources.<n"),
        (
            "provider = 'ovh'",
            "provider: unknown provider 'ovh'; installed: local, other; to add it: `uv",
        ),
        (
            "[sources.acme]\nfolder = 2006-08-01",
            "sources.acme.folder must be text, is the date 2006-08-01",
        ),
        ("[stages.extract]\nvcpus = true", "stages.extract.vcpus must be a whole number from 1 up"),
        ("source = ''", "source must be non-empty text, is ''"),
        ("source = 'acne'", "source: unknown source 'acne' (did you mean 'acme'?); installed: "),
        ("provider = 'locl'", "provider: unknown provider 'locl' (did you mean 'local'?)"),
        ("sink = 'twin'", "sink: two plugins declare the sink 'twin': acme.twin and acme.twin;"),
        ("source = 'broken'", "source: the source 'broken' cannot be loaded from acme.broken: Imp"),
        ("stages = 1", "stages must be a table, is 1"),
        ("[stages.extrct]", "unknown key stages.extrct (did you mean 'extract'?); known keys: ext"),
        ("[stages.extract]\nvcpus = '4'", "stages.extract.vcpus must be a whole number from 1 up"),
        ("[stages.extract]\nmemory = 8", "unknown key stages.extract.memory (did you mean 'memory"),
        (
            "[stages.extract]\narchitectures = ['arm']",
            "stages.extract.architectures must be a list of x86_64 and arm64, is ['arm']",
        ),
        ("provider = ['local', 3]", "provider must be a list of text, is ['local', 3]"),
        (
            "provider = []",
            'provider must be the name of a provider, a list of names, or "auto", is []',
        ),
        ("provider = ['auto', 'local']", 'provider must be "auto" or a list of names, not both'),
        (
            "provider = ['local', 'locl']",
            "provider: unknown provider 'locl' (did you mean 'local'?",
        ),
        ("provider = 3", "provider must be text, is 3"),
        ("budget = 3", "budget must be a table, is 3"),
        ("[budget]\nrun = -1", 'budget.run must be a number from 0 up, for example "0.50", is -1'),
        ("[budget]\nrun = '1e99'", "budget.run must be at most 1,000,000,000,000, is '1e99'"),
        (
            "[stages.extract]\nminutes = 100000001",
            "stages.extract.minutes must be at most 100,000,000, is 100000001",
        ),
        ("[budget]\nrun = '1 EUR'", "budget.run must be a number from 0 up, for example"),
        ("[budget]\nrun = nan", "budget.run must be a number from 0 up, for example"),
        ("[budget]\nmontly = 3", "unknown key budget.montly (did you mean 'monthly'?)"),
        (
            "[artifacts]\nregion = 'x'",
            'artifacts.bucket must be an address like "s3://bucket/prefix", is missing',
        ),
        ("[artifacts]\nbucket = 'b'", 'artifacts.bucket must be an address like "s3://bucket/pre'),
        ("[artifacts]\nbucket = 's3:///'", 'artifacts.bucket must be an address like "s3://bucket'),
        (
            "[artifacts]\nbucket = 's3://b'\nchannel = '../prod'",
            "artifacts.channel must be a name in lower-case letters, digits, - and _, at most 40",
        ),
        ("name = 'Coffee'", "name must be a name in lower-case letters, digits, - and _"),
        (
            "[artifacts]\nbucket = 's3://b'\nendpoint = 'host'",
            "artifacts.endpoint must be an address that begins with \"https://\", is 'host'",
        ),
        ("[secrets]\nesc = 'prod'", 'secrets.esc must be an environment like "organization/proj'),
        ("[secrets]\nesc = 'a//b'", 'secrets.esc must be an environment like "organization/proj'),
        (
            "[stages.extract]\nminutes = 30\ndeadline_minutes = 20",
            "stages.extract.deadline_minutes must be at least minutes, which is 30, is 20",
        ),
        (
            "[stages.extract]\noutput_gib = true",
            "stages.extract.output_gib must be a number from 0 up",
        ),
        ("[transform]\nproject = 'x'", "transform.project must be the folder of a SQLMesh project"),
        ("[sources.acne]", "sources.acne: unknown source 'acne' (did you mean 'acme'?)"),
        ("[sinks.twin]", "sinks.twin: two plugins declare the sink 'twin'"),
        ("[sources.acme]\nfodler = 'x'", "unknown key sources.acme.fodler (did you mean 'folder'?"),
        ("[sources.acme]\nfolder = ['x']", "sources.acme.folder must be text, is ['x']"),
        ("[sources.acme]\nfolder = ''", "sources.acme.folder must be non-empty text, is"),
        ("[sources.acme]\nthreads = 1.5", "sources.acme.threads must be a whole number from 1 up"),
        ("[sources.acme]\nthreads = 0", "sources.acme.threads must be a whole number from 1 up"),
        ("[sources.acme]\nstrict = 1", "sources.acme.strict must be true or false, is 1"),
        ("[sources.acme]\nnames = 'x'", "sources.acme.names must be a list of text, is 'x'"),
        ("[sources.acme]\nnames = ['x', 1]", "sources.acme.names must be a list of text, is"),
        ("source = ", "is not valid TOML: Invalid value (at "),
        ("source = 'a'\nsource = 'b'", "is not valid TOML: Cannot overwrite a value"),
    ],
)
def test_a_mistake_names_file_key_what_is_there_and_what_is_meant(
    tmp_path: Path, text: str, said: str
) -> None:
    assert refusal(tmp_path, text).startswith(said)


def test_bytes_that_are_no_text_are_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "materia.toml"
    path.write_bytes(b"source = '\xff'")

    with pytest.raises(ConfigError, match=r"is not valid TOML: .*utf-8"):
        load_config(REGISTRY, path=path, start=tmp_path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "materia.toml"
    path.write_text("source = 'acme'\n", encoding="utf-8-sig")

    assert load_config(REGISTRY, path=path, start=tmp_path).sources == ("acme",)


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "materia.toml").symlink_to("gone.toml")

    with pytest.raises(ConfigError, match=r"materia\.toml: cannot be read: No such file"):
        load_config(REGISTRY, path=None, start=tmp_path)


def test_a_folder_of_that_name_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "materia.toml").mkdir()

    with pytest.raises(ConfigError, match="must be a file, is a folder"):
        load_config(REGISTRY, path=None, start=tmp_path)


def test_without_a_file_all_has_its_default(tmp_path: Path) -> None:
    pipeline = load_config(REGISTRY, path=None, start=tmp_path)

    assert (pipeline.sources, pipeline.sink) == (("acme",), "duckdb")
    assert pipeline.providers == ("local",)
    assert [stage.name for stage in pipeline.stages] == ["extract", "transform"]
    assert pipeline.settings["source", "acme"] == {
        "folder": "in",
        "note": "",
        "threads": 4,
        "strict": False,
        "names": ("a",),
    }
    assert pipeline.project is None
    assert pipeline.file is None


def test_without_a_file_a_subfolder_of_a_clone_has_the_pipeline_of_the_clone(
    tmp_path: Path,
) -> None:
    project = tmp_path / "transform" / "sqlmesh_materia"
    deep = tmp_path / "tests" / "core"
    project.mkdir(parents=True)
    deep.mkdir(parents=True)
    pipeline = load_config(REGISTRY, path=None, start=deep)

    assert (pipeline.directory, pipeline.project) == (tmp_path, project)


def test_every_key_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    path = tmp_path / "materia.toml"
    path.write_text(
        """
        source = "acme"
        [transform]
        project = "models"
        [stages.transform]
        vcpus = 8
        memory_gib = 32
        disk_gib = 50
        architectures = ["arm64"]
        dedicated = true
        minutes = 3
        deadline_minutes = 30
        output_gib = 2.5
        [budget]
        run = "0.50"
        monthly = 20
        [artifacts]
        bucket = "s3://acme/materia/"
        endpoint = "https://s3.example"
        region = "eu"
        channel = "prod"
        own_key = true
        [secrets]
        esc = "acme/beanflows/prod"
        [sources.acme]
        folder = "x"
        note = ""
        threads = 2
        strict = true
        names = []
        """
    )

    pipeline = load_config(REGISTRY, path=path, start=Path("/"))

    needs = pipeline.stages[1].requirements
    assert (needs.vcpus, needs.memory_gib, needs.disk_gib) == (8, Decimal(32), 50)
    assert (needs.architectures, needs.dedicated) == (("arm64",), True)
    assert needs.expected == timedelta(minutes=3)
    extract, transform = pipeline.stages
    assert (transform.deadline, transform.output_gib) == (timedelta(minutes=30), Decimal("2.5"))
    assert (transform.minutes_configured, transform.deadline_configured) == (True, True)
    assert (extract.deadline, extract.output_gib) == (timedelta(hours=1), Decimal(1))
    assert (extract.minutes_configured, extract.deadline_configured) == (False, False)
    assert pipeline.budget == Budget(
        max_cost=Money(Decimal("0.50"), "EUR"), monthly=Money(Decimal(20), "EUR")
    )
    assert pipeline.artifacts == Bucket(
        url="s3://acme/materia",
        endpoint="https://s3.example",
        region="eu",
        channel="prod",
        own_key=True,
    )
    assert pipeline.name == "acme"  # of its source
    assert pipeline.esc == "acme/beanflows/prod"
    assert pipeline.project == tmp_path / "models"
    assert pipeline.directory == tmp_path
    assert pipeline.file == path
    assert pipeline.settings["source", "acme"] == {
        "folder": "x",
        "note": "",
        "threads": 2,
        "strict": True,
        "names": (),
    }


@pytest.mark.parametrize(
    ("text", "cap"),
    [
        ("", Money(Decimal(1), "EUR")),
        ("[budget]\nmonthly = 20", Money(Decimal(1), "EUR")),
        ("[budget]\nrun = 5", Money(Decimal(5), "EUR")),
        ("[budget]\nrun = 0", Money(Decimal(0), "EUR")),
        ("[currency]\ncode = 'USD'", None),
        (
            "[currency]\ncode = 'USD'\n[currency.rates.EUR]\nworth = '1.25'\ndate = 2026-11-20",
            Money(Decimal("1.25"), "USD"),
        ),
    ],
)
def test_a_run_costs_at_most_one_euro_unless_the_budget_says_otherwise(
    tmp_path: Path, text: str, cap: Money | None
) -> None:
    (tmp_path / "materia.toml").write_text(text)

    assert load_config(REGISTRY, path=None, start=tmp_path).budget.max_cost == cap


def test_notifications_are_chosen_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "materia.toml").write_text("[notify]\nsweeps = true")

    assert load_config(REGISTRY, path=None, start=tmp_path).notify == ("sweep",)


@pytest.mark.parametrize(
    ("text", "providers"),
    [
        ("", ("local",)),
        ("provider = 'auto'", ()),
        ("provider = 'local'", ("local",)),
        ("provider = ['local']", ("local",)),
        ("provider = ['other', 'local', 'other']", ("other", "local")),
    ],
)
def test_providers_are_one_several_or_all_that_rent(
    tmp_path: Path, text: str, providers: tuple[str, ...]
) -> None:
    (tmp_path / "materia.toml").write_text(text)

    assert load_config(REGISTRY, path=None, start=tmp_path).providers == providers


@pytest.mark.parametrize(
    ("given", "providers"),
    [
        (["auto"], ()),
        (["local"], ("local",)),
        (["other,local"], ("other", "local")),
        (["other, local,", "other"], ("other", "local")),
    ],
)
def test_the_option_names_one_several_or_all_that_rent(
    given: list[str], providers: tuple[str, ...]
) -> None:
    assert parse_providers(given, REGISTRY) == providers


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["auto,local"], "--provider auto,local: auto means all that rent machines and have cre"),
        ([","], '--provider must be "auto" or names of providers, is empty'),
        (["local,locl"], r"unknown provider 'locl' \(did you mean 'local'\?\)"),
    ],
)
def test_a_mistake_in_the_option_is_told(given: list[str], said: str) -> None:
    with pytest.raises(MateriaError, match=said) as raised:
        parse_providers(given, REGISTRY)

    assert raised.value.exit_code == 2


def test_a_stage_has_six_times_as_long_as_it_is_thought_to_take(tmp_path: Path) -> None:
    (tmp_path / "materia.toml").write_text("[stages.extract]\nminutes = 30")

    extract = load_config(REGISTRY, path=None, start=tmp_path).stages[0]

    assert extract.deadline == timedelta(hours=3)


def test_a_cap_is_in_the_currency_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "materia.toml").write_text('[currency]\ncode = "USD"\n[budget]\nrun = 0.1')

    budget = load_config(REGISTRY, path=None, start=tmp_path).budget

    assert budget == Budget(max_cost=Money(Decimal("0.1"), "USD"))


def test_a_plugin_that_is_not_used_may_be_missing(tmp_path: Path) -> None:
    empty = Registry(found=(), failures=())

    assert load_config(empty, path=None, start=tmp_path).sources == ("",)
    with pytest.raises(PluginError, match="unknown source 'psdonline'; installed: none"):
        empty.source("psdonline")


def test_what_materia_toml_does_not_name_is_the_one_plugin_that_is_the_default() -> None:
    first, second = plugin("source", "a", default=True), plugin("source", "b", default=True)
    other = plugin("source", "c")

    assert Registry(found=(first, other), failures=()).default("source") == "a"
    assert Registry(found=(other,), failures=()).default("source") == ""
    assert Registry(found=(first, second), failures=()).default("source") == ""


def test_without_a_name_and_without_a_default_the_message_says_what_to_write() -> None:
    registry = Registry(found=(plugin("source", "a"), plugin("source", "b")), failures=())

    with pytest.raises(PluginError) as raised:
        registry.source(registry.default("source"))

    assert str(raised.value) == (
        "materia.toml names no source, and no installed source is the default: "
        "set source in materia.toml; installed: a, b"
    )


def test_what_a_plugin_says_of_its_settings_comes_with_the_file(workshop: Workshop) -> None:
    path = workshop.write("materia.toml", '[sources.psdonline]\nfirst_release = "yesterday"\n')

    ended = workshop.run("run")

    assert ended.returncode == 2
    assert ended.stderr.startswith(f"materia: {path}: sources.psdonline.first_release must be ")
    assert len(ended.stderr.splitlines()) == 1
