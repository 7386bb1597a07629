"""SQLMesh project: build the configuration in config.py, with the models of the sources."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from materia.kit.user_folders import user_cache
from sqlmesh.core.config import Config, GatewayConfig

from materia_sqlmesh.config import DEV_VARIABLE, PROD_VARIABLE, build_config, connection
from materia_sqlmesh.spark import GATEWAY, PACKAGE, spark_gateway

__all__ = [
    "project_config",
    "source_project",
]


def source_project(folder: Path) -> tuple[Path, ...]:
    """The folders of the SQLMesh models that come with the configured sources.

    The sources are those in the nearest materia.toml at or above *folder*, as in a run.

    Raises:
        ConfigError: materia.toml is wrong.
        PluginError: a source is not installed.
        MissingSecretError: a source needs a variable that is not set.
    """
    # Only this function needs the runner, which a whole installation of materia has.
    from materia.plugins import load_plugins, open_plugin
    from materia_runner.config.load import load_config

    registry = load_plugins()
    pipeline = load_config(registry, path=None, start=folder)
    folders = [
        open_plugin(
            registry.source(name),
            os.environ,
            settings=pipeline.settings["source", name],
            directory=pipeline.directory,
        ).models()
        for name in pipeline.sources
    ]
    return tuple(one for one in folders if one is not None)


def project_config(folder: Path, *, beside: Iterable[Path] = ()) -> Config:
    """The SQLMesh configuration of a project *folder*, with its gateways.

    `prod` is the published database: materia.duckdb beside the nearest materia.toml or uv.lock
    above, or the path in MATERIA_DATABASE. `dev`, the default, is dev.duckdb in the project folder,
    or the path in MATERIA_DEV_DATABASE. It starts as a copy of `prod`, so that you can try models
    on real rows without touching published ones. Delete it to get a new copy. Without a `prod` to
    copy, `dev` is in memory: an empty file would later pass for the copy. `spark` is another
    engine, with tables of its own over the raw history, in .materia/spark beside `prod` or where
    SPARK_CONF_DIR says.
    """
    os.environ.setdefault("SQLMESH__DISABLE_ANONYMIZED_ANALYTICS", "1")
    prod = Path(os.environ.get(PROD_VARIABLE) or _root(folder) / "materia.duckdb").absolute()
    dev = Path(os.environ.get(DEV_VARIABLE) or folder / "dev.duckdb").absolute()
    spark = _root(folder).absolute() / ".materia" / "spark"
    return build_config(
        {
            "dev": GatewayConfig(
                connection=connection(dev if dev.exists() or prod.exists() else None)
            ),
            "prod": GatewayConfig(connection=connection(prod)),
            GATEWAY: spark_gateway(spark),
        },
        default_gateway="dev",
        beside=beside,
        copies={"dev": (str(prod), str(dev))},
        needs={GATEWAY: (PACKAGE, str(spark))},
        # A source's folder may be part of an installed package, where nothing should be written.
        cache_dir=str(user_cache(os.environ) / "sqlmesh"),
    )


def _root(folder: Path) -> Path:
    for above in folder.absolute().parents:
        if (above / "materia.toml").is_file() or (above / "uv.lock").is_file():
            return above
    return folder
