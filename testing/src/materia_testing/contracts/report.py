"""Report which promises of a plugin were kept: a pytest plugin, for `materia plugins check`.

    pytest -p materia_testing.contracts.report --contract-report promises.json

The file has a list of promises, in the order in which they were tested. Without the option it
writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from materia_testing.contracts.contract import Contract, promise_of

KEY = "materia contract"
# The contracts by the name of their class: a class is not imported to learn its kind.
KINDS = {"SourceContract": "source", "SinkContract": "sink", "ProviderContract": "provider"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--contract-report", metavar="FILE", help="Write kept promises as JSON.")


def pytest_configure(config: pytest.Config) -> None:
    """Collect reports where the run is controlled, which pytest-xdist does in one process."""
    path = config.getoption("--contract-report")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(Path(path)), "materia-contract-report")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the promise to the report of a test of a contract."""
    report = yield
    cls = getattr(item, "cls", None)
    kind = next(
        (KINDS[one.__name__] for one in getattr(cls, "__mro__", ()) if one.__name__ in KINDS), ""
    )
    if cls is not None and kind and issubclass(cls, Contract):
        name = getattr(item, "originalname", item.name)
        promise = promise_of(cls, name)
        said = {
            "kind": kind,
            "plugin": getattr(cls, "plugin", ""),
            "promise": promise.sentence,
            "cause": promise.cause,
            "page": promise.page,
            "test": item.nodeid,
        }
        report.user_properties.append((KEY, json.dumps(said)))
    return report


class _Collector:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the outcome: a failure in a fixture counts, and a failure is never overwritten."""
        for key, value in report.user_properties:
            if key != KEY:
                continue
            said = self._found.setdefault(
                report.nodeid, {**json.loads(str(value)), "outcome": "passed", "message": ""}
            )
            if report.outcome != "passed" and said["outcome"] != "failed":
                said["outcome"] = report.outcome
                said["message"] = _reason(report)

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        self._path.write_text(json.dumps([*self._found.values()], indent=1), encoding="utf-8")


def _reason(report: pytest.TestReport) -> str:
    """What the failed assertion said, or why a test was skipped, without the traceback."""
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    return str(text).partition("\npromise: ")[0].strip()
