"""Which Python and processor the machines of a provider have: expected, and remembered.

What a worker runs is put together before a machine is rented, for what is expected of it. A machine
that turns out to be another is remembered under the settings it was rented with, so that the next
one is expected right.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from materia.compute import Architecture
from materia.kit.files import write_whole

from materia_runner.ledger.state import State

# The python3 of Debian 12 and 13, Ubuntu 24.04, 25.04 and 25.10, by what stands in the names of
# their images. The first that is found counts; another machine is remembered.
IMAGES = {
    r"debian.?13|trixie": "3.13",
    r"ubuntu.?24|noble": "3.12",
    r"ubuntu.?25|plucky|questing": "3.13",
    r"debian.?12|bookworm": "3.11",
}
USUAL_PYTHON = "3.11"
PROCESSORS: Mapping[str, Architecture] = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
FILE = "machines.json"


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What a machine has.

    Attributes:
        python: The version of its Python, such as `3.11`.
        architecture: Of its processor.
    """

    python: str
    architecture: Architecture

    def __str__(self) -> str:
        return f"Python {self.python} on {self.architecture}"


def expected(
    state: State, provider: str, settings: Mapping[str, Any], announced: Architecture
) -> MachineFacts:
    """What a machine will have that *provider* rents out as one with that processor.

    Args:
        state: Where it is remembered.
        provider: Its name.
        settings: Those of the provider: another image is another machine.
        announced: The processor that the offer names.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(_file(state).read_text(encoding="utf-8"))
        python, architecture = known[_key(provider, settings, announced)]
        if architecture in PROCESSORS.values() and re.fullmatch(r"3\.\d{1,2}", python):
            return MachineFacts(python, cast("Architecture", architecture))
    if any(_is_here(value) for value in settings.values()):
        here = PROCESSORS.get(platform.machine(), announced)
        return MachineFacts(f"3.{sys.version_info.minor}", here)
    image = str(settings.get("image") or "").lower()
    found = (python for words, python in IMAGES.items() if re.search(words, image))
    return MachineFacts(next(found, USUAL_PYTHON), announced)


def remember(
    state: State,
    provider: str,
    settings: Mapping[str, Any],
    announced: Architecture,
    facts: MachineFacts,
) -> None:
    """Take note of what a machine had; the arguments are those of `expected`."""
    path = _file(state)
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):
        known = dict(json.loads(path.read_text(encoding="utf-8")))
    key, value = _key(provider, settings, announced), [facts.python, facts.architecture]
    if known.get(key) == value:
        return
    with suppress(OSError):  # only saves a machine that is given up
        write_whole(path, json.dumps({**known, key: value}))


def _file(state: State) -> Path:
    return state.folder / FILE


def _key(provider: str, settings: Mapping[str, Any], announced: Architecture) -> str:
    text = json.dumps(dict(settings), sort_keys=True, default=str)
    return f"{provider} {announced} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _is_here(value: object) -> bool:
    """Whether it is the address of an API on this computer: that rents out emulated machines."""
    with suppress(ValueError):
        address = urlsplit(str(value))
        return address.scheme in {"http", "https"} and address.hostname in {"127.0.0.1", "::1"}
    return False
