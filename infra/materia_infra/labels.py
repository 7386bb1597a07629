"""Labels of the supervisor: not those of materia's workers, so that no sweep takes it for one."""

from __future__ import annotations

LABELS = {"role": "materia-supervisor"}
