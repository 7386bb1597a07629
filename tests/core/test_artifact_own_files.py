from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from fakes.wheels import Shelf
from materia_runner.artifact.find import Target
from materia_runner.artifact.own_packages import own_files
from materia_runner.artifact.uv import Uv

ACME = Path(__file__).resolve().parents[1] / "third_party/materia-acme"
ARM = Target.of("3.12", "arm64")
X86 = Target.of("3.12", "x86_64")


def test_a_package_of_others_is_packed_from_its_folder_as_when_installed(tmp_path: Path) -> None:
    site = tmp_path / "site"
    subprocess.run(
        [
            *("uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable),
            *("--target", str(site), str(ACME)),
        ],
        check=True,
    )
    acme = PathDistribution(site / "materia_acme-1.0.0.dist-info")
    installed = own_files(acme, Uv(tmp_path))
    editable = json.dumps({"url": ACME.as_uri(), "dir_info": {"editable": True}})
    (site / "materia_acme-1.0.0.dist-info/direct_url.json").write_text(editable)
    built = own_files(acme, Uv(tmp_path))

    assert built == installed
    assert {
        "materia_acme/__init__.py",
        "materia_acme/models/models/staging/stg_acme__price.sql",
        "materia_acme-1.0.0.dist-info/entry_points.txt",
    } <= set(built)
    assert (site / "materia_acme/emulator.py").is_file()
    assert "materia_acme/emulator.py" not in built


@pytest.mark.parametrize(
    ("point", "unsent"),
    [
        ("acme.emulator:Cloud", {"acme/emulator.py"}),
        ("acme.emulator.service:Cloud", {"acme/emulator/__init__.py", "acme/emulator/service.py"}),
        ("acme.far.cloud:Cloud", {"acme/far/cloud.py"}),
        ("acme_cloud:Cloud", {"acme_cloud.py"}),
        ("acme:Cloud", set()),
    ],
)
def test_the_emulator_that_an_entry_point_names_stays_here_and_nothing_else_does(
    tmp_path: Path, point: str, unsent: set[str]
) -> None:
    sources = {
        "acme/__init__.py",
        "acme/emulator.py",
        "acme/emulator/__init__.py",
        "acme/emulator/service.py",
        "acme/emulators.py",
        "acme/far/cloud.py",
        "acme/far/near.py",
        "acme_cloud.py",
    }
    if "service" in point:  # a package in the place of a module
        sources.remove("acme/emulator.py")
    else:
        sources -= {"acme/emulator/__init__.py", "acme/emulator/service.py"}
    points = f"[materia]\nacme = acme\n[materia.emulators]\nacme = {point}\n"
    acme = Shelf(tmp_path).install(
        "acme",
        files={**dict.fromkeys(sources, ""), "acme-1.0.dist-info/entry_points.txt": points},
    )

    sent = {path for path in own_files(acme, Uv(tmp_path)) if path.endswith(".py")}

    assert sources - sent == unsent
