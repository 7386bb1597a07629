"""SQLMesh configuration of a project folder, the same for SQLMesh's command line and for a run.

The `config.py` of a project folder has

    folder = Path(__file__).parent
    config = project_config(folder, beside=source_project(folder))

and every SQLMesh command run there also loads the models of the source.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from sqlmesh.core.model import ExternalModel
from sqlmesh.core.test import ModelTestMetadata
from sqlmesh.utils import UniqueKeyDict
from sqlmesh.utils.errors import ConfigError

from materia_sqlmesh.as_written import ENGINE, as_written
from materia_sqlmesh.duckdb_settings import CATALOG, connector_settings
from materia_sqlmesh.model_start import START

if TYPE_CHECKING:
    from sqlmesh.core.model import Model

PROD_VARIABLE = "MATERIA_DATABASE"
DEV_VARIABLE = "MATERIA_DEV_DATABASE"


class ProjectsLoader(SqlMeshLoader):
    """Load a project folder and other folders as one SQLMesh project.

    SQLMesh loads several folders when its command line names them all; with this loader the
    configuration of one folder names the others.
    """

    def __init__(
        self,
        context: Any,
        path: Path,
        *,
        beside: Sequence[str] = (),
        copies: Mapping[str, tuple[str, str]] | None = None,
        needs: Mapping[str, tuple[str, str]] | None = None,
        with_tests: bool = True,
    ) -> None:
        super().__init__(context, path)
        self._beside = [Path(folder) for folder in beside]
        self._with_tests = with_tests
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
                    f"{original} does not exist yet, so the gateway {context.selected_gateway} "
                    "is empty. Run `materia run` once to create it."
                )

    def load(self, *args: Any, **options: Any) -> LoadedProject:
        """Load the models, audits and macros of all the folders."""
        projects = []
        for folder in self._beside:
            self.context.configs.setdefault(folder, self.config)
            loader = ProjectsLoader(self.context, folder, with_tests=self._with_tests)
            projects.append(loader.load(*args, **options))
        whole = super().load(*args, **options)
        # Other engines get SQL that SQLMesh translates, better with types of columns.
        if self.context.connection_config.type_ == ENGINE:
            whole.models = UniqueKeyDict("models", as_written(whole.models))
        for project in projects:
            _refuse_twice(whole.models, project.models)
            whole.models.update(project.models)
            whole.audits.update(project.audits)
            whole.standalone_audits.update(project.standalone_audits)
            whole.macros.update(project.macros)
            whole.environment_statements.extend(project.environment_statements)
            whole.model_test_metadata.extend(project.model_test_metadata)
        return whole

    def load_model_tests(self) -> list[ModelTestMetadata]:
        """Load the unit tests of models, if they are to run: reading their YAML takes a while."""
        return super().load_model_tests() if self._with_tests else []


def _refuse_twice(models: Mapping[str, Model], more: Mapping[str, Model]) -> None:
    """Refuse a model that two projects define: one of them would take the place of the other.

    Raises:
        ConfigError: there is one.
    """
    for name in sorted(set(models).intersection(more)):
        one, other = models[name], more[name]
        if not isinstance(one, ExternalModel) and not isinstance(other, ExternalModel):
            raise ConfigError(
                f"{one.name} is the name of two models, in {one._path} and in {other._path}: "  # noqa: SLF001 -- SQLMesh has no other way to say where
                "rename one of them"
            )


def copy_once(original: Path, copy: Path) -> None:
    """Copy a database atomically, when it exists and the copy does not."""
    if copy.exists() or not original.exists():
        return
    with replacing(copy) as part:
        shutil.copyfile(original, part)


def connection(database: Path | None) -> DuckDBConnectionConfig:
    """A connection to a DuckDB file, always with the same catalog name; None means in memory."""
    if database is None:
        return DuckDBConnectionConfig(catalogs={CATALOG: ":memory:"}, concurrent_tasks=1)
    path = str(database).replace("'", "''")  # SQLMesh quotes it without escaping
    return DuckDBConnectionConfig(
        catalogs={CATALOG: DuckDBAttachOptions(type="duckdb", path=path)},
        concurrent_tasks=1,
        connector_config=dict(connector_settings(path)),
    )


def build_config(
    gateways: dict[str, GatewayConfig],
    *,
    default_gateway: str,
    beside: Iterable[Path] = (),
    copies: Mapping[str, tuple[str, str]] | None = None,
    needs: Mapping[str, tuple[str, str]] | None = None,
    with_tests: bool = True,
    **options: Any,
) -> Config:
    """The configuration that SQLMesh's command line and a run have in common.

    Args:
        gateways: By name.
        default_gateway: The gateway that SQLMesh uses when none is named.
        beside: Folders of other projects whose models belong to this one as well.
        copies: For a gateway, the database that it copies on first use, and the path of the copy.
        needs: For a gateway that exists only when a command names it, the package that it imports
            and the folder that it writes to.
        with_tests: Whether to load the unit tests of models.
        options: Further fields of SQLMesh's configuration.
    """
    return Config(
        gateways=gateways,
        default_gateway=default_gateway,
        model_defaults=ModelDefaultsConfig(
            dialect="duckdb", start=START.isoformat(), cron="@daily"
        ),
        loader=ProjectsLoader,
        loader_kwargs={
            "beside": [str(folder) for folder in beside],
            "copies": copies or {},
            "needs": needs or {},
            "with_tests": with_tests,
        },
        disable_anonymized_analytics=True,
        # Nothing here reads which packages the Python of models needs, and finding out is slow.
        infer_python_dependencies=False,
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
