"""Predict the Python version and processor of a provider's machines, and remember the real ones.

materia builds the artifact before it rents a machine, for the predicted Python and processor. When
a machine differs, its facts are stored under the settings it was rented with, so that the next
prediction is right.
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

# The python3 of Debian 12 and 13, Ubuntu 24.04, 25.04 and 25.10, by a pattern of the image name.
# The first match counts; a machine that differs is remembered.
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
    """Python version and processor of a machine.

    Attributes:
        python: Python version, such as `3.11`.
        architecture: Architecture of the processor.
    """

    python: str
    architecture: Architecture

    def __str__(self) -> str:
        return f"Python {self.python} on {self.architecture}"


def expected(
    state: State, provider: str, settings: Mapping[str, Any], announced: Architecture
) -> MachineFacts:
    """Predict the facts of a machine from *provider*.

    Args:
        state: State folder with the remembered facts.
        provider: Name of the provider.
        settings: Settings of the provider, which include the image.
        announced: Processor architecture in the offer.
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
    """Remember the facts of a machine; the other arguments are those of `expected`."""
    path = _file(state)
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):
        known = dict(json.loads(path.read_text(encoding="utf-8")))
    key, value = _key(provider, settings, announced), [facts.python, facts.architecture]
    if known.get(key) == value:
        return
    with suppress(OSError):  # without it, the next run may rent a machine twice, no more
        write_whole(path, json.dumps({**known, key: value}))


def _file(state: State) -> Path:
    return state.folder / FILE


def _key(provider: str, settings: Mapping[str, Any], announced: Architecture) -> str:
    text = json.dumps(dict(settings), sort_keys=True, default=str)
    return f"{provider} {announced} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _is_here(value: object) -> bool:
    """Whether it is the address of an API on this computer: an emulator of a provider."""
    with suppress(ValueError):
        address = urlsplit(str(value))
        return address.scheme in {"http", "https"} and address.hostname in {"127.0.0.1", "::1"}
    return False
