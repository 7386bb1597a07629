"""Resolve secrets: from environment variables, then `.env`, then Pulumi ESC.

The first place with a value that is not empty wins; later places are read only for missing names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from materia._dataclass import dataclass

Origin = Literal["environment", ".env", "Pulumi ESC"]
TOKEN = "PULUMI_ACCESS_TOKEN"  # noqa: S105 -- the name of the variable
ADDRESS = "PULUMI_BACKEND_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Secrets and their origin.

    Attributes:
        values: The environment, with the values found elsewhere.
        origin: Origin of each name; a name without one is not set anywhere.
        problems: A sentence with a remedy, and without values, for each place that could not be
            read.
    """

    values: Mapping[str, str]
    origin: Mapping[str, Origin]
    problems: tuple[str, ...]


def resolve(
    environment: Mapping[str, str], *, names: Iterable[str], dotenv: Path | None, esc: str | None
) -> Resolved:
    """Resolve the variables *names*.

    A place that cannot be read becomes a problem, never an error: the plugin that needs a missing
    name raises the error.

    Args:
        environment: Environment of this process. The token and the address of Pulumi are
            PULUMI_ACCESS_TOKEN and PULUMI_BACKEND_URL, here or in the file.
        names: Names of the variables.
        dotenv: A `.env` file to read, or None.
        esc: Environment of Pulumi ESC to read, as `organization/project/name`, or None.
    """
    chain = _Chain(environment, names)
    if chain.missing and dotenv is not None:
        chain.look_into_file(dotenv)
    if chain.missing and esc is not None:
        chain.ask_esc(esc)
    values = {**environment, **chain.found} if chain.found else environment
    return Resolved(values=values, origin=chain.origin, problems=tuple(chain.problems))


class _Chain:
    """The variables found so far, and the missing names."""

    def __init__(self, environment: Mapping[str, str], names: Iterable[str]) -> None:
        self.environment = environment
        self.found: dict[str, str] = {}
        self.origin: dict[str, Origin] = {}
        self.problems: list[str] = []
        self.missing = tuple(dict.fromkeys(names))
        self._pulumi: Mapping[str, str] = environment
        self._take(environment, "environment")

    def _take(self, values: Mapping[str, str], origin: Origin) -> None:
        for name in self.missing:
            if value := values.get(name):
                self.origin[name] = origin
                if origin != "environment":
                    self.found[name] = value
        self.missing = tuple(name for name in self.missing if name not in self.origin)

    def look_into_file(self, path: Path) -> None:
        from materia_runner.secrets.dotenv import read_env_file

        file = read_env_file(path)
        self.problems += file.problems
        before = self.missing
        self._take(file.values, ".env")
        if file.exposed and (before != self.missing or TOKEN in file.values):
            self.problems.append(
                f"{path} is readable by every user on this machine; run: `{file.exposed}`"
            )
        self._pulumi = {
            name: value
            for name in (TOKEN, ADDRESS)
            if (value := self.environment.get(name) or file.values.get(name))
        }

    def ask_esc(self, environment: str) -> None:
        from materia_runner.secrets.pulumi_esc import CLOUD, VARIABLES, EscError, read_variables

        if not (token := self._pulumi.get(TOKEN)):
            self.problems.append(f"Pulumi ESC {environment} was not read: set {TOKEN} to use it")
            return
        url = self._pulumi.get(ADDRESS) or CLOUD
        try:
            given = read_variables(environment, token=token, url=url)
        except EscError as error:
            self.problems.append(f"Pulumi ESC {environment} cannot be read: {error}")
            return
        self._take(given.values, "Pulumi ESC")
        if misplaced := [name for name in self.missing if name in given.others]:
            self.problems.append(
                f"Pulumi ESC {environment} has {', '.join(misplaced)} outside of its {VARIABLES}; "
                f"move it into {VARIABLES}"
            )
        elif self.missing and not given.values:
            self.problems.append(
                f"Pulumi ESC {environment} has no {VARIABLES}; add the secrets there"
            )
