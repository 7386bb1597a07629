"""Which distributions a worker needs, by what is installed here. Nothing is imported or fetched."""

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
# Of core and of any plugin: what the transform stage alone needs.
TRANSFORM = "transform"
# What is asked for by these and used by none of them where nobody looks on. ipywidgets draws in
# notebooks; it is imported only inside SQLMesh's console for notebooks, and brings IPython, jedi
# and 17 more: 50 MB of 270. A worker has no command line, and rents no machines.
NOT_NEEDED = {
    ("sqlmesh", "ipywidgets"),
    ("rich", "ipywidgets"),
    (RUNNER, "typer"),
    (RUNNER, "materia-providers"),
}
# Nothing is tested on a worker, whatever asks for it.
TEST_KIT = "materia-testing"

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")

Find = Callable[[str], Distribution | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """What goes into an artifact.

    Attributes:
        own: Packed as they are here: core, the plugins of the pipeline, and whatever was
            installed from a folder, a file or a repository, as no index may have it.
        pins: Version by name of everything else that these may need and that is installed here:
            also of a plugin that is compiled, as only an index can have it for the target.
        asked: The names of such plugins.
        extras: Wanted of all of *own* and *asked* that have them.
        left_out: Names of what some ask for and none uses.
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
    roots: Iterable[str], find: Find = installed, *, extras: tuple[str, ...] = (TRANSFORM,)
) -> Dependencies:
    """What the distributions *roots* need, directly or not, with these *extras*.

    Markers other than extras are not evaluated: for another platform they have another answer. So
    there may be pins of what the target does not need, which do no harm.

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
        if distribution is None:  # needed on other platforms only, or missing here too
            continue
        found[name] = distribution
        for other, wanted in _required(distribution, chosen):
            if (name, other) in NOT_NEEDED or other == TEST_KIT:
                cut.add(other)
            else:
                waiting.append((other, wanted))
    if absent := first - found.keys():
        raise ConfigError(
            f"nobody knows what to give to workers of {', '.join(sorted(absent))}: its plugin is "
            f"here and it is not installed; install it with pip or uv"
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
    """Where it was installed from when that was no index (PEP 610), or None."""
    text = distribution.read_text("direct_url.json")
    return None if text is None else json.loads(text)


def normalized(name: str) -> str:
    """The name of a distribution as it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
