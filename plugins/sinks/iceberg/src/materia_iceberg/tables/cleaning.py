"""Expire snapshots and delete orphan files of Iceberg tables.

A snapshot stays if a tag or another branch needs it, if one of the last publications names it, or
if it is young. The sink deletes a file if no remaining snapshot refers to it, if it is not young (a
running publish may just have uploaded it), and if its name has the form that materia gives to files
of this table: another table may have the same folder. It deletes the files of a dropped table some
time after the drop.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import unquote

from materia_iceberg.catalog.client import Catalog
from materia_iceberg.catalog.table_state import RUN, TableState, mark_of
from materia_iceberg.catalogued import Dropped
from materia_iceberg.keeping import Keeping
from materia_iceberg.tables.files import TableFiles, object_of
from materia_iceberg.tables.manifests import files_in, manifests_in

UNIQUE = "MARK(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
DATA = rf"data/([^/]+)-{UNIQUE}\.parquet"
MANIFEST = rf"metadata/(?:{UNIQUE}-m\d+|snap-\d+-\d+-{UNIQUE})\.avro"
# What a catalog writes beside them, such as 00001-7c2e...-.metadata.json.
METADATA = re.compile(r"metadata/[^/]+\.metadata\.json")
READERS = 8


def expired(
    state: TableState, kept: set[int], keeping: Keeping, *, now: datetime
) -> tuple[int, ...]:
    """The snapshots of a table to expire, oldest first."""
    held = {state.head, *kept}
    for ref in state.refs.values():
        held |= {int(one["snapshot-id"]) for one in state.line(ref)}
    limit = (now - keeping.young).timestamp() * 1000
    found = sorted(
        (int(one["timestamp-ms"]), number)
        for number, one in state.snapshots.items()
        if number not in held and int(one["timestamp-ms"]) < limit
    )
    return tuple(number for _, number in found) if len(found) >= keeping.together else ()


class Cleaning:
    """Deletes orphan files after a publication."""

    def __init__(self, catalog: Catalog, keeping: Keeping) -> None:
        """Load the current snapshots from *catalog*; *keeping* says how long files stay."""
        self._catalog = catalog
        self._keeping = keeping

    def remove_unneeded(self, state: TableState, files: TableFiles, *, run: str) -> None:
        """Delete files of a table that killed runs and expired snapshots left.

        This reads manifests only if a file belongs to a run or a snapshot that the table lacks.
        """
        of_data, of_manifest = _forms(state.mark)
        old = self._old_files(state.location, files, (of_data, of_manifest))
        runs = {str((one.get("summary") or {}).get(RUN)) for one in state.snapshots.values()}
        data = (of_data.fullmatch(name) for name in old)
        if all(found is None or unquote(found[1]) in {run, *runs} for found in data) and not any(
            _gone(state, name) for name in old
        ):
            return
        now = self._catalog.load(state.name)
        if now is None:
            return
        # An address may begin with s3:// here and with s3a:// there.
        needed = {object_of(place) for place in reachable(now, files)}
        files.delete([place for place in old.values() if object_of(place) not in needed])

    def remove_dropped(self, dropped: Dropped, files: TableFiles) -> None:
        """Delete the remaining files of a dropped table, unless the drop is recent.

        The catalog says where they are, so this deletes only files that are of this table by their
        names, and those of the catalog that contain its UUID.
        """
        if dropped.since >= datetime.now(UTC) - self._keeping.young:
            return
        forms = (*_forms(mark_of(dropped.uuid)), METADATA)
        files.delete(
            [
                place
                for name, place in self._old_files(dropped.location, files, forms).items()
                if not METADATA.fullmatch(name) or _describes(files.read(place), dropped.uuid)
            ]
        )

    def _old_files(
        self,
        location: str,
        files: TableFiles,
        forms: Sequence[re.Pattern[str]],
    ) -> dict[str, str]:
        """Addresses of files, by name, that have one of the *forms* and are not young."""
        limit = datetime.now(UTC) - self._keeping.young
        found = {
            place.removeprefix(f"{location}/"): place
            for place, one in files.listed(location).items()
            if one.modified < limit
        }
        return {
            name: place
            for name, place in found.items()
            if any(form.fullmatch(name) for form in forms)
        }


def reachable(state: TableState, files: TableFiles) -> set[str]:
    """Addresses of all files that some snapshot of the table refers to.

    Raises:
        MateriaError: a manifest cannot be read; then no file may be deleted.
    """
    lists = {str(one["manifest-list"]) for one in state.snapshots.values()}
    with ThreadPoolExecutor(READERS, thread_name_prefix="manifests") as pool:
        listed = pool.map(lambda place: manifests_in(files.read(place)), lists)
        manifests = {place for some in listed for place in some}
        named = pool.map(lambda place: files_in(files.read(place)), manifests)
        places = {place for some in named for place in some}
    return lists | manifests | places


def _forms(mark: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The names of data files, with the run, and of manifests of the table with this mark."""
    return re.compile(DATA.replace("MARK", mark)), re.compile(MANIFEST.replace("MARK", mark))


def _describes(content: bytes, uuid: str) -> bool:
    """Whether a metadata file of a catalog describes the table with this UUID."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("table-uuid") == uuid


def _gone(state: TableState, name: str) -> bool:
    """Whether *name* is the manifest list of a snapshot that no longer exists."""
    found = re.fullmatch(r"metadata/snap-(\d+)-.*", name)
    return found is not None and int(found[1]) not in state.snapshots
