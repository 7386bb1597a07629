"""Check the package of a plugin: metadata, imports, start, protocol and contract tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from materia.errors import ConfigError

from materia_runner.authoring.facts import Facts
from materia_runner.authoring.finding import GUIDE, Finding, kept
from materia_runner.authoring.package_rules import DECLARE, imports, metadata
from materia_runner.figures import quantity_text
from materia_runner.install_hints import install_command

PAGES = {
    "provider": f"{GUIDE}#a-provider",
    "sink": f"{GUIDE}#a-sink",
    "source": f"{GUIDE}#a-source-of-your-own-code",
}
CONTRACT = f"{GUIDE}#hold-it-to-its-contract"
# Processor time; materia imports the module at every start, and takes 0.2 s itself.
SLOW_START_SECONDS = 0.25
START_TRIES = 3
PROBE_SECONDS = 120.0
# A sink that keeps all it has in a folder can be tested without anything of its author's.
SINK_TEST = """\
from materia_testing.contracts.sink import SinkContract


class TestSink(SinkContract):
    module = {module!r}
    plugin = {name!r}
"""
SUMMARY_LINES = 15


def check_package(facts: Facts) -> Iterator[Finding]:
    """The findings about a package; the contract tests come last and may take minutes.

    Raises:
        ConfigError: pytest or materia-testing is not installed.
    """
    require_test_kit()
    yield from metadata(facts)
    yield from imports(facts)
    if not facts.points:
        return
    declared, *findings = _declared(facts)
    yield from findings
    if declared["plugins"]:
        yield from _contracts(facts, declared["plugins"])


def require_test_kit() -> None:
    """Raise ConfigError with the command to install what runs contract tests."""
    for module, package in (("pytest", "pytest"), ("materia_testing", "materia-testing")):
        if find_spec(module) is None:
            raise ConfigError(
                f"{package} is not installed here, and a contract is a suite of tests; to install "
                f"it: {install_command('materia-testing')}"
            )


def _declared(facts: Facts) -> Iterator[Any]:
    """What the package declares, then the findings about that."""
    modules = sorted(set(facts.points.values()))
    best = _probe(facts, modules)
    for _ in range(START_TRIES - 1):
        if best["seconds"] > SLOW_START_SECONDS:  # a busy machine is not the package's fault
            best = min(best, _probe(facts, modules), key=lambda one: float(one["seconds"]))
    yield best
    yield kept("start", "its module can be loaded", DECLARE, best["errors"])
    if best["errors"]:
        return
    brought = ", ".join(best["brought"]) or "nothing but Python's own modules"
    seconds = quantity_text(Decimal(str(best["seconds"])))
    slow = (
        f"it takes {seconds} s of processor time and imports {brought}; import what is slow inside "
        "of the function `open`"
    )
    late = best["seconds"] > SLOW_START_SECONDS
    yield kept("start", "its module only declares, and is quick to import", DECLARE, [slow] * late)
    none = [] if best["plugins"] else ["its hooks return no plugin"]
    yield kept("start", "it declares a source, a sink or a provider", DECLARE, none)
    for one in best["plugins"]:
        plugin = f"{one['kind']} {one['name']}"
        promise = "its object has the methods of the protocol"
        page = PAGES[one["kind"]]
        if one["unopened"] and not one["faults"]:
            yield Finding(
                check="protocol",
                status="skipped",
                promise=promise,
                page=page,
                plugin=plugin,
                cause=f"it opens only with the user's settings: {one['unopened']}",
            )
        else:
            yield kept("protocol", promise, page, one["faults"], plugin=plugin)


def _probe(facts: Facts, modules: Sequence[str]) -> Mapping[str, Any]:
    command = [sys.executable, "-m", "materia_runner.authoring.probe", *modules]
    try:
        ended = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=_environment(facts),
            timeout=PROBE_SECONDS,
        )
        found: Mapping[str, Any] = json.loads(ended.stdout)
    except subprocess.TimeoutExpired:
        return _broken(f"loading it took more than {PROBE_SECONDS:.0f} s")
    except ValueError:
        return _broken(f"the process that loads it ended:\n{_end_of(ended.stderr)}")
    return found


def _broken(reason: str) -> Mapping[str, Any]:
    return {"seconds": 0.0, "brought": [], "errors": [reason], "plugins": []}


def _environment(facts: Facts) -> dict[str, str]:
    """This process's own, in which the code of a folder is found without installing it."""
    paths = [str(facts.code), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _contracts(facts: Facts, plugins: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)
        tests = facts.folder
        if tests is None:
            tests = where
            for number, one in enumerate(plugins):
                if one["kind"] == "sink" and not one["secrets"]:
                    text = SINK_TEST.format(module=one["module"], name=one["name"])
                    (where / f"test_sink_{number}.py").write_text(text, encoding="utf-8")
        promises, code, output = _tested(facts, tests, where / "promises.json")
    for one in promises:
        status = {"passed": "ok", "failed": "failed"}.get(one["outcome"], "skipped")
        causes = [one["message"], one["cause"] and f"usual cause: {one['cause']}"]
        yield Finding(
            check="contract",
            status=status,  # type: ignore[arg-type]  # one of the three
            promise=one["promise"],
            page=one["page"],
            plugin=" ".join(filter(None, (one["kind"], one["plugin"]))),
            cause="" if status == "ok" else "; ".join(filter(None, causes)),
        )
    if code not in {0, 5} and not any(one["outcome"] == "failed" for one in promises):
        yield kept("contract", "its tests can be run, and pass", CONTRACT, [_end_of(output)])
    tested = {(one["kind"], one["plugin"]) for one in promises}
    for one in plugins:
        if not tested & {(one["kind"], one["name"]), (one["kind"], "")}:
            yield _untested(facts, one)


def _untested(facts: Facts, plugin: Mapping[str, Any]) -> Finding:
    kind, name = plugin["kind"], plugin["name"]
    contract = f"{kind.title()}Contract"
    if facts.folder is None:
        status, cause = (
            "skipped",
            "its tests are not installed; check the folder of its source code",
        )
    else:
        status = "failed"
        cause = (
            f"no test class is a {contract}: write one in tests/, from "
            f"materia_testing.contracts.{kind}"
        )
    return Finding(
        check="contract",
        status=status,  # type: ignore[arg-type]  # one of the three
        promise=f"its tests hold it to the contract of a {kind}",
        page=CONTRACT,
        plugin=f"{kind} {name}",
        cause=cause,
    )


def _tested(facts: Facts, folder: Path, report: Path) -> tuple[list[dict[str, Any]], int, str]:
    """The promises that the tests in *folder* are about, pytest's exit code and its output."""
    options = [
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-p",
        "materia_testing.contracts.report",
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--contract-report", str(report)],
        check=False,
        cwd=folder,
        env=_environment(facts),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        promises: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))
    except FileNotFoundError:
        promises = []
    return promises, ended.returncode, ended.stdout


def _end_of(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-SUMMARY_LINES:])
