"""Which materia.toml is read: the nearest one above, outside of shared folders."""

from __future__ import annotations

from pathlib import Path

from materia_runner.config.load import find_config
from materia_runner.config.project import above


def test_the_nearest_file_above_is_read(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "materia.toml").touch()

    assert find_config(deep) == tmp_path / "materia.toml"
    (deep / "materia.toml").touch()
    assert find_config(deep) == deep / "materia.toml"


def test_a_folder_above_that_users_share_configures_nothing(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    mine = shared / "mine"
    (shared / "transform/sqlmesh_materia").mkdir(parents=True)
    mine.mkdir()
    (shared / "materia.toml").touch()
    assert (find_config(mine), above(mine)) == (shared / "materia.toml", shared)

    shared.chmod(0o777)  # as a CI job checks out
    assert (find_config(mine), above(mine)) == (shared / "materia.toml", shared)

    shared.chmod(0o1777)  # as /tmp

    assert find_config(mine) is None
    assert above(mine) is None
    assert find_config(shared) == shared / "materia.toml"  # the folder that was chosen
