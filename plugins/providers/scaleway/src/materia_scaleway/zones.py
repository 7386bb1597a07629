"""Zones and regions of Scaleway, and the selection from the settings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from materia.errors import ConfigError
from materia.kit.text import suggestion

from materia_scaleway.prices import region_of

# Scaleway docs, "Regions and Availability Zones", 2026-08; the SDK's list lacks Milan and Warsaw 3.
ZONES = (
    "fr-par-1",
    "fr-par-2",
    "fr-par-3",
    "it-mil-1",
    "nl-ams-1",
    "nl-ams-2",
    "nl-ams-3",
    "pl-waw-1",
    "pl-waw-2",
    "pl-waw-3",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Zones:
    """The zones in use.

    Attributes:
        names: Sorted.
        chosen: Whether the user named them; one that does not answer is then an error.
    """

    names: tuple[str, ...]
    chosen: bool

    def within(self, regions: tuple[str, ...]) -> Zones:
        """The zones in one of *regions*, which may be zones too; empty means all."""
        if not regions:
            return self
        wanted = {region.casefold() for region in regions}
        names = tuple(name for name in self.names if wanted & {name, region_of(name)})
        return replace(self, names=names)


def zones(wanted: tuple[str, ...]) -> Zones:
    """The zones that are named in *wanted*, by themselves or by their region; empty means all.

    Case does not matter.

    Raises:
        ConfigError: a name is neither a zone nor a region.
    """
    every = Zones(names=ZONES, chosen=bool(wanted))
    for name in wanted:
        if not every.within((name,)).names:
            known = sorted({*ZONES, *map(region_of, ZONES)})
            raise ConfigError(
                f"providers.scaleway.regions must contain names of regions or zones, has {name!r}"
                f"{suggestion(name, known)}; known: {', '.join(known)}"
            )
    return every.within(wanted)
