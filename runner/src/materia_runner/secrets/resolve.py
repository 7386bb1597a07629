"""Where the values of secrets come from: the environment, then `.env`, then Pulumi ESC.

The first that has a name, and not empty, is used. Nobody is asked for a name that was found before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Origin = Literal["environment", ".env", "Pulumi ESC"]
TOKEN = "PULUMI_ACCESS_TOKEN"  # noqa: S105 -- the name of the variable
ADDRESS = "PULUMI_BACKEND_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What was found, and where.

    Attributes:
        values: The environment, and those of the names that were found elsewhere.
        origin: Where each name was found; one that is not here is set nowhere.
        problems: A sentence, with its remedy and without any value, for each thing that is wrong
            with a place where something was looked for.
    """

    values: Mapping[str, str]
    origin: Mapping[str, Origin]
    problems: tuple[str, ...]


def resolve(
    environment: Mapping[str, str], *, names: Iterable[str], dotenv: Path | None, esc: str | None
) -> Resolved:
    """The environment and what of *names* was found elsewhere.

    A place that cannot be read is a problem and never an error: whoever misses a name says so.

    Args:
        environment: Of this process. The token and the address of Pulumi are PULUMI_ACCESS_TOKEN
            and PULUMI_BACKEND_URL, here or in the file.
        names: The variables that are wanted.
        dotenv: File to look into, or None.
        esc: Environment of Pulumi ESC to look into, as `organization/project/name`, or None.
    """
    chain = _Chain(environment, names)
    if chain.missing and dotenv is not None:
        chain.look_into_file(dotenv)
    if chain.missing and esc is not None:
        chain.ask_esc(esc)
    values = {**environment, **chain.found} if chain.found else environment
    return Resolved(values=values, origin=chain.origin, problems=tuple(chain.problems))


class _Chain:
    """What has been found so far."""

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
                f"{path} can be read by everybody on this machine; run: {file.exposed}"
            )
        self._pulumi = {
            name: value
            for name in (TOKEN, ADDRESS)
            if (value := self.environment.get(name) or file.values.get(name))
        }

    def ask_esc(self, environment: str) -> None:
        from materia_runner.secrets.pulumi_esc import CLOUD, VARIABLES, EscError, read_variables

        if not (token := self._pulumi.get(TOKEN)):
            self.problems.append(f"Pulumi ESC {environment} was not asked: set {TOKEN} to use it")
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
                f"Pulumi ESC {environment} has {', '.join(misplaced)}, but not among its "
                f"{VARIABLES}, where it is looked for"
            )
        elif self.missing and not given.values:
            self.problems.append(
                f"Pulumi ESC {environment} gives no {VARIABLES}, where secrets are looked for"
            )
