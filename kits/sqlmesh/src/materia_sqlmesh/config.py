"""The SQLMesh configuration of a project folder: the same for its command line and for a run.

A project folder says in its `config.py`:

    folder = Path(__file__).parent
    config = project_config(folder, beside=source_project(folder))

and every SQLMesh command run there sees the models that the source brings as well.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from materia.kit.files import replacing
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
    ) -> None:
        super().__init__(context, path)
        self._beside = [Path(folder) for folder in beside]
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
    with replacing(copy) as part:
        shutil.copyfile(original, part)


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
    **options: Any,
) -> Config:
    """What the command line and a run have in common."""
    return Config(
        gateways=gateways,
        default_gateway=default_gateway,
        model_defaults=ModelDefaultsConfig(dialect="duckdb", start=START, cron="@daily"),
        loader=ProjectsLoader,
        loader_kwargs={"beside": [str(folder) for folder in beside], "copies": copies or {}},
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
