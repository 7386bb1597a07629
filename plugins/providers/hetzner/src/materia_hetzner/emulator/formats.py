"""Timestamps, key fingerprints, images and label selectors in the format of Hetzner's API."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def stamp(moment: datetime) -> str:
    """A timestamp in the API's format."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def fingerprint_of(public_key: str) -> str:
    """MD5 of the key's bytes, in pairs."""
    blob = public_key.split()[1] if " " in public_key else public_key
    try:
        content = base64.b64decode(blob, validate=True)
    except ValueError:
        content = blob.encode()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, 32, 2))


def image_body(number: int, image: tuple[str, str, str, str], architecture: str) -> dict[str, Any]:
    """A system image."""
    name, flavor, version, description = image
    return {
        "id": 160_000_000 + number,
        "type": "system",
        "status": "available",
        "name": name,
        "description": description,
        "image_size": None,
        "disk_size": 5,
        "created": "2026-01-10T08:00:00+00:00",
        "created_from": None,
        "bound_to": None,
        "os_flavor": flavor,
        "os_version": version,
        "architecture": architecture,
        "rapid_deploy": True,
        "protection": {"delete": False},
        "deprecated": None,
        "deleted": None,
        "labels": {},
    }


def selects(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether a label selector holds: `a`, `!a`, `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin ()`.

    A comma means `and`.
    """
    for part in re.split(r",(?![^(]*\))", selector):
        term = part.strip()
        if not term:
            continue
        if found := re.fullmatch(r"(\S+) +(in|notin) +\((.*)\)", term):
            among = labels.get(found[1]) in [value.strip() for value in found[3].split(",")]
            holds = among == (found[2] == "in")
        elif "!=" in term:
            key, value = term.split("!=")
            holds = labels.get(key) != value
        elif "=" in term:
            key, value = re.split("==?", term)
            holds = labels.get(key) == value
        elif term.startswith("!"):
            holds = term[1:] not in labels
        else:
            holds = term in labels
        if not holds:
            return False
    return True
