"""Which jobs of the CI file run when: by branch, event, task and files."""

from __future__ import annotations

import copy
import itertools
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types
from fakes.gitlab_local import PROGRAM, listed, repository
from fakes.gitlab_rules import Event, evaluate, jobs

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())
CODE = [
    "lint",
    "test:cli",
    "test:sqlmesh",
    "test:plugin",
    "test:infra",
    "build:extract",
    "build:transform",
    "build:cli",
    "build:wheels",
]
ELSEWHERE = [*CODE, "docs"]  # main is published instead
WATCHES = {"sweep", "run", "check"}
PROJECT = ("README.md", "materia.toml")


def event(source: str, branch: str | None = "main", **more: Any) -> Event:
    variables = {"CI_PIPELINE_SOURCE": source, "CI_DEFAULT_BRANCH": "main"}
    if branch is not None:
        variables["CI_COMMIT_BRANCH"] = branch
    present, changed = more.pop("present", PROJECT), more.pop("changed", ())
    return Event(variables={**variables, **more}, present=present, changed=changed)


TABLE = {
    "main pushed": (event("push"), [*CODE, "pages", "deploy:r2"]),
    "main pushed with a change of the infrastructure": (
        event("push", changed=("infra/materia_infra/storage.py",)),
        [*CODE, "pages", "deploy:r2", "deploy:infra"],
    ),
    "main pushed with a change of the settings of the infrastructure": (
        event("push", changed=("infra/Pulumi.prod.yaml",)),
        [*CODE, "pages", "deploy:r2", "deploy:infra"],
    ),
    "a change of the infrastructure without a pipeline of one's own": (
        event("push", changed=("infra/Pulumi.prod.yaml",), present=("README.md",)),
        [*CODE, "pages"],
    ),
    "a branch that changes the infrastructure": (
        event("push", "feature", changed=("infra/materia_infra/storage.py",)),
        ELSEWHERE,
    ),
    "a merge request that changes the infrastructure": (
        event("merge_request_event", None, changed=("infra/materia_infra/storage.py",)),
        ELSEWHERE,
    ),
    "main pushed without a pipeline of one's own": (
        event("push", present=("README.md",)),
        [*CODE, "pages"],
    ),
    "main by hand": (event("web"), ELSEWHERE),
    "a branch pushed": (event("push", "feature"), ELSEWHERE),
    "a branch pushed that has a merge request": (
        event("push", "feature", CI_OPEN_MERGE_REQUESTS="group/materia!1"),
        [],
    ),
    "main pushed while it is offered to another project": (
        event("push", CI_OPEN_MERGE_REQUESTS="upstream/materia!1"),
        [*CODE, "pages", "deploy:r2"],
    ),
    "a merge request": (event("merge_request_event", None, changed=("README.md",)), ELSEWHERE),
    "a merge request that changes a model": (
        event("merge_request_event", None, changed=("transform/sqlmesh_materia/models/a.sql",)),
        [*ELSEWHERE[:3], "sqlmesh:plan", *ELSEWHERE[3:]],
    ),
    "a merge request that changes how raw tables are loaded": (
        event("merge_request_event", None, changed=("kits/snapshots/src/m/loading/models.py",)),
        [*ELSEWHERE[:3], "sqlmesh:plan", *ELSEWHERE[3:]],
    ),
    "a merge request with a task": (
        event("merge_request_event", None, changed=("transform/a/b.sql",), TASK="run"),
        [],
    ),
    "a tag": (event("push", None, CI_COMMIT_TAG="v1"), ELSEWHERE),
    "a nightly schedule": (event("schedule"), ELSEWHERE),
    "the schedule of sweeps": (event("schedule", TASK="sweep"), ["sweep"]),
    "the schedule of runs": (event("schedule", TASK="run"), ["run"]),
    "the schedule of checks": (event("schedule", TASK="check"), ["check"]),
    "a schedule with a mistyped task": (event("schedule", TASK="swep"), []),
    "a push with a task that changes the infrastructure": (
        event("push", changed=("infra/materia_infra/storage.py",), TASK="sweep"),
        [],
    ),
    "a push with a task": (event("push", TASK="sweep"), []),
    "a sweep by hand is started as a schedule": (event("web", TASK="sweep"), []),
}


@pytest.mark.parametrize(("started", "expected"), TABLE.values(), ids=TABLE)
def test_an_event_starts_these_jobs_and_no_others(started: Event, expected: list[str]) -> None:
    assert jobs(DOCUMENT, started) == expected


def test_whatever_happens_only_main_deploys_and_a_task_starts_itself_alone() -> None:
    happens = itertools.product(
        ("push", "web", "schedule", "merge_request_event", "api", "trigger"),
        ("main", "feature", None),
        (None, "", "sweep", "run", "SWEEP"),
        ((), ("infra/__main__.py", "materia.toml")),
        (("README.md",), PROJECT),
    )
    for source, branch, task, changed, present in happens:
        named = {} if task is None else {"TASK": task}
        here = event(source, branch, changed=changed, present=present, **named)
        started = set(jobs(DOCUMENT, here))
        pushed = source == "push" and branch == "main" and not task

        assert started.isdisjoint({"deploy:r2", "pages"}) or pushed, here
        assert ("deploy:r2" in started) == (pushed and present == PROJECT), here
        assert ("deploy:infra" in started) == (pushed and present == PROJECT and changed != ()), (
            here
        )
        if task:
            there_is = branch is not None and task in WATCHES  # a schedule is of a branch
            assert started == ({task} if source == "schedule" and there_is else set()), here
        else:
            assert started.isdisjoint(WATCHES), here


# gitlab-ci-local lists jobs without regard to `workflow`.
LISTED = {
    name: row for name, row in TABLE.items() if "CI_OPEN_MERGE_REQUESTS" not in row[0].variables
}


@pytest.mark.campaign
@pytest.mark.skipif(PROGRAM is None, reason="gitlab-ci-local is not on PATH")
@pytest.mark.parametrize(("started", "expected"), LISTED.values(), ids=LISTED)
def test_gitlab_ci_local_starts_the_same_jobs(
    tmp_path: Path, started: Event, expected: list[str]
) -> None:
    folder = tmp_path / "materia"
    repository(folder, (ROOT / ".gitlab-ci.yml").read_text(), started)

    assert listed(folder, started) == set(expected)


GUARDED = [name for name in DOCUMENT if "rules" in DOCUMENT[name]]


@pytest.mark.parametrize("name", GUARDED)
def test_the_table_notices_when_a_guard_is_dropped(name: str) -> None:
    without = copy.deepcopy(DOCUMENT)
    del without[name]["rules"][0]

    seen = [jobs(without, started) for started, _ in TABLE.values()]
    assert seen != [expected for _, expected in TABLE.values()]


@pytest.mark.parametrize(
    ("expression", "true"),
    [
        ('$A == "x"', True),
        ('$A != "x"', False),
        ("$A && $B", False),
        ('$B || $A == "x"', True),
        ("$A && ($B || $C)", False),
        ("$B == null", True),
        ("$A == $A", True),
        ("$EMPTY", False),
    ],
)
def test_expressions_mean_what_gitlab_says(expression: str, *, true: bool) -> None:
    assert evaluate(expression, {"A": "x", "EMPTY": ""}) is true


def test_the_infrastructure_is_deployed_by_hand_after_a_failure() -> None:
    by_hand = [rule for rule in DOCUMENT["deploy:infra"]["rules"] if rule.get("when") == "manual"]

    assert [rule["if"].split(" && ")[0] for rule in by_hand] == ['$CI_PIPELINE_SOURCE == "web"']
    assert by_hand[0]["allow_failure"]


def test_a_push_that_a_newer_one_has_overtaken_deploys_nothing() -> None:
    deployments = {name: job for name, job in DOCUMENT.items() if name.startswith("deploy:")}

    # One at a time, and as deployments of their own GitLab keeps their order.
    assert len({job["environment"] for job in deployments.values()}) == len(deployments) == 2
    assert len({job["resource_group"] for job in deployments.values()}) == len(deployments)


def test_every_job_is_a_target_of_make() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [job["script"] for name, job in DOCUMENT.items() if "script" in job]

    for script in named:
        target = script.removeprefix("make ").split()[0]
        assert script.startswith("make "), script
        assert target in targets or target == "$TARGET", script
    matrix = DOCUMENT["test:cli"]["parallel"]["matrix"]
    assert {row["TARGET"] for row in matrix} <= targets


def test_core_and_every_plugin_is_tested_alone() -> None:
    ((row,),) = [DOCUMENT["test:plugin"]["parallel"]["matrix"]]
    plugins = {path.parent.name for path in ROOT.glob("plugins/*/*/pyproject.toml")}

    assert set(row["ONLY"]) == {"core", *plugins}


def test_every_stage_has_a_job_and_every_job_a_stage() -> None:
    stages = {job["stage"] for job in DOCUMENT.values() if "stage" in job}

    assert DOCUMENT["stages"] == ["lint", "test", "build", "deploy", "watch"]
    assert stages == set(DOCUMENT["stages"])


def test_the_only_secret_that_the_file_asks_for_is_the_token_of_pulumi() -> None:
    text = (ROOT / ".gitlab-ci.yml").read_text()

    assert set(re.findall(r"\b[A-Z_]*(?:TOKEN|KEY|SECRET)\b", text)) == {"PULUMI_ACCESS_TOKEN"}


@pytest.mark.parametrize(
    "target",
    ["test-cli", "test-coverage", "test-sqlmesh", "push", "docs", "infra", "sweep", "run", "check"],
)
def test_make_knows_how_to_do_it(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", target, "CHANNEL=prod"],  # noqa: S607 -- as a person types it
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "uv run" in done.stdout
