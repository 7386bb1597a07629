"""What a project's config.py imports: the SQLMesh configuration of a pipeline."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sqlmesh.core.config import Config, GatewayConfig

from materia_sqlmesh.config import DEV_VARIABLE, PROD_VARIABLE, build_config, connection
from materia_sqlmesh.spark import GATEWAY, PACKAGE, spark_gateway


def source_project(folder: Path) -> tuple[Path, ...]:
    """The folder of the models that the configured source carries, if it carries any.

    The source is the one of the nearest materia.toml at or above *folder*, as in a run.

    Raises:
        ConfigError: materia.toml is wrong.
        PluginError: the source is not installed.
        MissingSecretError: the source needs a variable that is not set.
    """
    # Only this asks the runner, and only where materia is installed as a whole.
    from materia.plugins import load_plugins, open_plugin
    from materia_runner.config.load import load_config

    registry = load_plugins()
    pipeline = load_config(registry, path=None, start=folder)
    source = open_plugin(
        registry.source(pipeline.source),
        os.environ,
        settings=pipeline.settings["source", pipeline.source],
        directory=pipeline.directory,
    )
    models = source.models()
    return () if models is None else (models,)


def project_config(folder: Path, *, beside: Iterable[Path] = ()) -> Config:
    """The configuration of a project *folder* for SQLMesh's command line.

    Gateways: `prod` is the published database, materia.duckdb beside the nearest materia.toml or
    uv.lock above, or where MATERIA_DATABASE says. `dev`, the default, is a file of its own in the
    project folder, or where MATERIA_DEV_DATABASE says; it starts as a copy of `prod`, so that
    models can be tried on real rows and nothing published is touched. Delete it for a new copy.
    Without a `prod` to copy, `dev` is in memory: an empty file would be taken for the copy later.
    `spark` is another engine, over the raw history in tables of its own, in .materia/spark beside
    `prod` or where SPARK_CONF_DIR says.
    """
    os.environ.setdefault("SQLMESH__DISABLE_ANONYMIZED_ANALYTICS", "1")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
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
        cache_dir=str(cache / "materia" / "sqlmesh"),
    )


def _root(folder: Path) -> Path:
    for above in folder.absolute().parents:
        if (above / "materia.toml").is_file() or (above / "uv.lock").is_file():
            return above
    return folder
