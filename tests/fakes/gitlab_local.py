"""The jobs of `.gitlab-ci.yml`, listed and run by gitlab-ci-local (github.com/firecow).

It is a program of npm that reads the file by rules of its own: `npm install gitlab-ci-local`
outside the repository, with its `.bin` on PATH, and rsync. Jobs run in a shell here: images,
services and resource groups are not exercised.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from fakes.gitlab_rules import Event

PROGRAM = shutil.which("gitlab-ci-local")
ORIGIN = "https://gitlab.com/acme/materia.git"
WHO = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "acme"), ("EMAIL", "acme@example.com"))
}


def git(folder: Path, *words: str) -> str:
    """Run git there; returns what it said."""
    command = ["git", "-C", str(folder), *words]
    environment = {**os.environ, **WHO}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(folder: Path, document: str, event: Event) -> None:
    """A small repository in which *event* has just happened to that CI file."""
    branch = event.variables.get("CI_COMMIT_BRANCH", "feature")
    git(folder.parent, "init", "--quiet", "--initial-branch=main", str(folder))
    (folder / ".gitlab-ci.yml").write_text(document)
    for changed in ((), event.changed):
        for name in changed or event.present:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{name} {len(changed)}\n")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--allow-empty", "--message=next")
        if not changed:
            git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(folder, "remote", "add", "origin", ORIGIN)
    git(folder, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    if branch != "main":
        git(folder, "switch", "--quiet", "--create", branch)


def run(
    folder: Path, *words: str, variables: Mapping[str, str], path: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    """Run gitlab-ci-local in a repository.

    Args:
        folder: The repository.
        words: Options, and names of jobs.
        variables: What GitLab and a person set; the environment of this process has no secret.
        path: Folders that come first on PATH.
    """
    given = [
        word for name, value in variables.items() for word in ("--variable", f"{name}={value}")
    ]
    unset = [] if "CI_COMMIT_BRANCH" in variables else ["--unset-variable", "CI_COMMIT_BRANCH"]
    environment = {
        "PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]]),
        "HOME": os.environ["HOME"],
    }
    return subprocess.run(
        [str(PROGRAM), "--home", str(folder / ".home"), *given, *unset, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def listed(folder: Path, event: Event) -> set[str]:
    """The jobs that start by themselves."""
    done = run(folder, "--list-json", variables=event.variables)
    assert done.returncode == 0, done.stdout
    jobs = json.loads(done.stdout[done.stdout.index("[\n") :])
    return {
        job["name"].partition(": [")[0] for job in jobs if job["when"] not in {"never", "manual"}
    }
