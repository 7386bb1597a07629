"""`materia secrets`: list and check required secrets and where they were found; never values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from materia_runner.cli.context import load_pipeline, load_registry, to_json, warn_of_failures
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import Command, group_app
from materia_runner.cli.options import Config, Json

if TYPE_CHECKING:
    from pathlib import Path

    from materia_runner.config.pipeline import Pipeline
    from materia_runner.config.secret_needs import Need
    from materia_runner.secrets.resolve import Resolved

app = group_app(
    "secrets",
    help="List which secrets are needed, and where they are found.",
)

PLACES = """\
\b
A secret is a variable. materia looks for it in this order, and uses the first it finds:
  1. the environment
  2. the file .env beside materia.toml: NAME=value in each line, $ is a literal dollar
  3. Pulumi ESC, when materia.toml names an environment and PULUMI_ACCESS_TOKEN is set:
       [secrets]
       esc = "organization/project/name"
     It reads environmentVariables there. PULUMI_BACKEND_URL is honoured.
"""
LIST_EPILOG = f"""\
{PLACES}
\b
Examples:
  materia secrets list
  materia secrets list --all --json
"""
CHECK_EPILOG = f"""\
{PLACES}
When the pipeline names no provider, one provider with all of its secrets is enough. The
exit code is 2 when a secret is missing.
"""
_PLACES = {"environment": "the environment", ".env": ".env", "Pulumi ESC": "Pulumi ESC"}
All = Annotated[bool, typer.Option("--all", help="Include plugins that are not in use.")]


@app.callback()
def group() -> None:
    """List which secrets are needed, and where they are found."""


@app.command("list", cls=Command, epilog=LIST_EPILOG)
def list_secrets(
    context: typer.Context, *, everything: All = False, json: Json = False, config: Config = None
) -> None:
    """List the secrets of plugins in use, and where each was found."""
    needs, found, _ = _look(context, config, everything=everything)
    described = [_described(need, found) for need in needs]
    if json:
        echo(to_json({"needs": described, "problems": list(found.problems)}))
        return
    echo(_as_text(described, everything=everything))
    _warn(found)


@app.command("check", cls=Command, epilog=CHECK_EPILOG)
def check(context: typer.Context, *, json: Json = False, config: Config = None) -> None:
    """Check that no secret of the pipeline is missing."""
    from materia_runner.config.secret_needs import unmet

    needs, found, pipeline = _look(context, config, everything=False)
    lacking = unmet(needs, found.origin, auto=not pipeline.providers)
    described = [_described(need, found) for need in needs]
    if json:
        missing = [{"kind": one.kind, "name": one.name} for one in lacking]
        whole = {
            "complete": not lacking,
            "unmet": missing,
            "needs": described,
            "problems": list(found.problems),
        }
        echo(to_json(whole))
    else:
        echo(_as_text(described, everything=False))
        _warn(found)
        if not lacking:
            echo("found every required secret")
        else:
            echo(_remedies(lacking, found, auto=not pipeline.providers), err=True)
    if lacking:
        raise typer.Exit(2)


def _look(
    context: typer.Context, config: Path | None, *, everything: bool
) -> tuple[tuple[Need, ...], Resolved, Pipeline]:
    import os

    from materia_runner.config.secret_needs import needs_of
    from materia_runner.secrets.resolve import resolve

    registry = load_registry(context)
    warn_of_failures(registry)
    pipeline = load_pipeline(registry, config)
    needs = tuple(need for need in needs_of(registry, pipeline) if need.in_use or everything)
    found = resolve(
        os.environ,
        names=[name for need in needs for name in need.names],
        dotenv=pipeline.directory / ".env",
        esc=pipeline.esc,
    )
    return needs, found, pipeline


def _warn(found: Resolved) -> None:
    for problem in found.problems:
        echo(f"warning: {problem}", err=True)


def _described(need: Need, found: Resolved) -> dict[str, Any]:
    from materia_runner.secrets.redaction import SHORTEST

    return {
        "kind": need.kind,
        "name": need.name,
        "in_use": need.in_use,
        "secrets": [
            {
                "name": name,
                "set": name in found.origin,
                "from": found.origin.get(name),
                "hidden": len(found.values.get(name, "").strip()) >= SHORTEST
                if name in found.origin
                else None,
            }
            for name in need.names
        ],
    }


def _as_text(described: Sequence[Mapping[str, Any]], *, everything: bool) -> str:
    lines = []
    for one in described:
        used = "  (in use)" if everything and one["in_use"] else ""
        none = "" if one["secrets"] else ": needs no secrets"
        lines.append(f"{one['kind']} {one['name']}{none}{used}")
        width = max((len(secret["name"]) for secret in one["secrets"]), default=0)
        for secret in one["secrets"]:
            state = f"set, from {_PLACES[secret['from']]}" if secret["set"] else "missing"
            short = "; too short to be redacted in output" if secret["hidden"] is False else ""
            lines.append(f"  {secret['name']:<{width}}  {state}{short}")
    return "\n".join(lines)


def _remedies(lacking: Sequence[Need], found: Resolved, *, auto: bool) -> str:
    from materia.text import together

    lines = ["materia: secrets are missing"]
    for need in lacking:
        names = together([name for name in need.names if name not in found.origin])
        enough = "; one provider is enough" if auto and need.kind == "provider" else ""
        lines.append(f"  {need.kind} {need.name}: set {names} to use it{enough}")
    return "\n".join(lines)
