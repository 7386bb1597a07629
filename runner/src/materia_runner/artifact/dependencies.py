"""Resolve the dependencies of a worker from the packages installed here, without an import."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.metadata import Distribution, PackageNotFoundError
from typing import Any

from materia.errors import ConfigError

CORE = "materia-core"
RUNNER = "materia-runner"
COMPILED = frozenset({".so", ".pyd", ".dylib"})
# The extra of core and of plugins with the packages that only the transform stage needs.
TRANSFORM = "transform"
# Requirements that a worker never uses. ipywidgets draws in notebooks; only SQLMesh's console for
# notebooks imports it, and it brings IPython, jedi and 17 more packages: 50 MB of 270. A worker has
# no command line, and rents no machines.
NOT_NEEDED = {
    ("sqlmesh", "ipywidgets"),
    ("rich", "ipywidgets"),
    (RUNNER, "typer"),
    (RUNNER, "materia-providers"),
}
# A worker runs no tests, so it never gets the test kit.
TEST_KIT = "materia-testing"

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")

Find = Callable[[str], Distribution | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Distributions of an artifact.

    Attributes:
        own: Distributions packed from this machine: core, the plugins of the pipeline, and those
            installed from a folder, a file or a repository, which may be on no package index.
        pins: Version by name of all other dependencies that are installed here. They include
            compiled plugins, because only an index has them for the target.
        asked: Names of these compiled plugins.
        extras: Extras to install for *own* and *asked*, where they exist.
        left_out: Names of requirements that no worker uses.
    """

    own: tuple[Distribution, ...]
    pins: Mapping[str, str]
    asked: tuple[str, ...]
    extras: tuple[str, ...]
    left_out: tuple[str, ...]


def installed(name: str) -> Distribution | None:
    """The distribution of that name in this environment, or None."""
    try:
        return metadata.distribution(name)
    except PackageNotFoundError:
        return None


def find_closure(
    roots: Iterable[str],
    find: Find = installed,
    *,
    extras: tuple[str, ...] = (TRANSFORM,),
    supervisor: bool = False,
) -> Dependencies:
    """The direct and indirect dependencies of the distributions *roots*, with these *extras*.

    It evaluates no markers except extras, because another platform has other markers. So there may
    be pins that the target does not need, which do no harm. A *supervisor* has a command line and
    rents machines.

    Raises:
        ConfigError: one of the roots is not installed.
    """
    waiting: list[tuple[str, tuple[str, ...]]] = [(normalized(root), extras) for root in roots]
    first = {name for name, _ in waiting}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    found: dict[str, Distribution] = {}
    cut: set[str] = set()
    while waiting:
        name, chosen = step = waiting.pop()
        if step in seen:
            continue
        seen.add(step)
        distribution = found.get(name) or find(name)
        if distribution is None:  # needed on other platforms only, or not installed
            continue
        found[name] = distribution
        for other, wanted in _required(distribution, chosen):
            unused = (name, other) in NOT_NEEDED and not (supervisor and name == RUNNER)
            if unused or other == TEST_KIT:
                cut.add(other)
            else:
                waiting.append((other, wanted))
    if absent := first - found.keys():
        raise ConfigError(
            f"cannot build the worker artifact: {', '.join(sorted(absent))} has a plugin here but "
            f"no package metadata; install it with pip or uv"
        )
    own = {
        name
        for name, one in found.items()
        if (name in first or direct_url(one) is not None) and not _is_compiled(one)
    }
    return Dependencies(
        own=tuple(found[name] for name in sorted(own)),
        pins={name: found[name].version for name in sorted(found.keys() - own)},
        asked=tuple(sorted(first - own)),
        extras=extras,
        left_out=tuple(sorted(cut - found.keys())),
    )


def _is_compiled(distribution: Distribution) -> bool:
    return any(path.suffix in COMPILED for path in distribution.files or ())


def _required(
    distribution: Distribution, extras: Iterable[str]
) -> Iterable[tuple[str, tuple[str, ...]]]:
    for line in distribution.requires or ():
        match = _REQUIREMENT.match(line)
        only_for = _EXTRA.findall(line)
        if match and (not only_for or not set(only_for).isdisjoint(extras)):
            wanted = tuple(sorted(filter(None, re.split(r"[\s,]+", match[2] or ""))))
            yield normalized(match[1]), wanted


def direct_url(distribution: Distribution) -> Mapping[str, Any] | None:
    """The direct URL that it was installed from (PEP 610); None when it came from an index."""
    text = distribution.read_text("direct_url.json")
    return None if text is None else json.loads(text)


def normalized(name: str) -> str:
    """The normalized name of a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
