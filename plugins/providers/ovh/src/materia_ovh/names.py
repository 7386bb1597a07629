"""Names that carry run, stage and expiry: OVHcloud's instances have no tags or labels.

    materia-20261124t085500-ab12cd-extract--20261124T085500-ab12cd--extract--materia1795510500

Both prefix and suffix must match: a foreign `materia-web` is not materia's, and neither is a
database whose name has a worker's suffix.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from materia.errors import ProviderError
from materia_providers.labels import Owner

WORD = r"[A-Za-z0-9._]+(?:-[A-Za-z0-9._]+)*"
PATTERN = re.compile(
    rf"(?P<name>materia-[a-z0-9-]{{1,55}}?)--(?P<run>{WORD})--(?P<stage>{WORD})--materia(?P<expires>\d{{9,11}})"
)


def write_name(owner: Owner) -> str:
    """The name of all resources of an instance.

    Raises:
        ProviderError: the name could not be read back.
    """
    name = f"{owner.name}--{owner.run}--{owner.stage}--materia{int(owner.expires_at.timestamp())}"
    read = read_name(name)
    if read is None or (read.name, read.run, read.stage) != (owner.name, owner.run, owner.stage):
        raise ProviderError(
            f"ovh: {owner.name!r}, {owner.run!r} and {owner.stage!r} cannot be written into one "
            "name"
        )
    return name


def read_name(name: object) -> Owner | None:
    """The owner in a name, or None for a name that materia did not give."""
    found = PATTERN.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        return None
    return Owner(
        name=found["name"],
        run=found["run"],
        stage=found["stage"],
        expires_at=datetime.fromtimestamp(int(found["expires"]), UTC),
    )
