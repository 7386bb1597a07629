"""`materia plugins check`: hold the package of a plugin to what materia promises of plugins."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from materia_runner.cli.context import to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from materia_runner.authoring.finding import Finding

EPILOG = """\
\b
It checks the metadata, the imports, the time to import, the methods of the protocol, and
runs the contract tests: those of a folder, or for an installed package those that need
nothing of its author. A promise that is not kept is shown with its cause and the page that
explains it, and the exit code is then 1.

\b
Examples:
  materia plugins check                     the package in this folder
  materia plugins check ../materia-acme
  materia plugins check materia-duckdb --json
"""


def check(
    package: Annotated[
        str,
        typer.Argument(
            metavar="[FOLDER|PACKAGE]",
            help="A folder with a pyproject.toml, or the name of an installed package.",
        ),
    ] = ".",
    *,
    json: Json = False,
) -> None:
    """Check the package of a plugin, and run its contract."""
    from materia_runner.authoring.check_package import check_package
    from materia_runner.authoring.facts import read_facts

    facts = read_facts(package)
    shown = f"{facts.name or Path(package).absolute().name} {facts.version}".strip()
    findings = []
    for finding in check_package(facts):
        findings.append(finding)
        if not json and finding.status != "ok":
            echo(_text(finding))
    failed = sum(finding.status == "failed" for finding in findings)
    if json:
        echo(
            to_json(
                {
                    "package": facts.name,
                    "version": facts.version,
                    "ok": not failed,
                    "findings": [asdict(one) for one in findings],
                }
            )
        )
    else:
        echo("\n".join(_counts(findings)))
        echo(f"{shown}: " + (f"{failed} promises are not kept" if failed else "all is kept"))
    if failed:
        raise typer.Exit(1)


def _text(finding: Finding) -> str:
    """A finding that is not kept, or that could not be checked."""
    head = "NOT KEPT" if finding.status == "failed" else "skipped"
    about = f" ({finding.plugin})" if finding.plugin else ""
    cause = finding.cause.replace("\n", "\n         ")
    lines = [f"{head}: {finding.promise}{about}", f"  cause: {cause}"]
    return "\n".join([*lines, f"  page:  {finding.page}"] if finding.status == "failed" else lines)


def _counts(findings: Iterable[Finding]) -> list[str]:
    counts = Counter((f"{one.check} {one.plugin}".strip(), one.status) for one in findings)
    lines = []
    for what in dict.fromkeys(what for what, _ in counts):
        said = [f"{counts[what, 'ok']} kept"]
        said += [f"{counts[what, 'failed']} not kept"] if counts[what, "failed"] else []
        said += [f"{counts[what, 'skipped']} skipped"] if counts[what, "skipped"] else []
        lines.append(f"{what}: {', '.join(said)}")
    return lines
