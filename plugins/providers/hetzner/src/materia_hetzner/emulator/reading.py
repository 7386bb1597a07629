"""What a request to the emulated Hetzner Cloud names: things by id, name or label, and changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from materia_testing.emulation.exchange import BadBody, Refusal, Request

from materia_hetzner.emulator.bodies import LABEL_PATTERN
from materia_hetzner.emulator.errors import refusal
from materia_hetzner.emulator.formats import selects
from materia_hetzner.emulator.project import HetznerProject


class Reading(HetznerProject):
    """The state, and what requests say about it."""

    def _find(self, things: Mapping[int, Any], identity: str) -> Any:
        if not identity.isdecimal() or int(identity) not in things:
            raise Refusal(self.errors["not_found"])
        return things[int(identity)]

    def _named(self, things: Mapping[int, Any], request: Request) -> list[Any]:
        names, selector = request.all("name"), request.first("label_selector")
        return [
            thing
            for thing in things.values()
            if (not names or thing.name in names) and selects(selector, thing.labels)
        ]

    def _labels(self, request: Request) -> dict[str, str]:
        labels = request.json.get("labels") or {}
        for key, value in labels.items():
            if not LABEL_PATTERN.fullmatch(key) or (value and not LABEL_PATTERN.fullmatch(value)):
                raise BadBody("labels", f"label {key}={value} is not correctly formatted")
        return dict(labels)

    def _check_name(self, things: Mapping[int, Any], name: str, what: str, own: int = 0) -> None:
        """Refuse a name that another thing of the kind has."""
        if any(other.name == name and other.id != own for other in things.values()):
            raise Refusal(refusal(409, "uniqueness_error", f"{what} name is already used"))

    def _update(self, things: Mapping[int, Any], identity: str, request: Request, what: str) -> Any:
        """Change the name and the labels that the body has; nothing when one is refused."""
        thing = self._find(things, identity)
        name, labels = request.json.get("name", thing.name), self._labels(request)
        if not isinstance(name, str) or not name:
            raise BadBody("name", "must not be empty")
        self._check_name(things, name, what, own=thing.id)
        thing.name = name
        if "labels" in request.json:
            thing.labels = labels
        return thing
