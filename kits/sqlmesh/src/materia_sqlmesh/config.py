"""The SQLMesh configuration of a project folder: the same for its command line and for a run.

A project folder says in its `config.py`:

    folder = Path(__file__).parent
    config = project_config(folder, beside=source_project(folder))

and every SQLMesh command run there sees the models that the source brings as well.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlmesh.core.config import (
    AutoCategorizationMode,
    CategorizerConfig,
    Config,
    DuckDBConnectionConfig,
    GatewayConfig,
    ModelDefaultsConfig,
    PlanConfig,
)
from sqlmesh.core.config.connection import DuckDBAttachOptions
from sqlmesh.core.config.format import FormatConfig
from sqlmesh.core.console import get_console
from sqlmesh.core.loader import LoadedProject, SqlMeshLoader
from sqlmesh.utils.errors import ConfigError

# SQLMesh writes the catalog into names and keeps it in its state, and DuckDB calls the catalog
# after the file. One fixed alias makes a renamed or copied database the same to SQLMesh.
CATALOG = "materia"
PROD_VARIABLE = "MATERIA_DATABASE"
DEV_VARIABLE = "MATERIA_DEV_DATABASE"
# Earlier than the oldest release of any source there is; only a bound for intervals.
START = "2000-01-01"


class ProjectsLoader(SqlMeshLoader):
    """Loads a project folder together with the ones beside it, as one project.

    SQLMesh reads several folders when they are all named on its command line; this lets the
    configuration of one folder name the others.
    """

    def __init__(
        self,
        context: Any,
        path: Path,
        beside: Sequence[str] = (),
        copies: Mapping[str, tuple[str, str]] | None = None,
        needs: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        super().__init__(context, path)
        self._beside = [Path(folder) for folder in beside]
        for gateway, (package, folder) in (needs or {}).items():
            if gateway != context.selected_gateway:
                # SQLMesh opens every gateway that it knows.
                context.config.gateways.pop(gateway, None)
            elif find_spec(package) is None:
                raise ConfigError(
                    f"The gateway {gateway} needs the package {package}, which is not installed "
                    f"here. In a clone of materia: uv run --group {gateway} sqlmesh --gateway "
                    f"{gateway} ..."
                )
            else:
                Path(folder).mkdir(parents=True, exist_ok=True)
        if copies and context.selected_gateway in copies:
            original, copy = map(Path, copies[context.selected_gateway])
            copy_once(original, copy)
            if not copy.exists():
                get_console().log_warning(
                    f"There is no {original} to copy yet, so the gateway "
                    f"{context.selected_gateway} is empty. Run materia once to have one."
                )

    def load(self, *args: Any, **options: Any) -> LoadedProject:
        """As SqlMeshLoader, for all the folders."""
        projects = []
        for folder in self._beside:
            self.context.configs.setdefault(folder, self.config)
            projects.append(SqlMeshLoader(self.context, folder).load(*args, **options))
        whole = super().load(*args, **options)
        for project in projects:
            whole.models.update(project.models)
            whole.audits.update(project.audits)
            whole.standalone_audits.update(project.standalone_audits)
            whole.macros.update(project.macros)
            whole.environment_statements.extend(project.environment_statements)
            whole.model_test_metadata.extend(project.model_test_metadata)
        return whole


def copy_once(original: Path, copy: Path) -> None:
    """Copy a database that is there to a place where none is yet; killed, nothing is half there."""
    if copy.exists() or not original.exists():
        return
    half = copy.with_name(f"{copy.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(original, half)
        half.replace(copy)
    finally:
        half.unlink(missing_ok=True)


def connection(database: Path | None) -> DuckDBConnectionConfig:
    """A connection to a DuckDB file of any name, under the one catalog name; None is in memory."""
    if database is None:
        return DuckDBConnectionConfig(catalogs={CATALOG: ":memory:"}, concurrent_tasks=1)
    path = str(database).replace("'", "''")  # SQLMesh puts it into quotes as it is
    return DuckDBConnectionConfig(
        catalogs={CATALOG: DuckDBAttachOptions(type="duckdb", path=path)},
        concurrent_tasks=1,
        connector_config={
            # With what Python takes, a transform stays near 1 GB; the rest is spilled to disk.
            "memory_limit": "700MB",
            # Tables are written in the order their query asks for; keeping any other costs memory.
            "preserve_insertion_order": "false",
            # The catalog is attached to a database in memory, which would spill to `.tmp` here.
            "temp_directory": f"{path}.tmp",
        },
    )


def build_config(
    gateways: dict[str, GatewayConfig],
    *,
    default_gateway: str,
    beside: Iterable[Path] = (),
    copies: Mapping[str, tuple[str, str]] | None = None,
    needs: Mapping[str, tuple[str, str]] | None = None,
    **options: Any,
) -> Config:
    """What the command line and a run have in common.

    Args:
        gateways: By name.
        default_gateway: The one that is used when none is asked for.
        beside: Folders of projects whose models belong to this one as well.
        copies: For a gateway, the database it starts as a copy of, and where the copy lies.
        needs: For a gateway that exists only while it is asked for, the package that it imports
            and the folder that it writes to.
        options: Further fields of SQLMesh's configuration.
    """
    return Config(
        gateways=gateways,
        default_gateway=default_gateway,
        model_defaults=ModelDefaultsConfig(dialect="duckdb", start=START, cron="@daily"),
        loader=ProjectsLoader,
        loader_kwargs={
            "beside": [str(folder) for folder in beside],
            "copies": copies or {},
            "needs": needs or {},
        },
        disable_anonymized_analytics=True,
        format=FormatConfig(append_newline=True),
        plan=PlanConfig(
            auto_categorize_changes=CategorizerConfig(
                external=AutoCategorizationMode.FULL,
                python=AutoCategorizationMode.FULL,
                sql=AutoCategorizationMode.FULL,
                seed=AutoCategorizationMode.FULL,
            )
        ),
        **options,
    )
