from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.wheels import ARM_312, X86_312, Shelf
from materia.errors import ArtifactError, ConfigError
from materia.plugins import Registry
from materia_runner.artifact.assembly import assemble
from materia_runner.artifact.cache import ArtifactCache
from materia_runner.artifact.dependencies import find_closure
from materia_runner.artifact.find import Artifact, Target
from materia_runner.artifact.own_packages import own_files
from materia_runner.artifact.target import EXTRACT, WHOLE
from materia_runner.artifact.uv import Uv, find_uv
from materia_runner.config.parse import parse_config

ACME = Path(__file__).resolve().parents[1] / "third_party/materia-acme"
ARM = Target.of("3.12", "arm64")
X86 = Target.of("3.12", "x86_64")


class Workbench(Shelf):
    """A shelf, an installed plugin, and what is made of them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.said: list[str] = []
        self.kept = ArtifactCache(folder / "kept")
        project = folder / "project"
        (project / "models").mkdir(parents=True)
        (project / "models/one.sql").write_text("SELECT 1")
        (project / "dev.duckdb").write_text("large")
        registry = Registry(found=(), failures=())
        pipeline = parse_config({}, registry, name="materia.toml", directory=folder)
        self.pipeline = replace(pipeline, sources=("psdonline",), sink="duckdb", project=project)
        self.plugin("one = 1\n")

    def plugin(self, text: str, *requires: str) -> None:
        self.install(
            "plugin",
            requires=requires or ["thing"],
            files={"plugin/__init__.py": text, "plugin/__pycache__/x.pyc": "", "../bin/p": "#!"},
            direct_url='{"url": "file:///somewhere", "dir_info": {}}',
        )

    def build(
        self,
        target: Target = ARM,
        *,
        kept: ArtifactCache | None = None,
        stages: tuple[str, ...] = WHOLE,
    ) -> Artifact:
        return assemble(
            find_closure(
                ["plugin"], self.find, extras=("transform",) if "transform" in stages else ()
            ),
            target,
            self.pipeline,
            stages=stages,
            kept=kept or self.kept,
            uv=Uv(self.folder),
            say=self.said.append,
        )


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    made = Workbench(tmp_path)
    made.wheel("thing", "1.0", requires=["compiled"])
    made.wheel("compiled", "2.0", ARM_312)
    made.wheel("compiled", "2.0", X86_312)
    made.install("thing", "1.0", requires=["compiled"])
    made.install("compiled", "2.0")
    return made


def contents(artifact: Artifact) -> dict[str, str]:
    with gzip.open(artifact.path) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        return {
            entry.name: file.read().decode() for entry in tar if (file := tar.extractfile(entry))
        }


def test_it_holds_the_packages_for_the_target_the_plugin_and_the_project(
    workbench: Workbench,
) -> None:
    files = contents(workbench.build())

    assert set(files) == {
        "lib/compiled-2.0.dist-info/METADATA",
        "lib/compiled-2.0.dist-info/WHEEL",
        "lib/compiled/__init__.py",
        "lib/plugin-1.0.dist-info/METADATA",
        "lib/plugin/__init__.py",
        "lib/thing-1.0.dist-info/METADATA",
        "lib/thing-1.0.dist-info/WHEEL",
        "lib/thing/__init__.py",
        "manifest.json",
        "project/models/one.sql",
    }
    assert files["lib/compiled/__init__.py"] == f"TAG = {ARM_312!r}\n"
    assert str(workbench.folder) not in "".join(files.values())


def test_the_manifest_says_what_is_in_it(workbench: Workbench) -> None:
    manifest = json.loads(contents(workbench.build())["manifest.json"])

    assert manifest.pop("files").keys() >= {"lib/plugin/__init__.py", "project/models/one.sql"}
    assert manifest == {
        "architecture": "arm64",
        "format": 2,
        "left_out": [],
        "own": {"plugin": "1.0"},
        "packages": {"compiled": "2.0", "thing": "1.0"},
        "platform": "aarch64-manylinux_2_28",
        "project": "project",
        "python": "3.12",
        "sink": "duckdb",
        "source": "psdonline",
        "stages": ["extract", "transform"],
    }


def test_the_manifest_names_the_package_that_brings_the_project(workbench: Workbench) -> None:
    workbench.pipeline = replace(workbench.pipeline, project_package="acme-models 2.0")

    files = contents(workbench.build())

    assert json.loads(files["manifest.json"])["project"] == "acme-models 2.0"
    assert "project/models/one.sql" in files


def test_one_for_fetching_has_neither_the_extra_nor_the_project(workbench: Workbench) -> None:
    workbench.plugin("", "thing; extra == 'transform'")
    small, whole = workbench.build(stages=EXTRACT), workbench.build()

    files = contents(small)
    assert set(files) == {
        "lib/plugin-1.0.dist-info/METADATA",
        "lib/plugin/__init__.py",
        "manifest.json",
    }
    assert json.loads(files["manifest.json"])["stages"] == ["extract"]
    assert json.loads(files["manifest.json"])["project"] is None
    assert (small.stages, whole.stages) == (("extract",), ("extract", "transform"))
    assert contents(whole).keys() > files.keys() | {"lib/thing/__init__.py"}
    assert workbench.build(stages=EXTRACT) == small
    assert [line.partition(" for ")[0] for line in workbench.said] == [
        "building the worker artifact of extract alone",
        "building the worker artifact",
    ]


def test_it_is_named_by_the_hash_of_its_bytes_and_the_same_twice(workbench: Workbench) -> None:
    first = workbench.build()
    again = workbench.build(kept=ArtifactCache(workbench.folder / "elsewhere"))

    digest = hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert first.path.name == f"{digest}.tar.gz" == f"{first.sha256}.tar.gz"
    assert first.path != again.path
    assert first.path.read_bytes() == again.path.read_bytes()


def test_another_machine_gets_another(workbench: Workbench) -> None:
    arm, x86 = workbench.build(ARM), workbench.build(X86)

    assert contents(x86)["lib/compiled/__init__.py"] == f"TAG = {X86_312!r}\n"
    assert arm.sha256 != x86.sha256


def test_the_second_time_nothing_is_made(workbench: Workbench) -> None:
    first = workbench.build()
    workbench.said.clear()
    made_at = first.path.stat().st_mtime_ns

    assert workbench.build() == first
    assert first.path.stat().st_mtime_ns == made_at
    assert workbench.said == []


def test_a_change_of_code_leaves_the_packages(workbench: Workbench) -> None:
    first = workbench.build()
    workbench.plugin("two = 2\n")
    workbench.said.clear()
    second = workbench.build()

    assert contents(second)["lib/plugin/__init__.py"] == "two = 2\n"
    assert second.sha256 != first.sha256
    assert workbench.said == []


def test_a_change_of_the_project_makes_another(workbench: Workbench) -> None:
    first = workbench.build()
    (workbench.folder / "project/models/one.sql").write_text("SELECT 2")

    assert workbench.build().sha256 != first.sha256


@pytest.mark.parametrize("suffix", [".tar.gz", ".part.gz"])
def test_a_damaged_file_is_made_again(workbench: Workbench, suffix: str) -> None:
    first = workbench.build()
    whole = first.path.read_bytes()
    (file,) = workbench.kept.folder.glob(f"*{suffix}")
    file.write_bytes(whole[:100] + b"?" + whole[101:])

    assert workbench.build() == first
    assert first.path.read_bytes() == whole
    assert [path.suffix for path in workbench.kept.folder.iterdir() if path.is_dir()] == []


def test_a_note_that_was_cut_off_is_written_again(workbench: Workbench) -> None:
    first = workbench.build()
    for note in workbench.kept.folder.glob("*.json"):
        note.write_text(note.read_text()[:20])

    assert workbench.build() == first


def test_a_newer_version_is_not_taken_when_the_one_here_can_be_had(workbench: Workbench) -> None:
    workbench.wheel("thing", "1.1")

    assert "lib/thing-1.0.dist-info/METADATA" in contents(workbench.build())


def test_a_version_that_does_not_run_there_is_replaced_and_told(workbench: Workbench) -> None:
    workbench.wheel("compiled", "2.1", ARM_312.replace("312", "311"))
    workbench.install("compiled", "2.1")
    shutil.rmtree(workbench.site / "compiled-2.0.dist-info")

    assert "lib/compiled-2.0.dist-info/METADATA" in contents(workbench.build())
    assert "compiled is 2.0 for Python 3.12 on arm64, but 2.1 here" in workbench.said


def test_a_package_without_a_wheel_is_an_error_that_names_it(workbench: Workbench) -> None:
    workbench.source("lonely", "1.0")
    workbench.plugin("", "lonely")

    with pytest.raises(
        ArtifactError, match=r"Python 3\.12 on arm64: a package has no wheel"
    ) as said:
        workbench.build()
    assert "lonely" in str(said.value)


def test_a_package_that_is_nowhere_is_an_error_with_uvs_reason(workbench: Workbench) -> None:
    workbench.plugin("", "nowhere>=3")

    with pytest.raises(ArtifactError, match="nowhere was not found"):
        workbench.build()


def test_an_index_out_of_reach_is_an_error_that_says_so(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workbench.folder / "uv.toml").write_text(
        'index = [{ url = "http://127.0.0.1:1/simple", default = true }]\n'
    )
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(workbench.folder / "cache"))

    with pytest.raises(ArtifactError, match="the package index cannot be reached"):
        workbench.build()


def test_without_uv_it_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="`pip install uv`"):
        find_uv(str(tmp_path), tmp_path)


def test_uv_is_found_beside_python(tmp_path: Path) -> None:
    program = tmp_path / "uv"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    assert find_uv("", tmp_path) == str(program)


def test_a_compiled_plugin_comes_from_the_index_for_the_target(workbench: Workbench) -> None:
    workbench.install("plugin", requires=["thing"], files={"plugin/fast.so": "ELF"})
    workbench.wheel("plugin", "1.0", ARM_312, requires=["thing"])
    workbench.wheel("plugin", "2.0", ARM_312)

    files = contents(workbench.build())

    assert files["lib/plugin/__init__.py"] == f"TAG = {ARM_312!r}\n"
    assert "lib/plugin-1.0.dist-info/METADATA" in files
    assert "lib/compiled/__init__.py" in files


def test_a_plugin_that_is_compiled_from_its_folder_is_refused_with_what_to_do(
    tmp_path: Path,
) -> None:
    (tmp_path / "shelf").mkdir()
    folder = tmp_path / "mine"
    shutil.copytree(ACME, folder)
    (folder / "src/materia_acme/fast.so").write_text("ELF")
    editable = json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}})
    plugin = Shelf(tmp_path / "shelf").install("plugin", direct_url=editable)

    with pytest.raises(ConfigError, match=r"is compiled for this machine \(materia_acme/fast\.so"):
        own_files(plugin, Uv(tmp_path))


@pytest.mark.parametrize("python", ["3.10", "3.14", "three"])
def test_a_python_that_materia_does_not_run_on_is_refused(python: str) -> None:
    with pytest.raises(ConfigError, match=r"3\.11, 3\.12 or 3\.13, not"):
        Target.of(python, "x86_64")


def test_an_editable_package_whose_folder_is_gone_is_told(workbench: Workbench) -> None:
    gone = json.dumps({"url": "file:///gone", "dir_info": {"editable": True}})
    workbench.install("plugin", direct_url=gone)

    with pytest.raises(ArtifactError, match="cannot build plugin from /gone: the folder is gone"):
        workbench.build()


def test_a_package_without_a_list_of_files_is_packed_by_its_entry_points(
    workbench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unlisted").mkdir()
    (tmp_path / "unlisted/__init__.py").write_text("here = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    info = workbench.site / "plugin-1.0.dist-info"
    (info / "RECORD").unlink()
    (info / "entry_points.txt").write_text("[materia]\nplugin = unlisted\n")

    files = contents(workbench.build())

    assert files["lib/unlisted/__init__.py"] == "here = 1\n"
    assert files["lib/plugin-1.0.dist-info/entry_points.txt"] == "[materia]\nplugin = unlisted\n"


def test_what_was_not_used_for_long_is_deleted_when_another_is_made(workbench: Workbench) -> None:
    first = workbench.build()
    three_days_ago = time.time() - 3 * 86_400
    killed = workbench.kept.folder / ".packages-of-a-killed-build"
    (killed / "lib").mkdir(parents=True)
    for path in workbench.kept.folder.iterdir():
        os.utime(path, (three_days_ago, three_days_ago))
    workbench.plugin("two = 2\n")
    workbench.said.clear()
    second = workbench.build()

    assert [path.name for path in workbench.kept.folder.glob("*.tar.gz")] == [second.path.name]
    assert first.path != second.path
    assert not killed.exists()
    assert workbench.said == [], "the packages are kept longer"
