"""Which monthly releases there can be, and which of them are worth asking for. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta

from materia.data import Known, Partition

from materia_psdonline.release_file.zip_member import stem

# A month can be rebuilt after its first publication: the coffee file of 2022-12 carries a date
# eleven days after that month's release day. A year of months is asked for again at every run.
RECHECKED_RELEASES = 12
# Older months, and months that were never released, are asked for again this often, so that
# neither a late correction nor a passing fault of the server lasts for ever.
SETTLED_FOR = timedelta(days=30)


def months(first: date, last: date) -> Iterator[date]:
    """The first day of every month from *first* to *last*, both included."""
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = (month + timedelta(days=32)).replace(day=1)


def key_of(month: date, file: str) -> str:
    """The partition key of one file of one release, for example `2025-11/psd_alldata`."""
    return f"{month:%Y-%m}/{stem(file)}"


def release_of(key: str) -> tuple[date, str]:
    """`2025-11/psd_alldata` -> (2025-11-01, `psd_alldata`)."""
    month, _, archive = key.partition("/")
    return date.fromisoformat(f"{month}-01"), archive


def all_partitions(
    base: str, first: date, files: tuple[str, ...], today: date
) -> Iterator[Partition]:
    """Every month from *first* to *today*'s, oldest first, for each of the *files*."""
    for month in months(first, today):
        for file in files:
            yield Partition(
                key=key_of(month, file), url=f"{base}/{month:%Y}/{month:%m}/{file}", file=file
            )


def is_due(partition: Partition, known: Mapping[str, Known], now: datetime) -> bool:
    """Whether to ask for *partition* now, by what was learnt before.

    Asked for are: what was never asked at this address, the newest releases, whatever is newer
    than all of them, what could not be used, what the server denied, and what has not been asked
    for a month.
    """
    before = known.get(partition.key)
    if before is None or before.url != partition.url or before.refused is not None:
        return True
    if before.denied:
        return True
    if now - before.checked_at >= SETTLED_FOR:
        return True
    releases = sorted(key for key, entry in known.items() if entry.raw and _same(key, partition))
    if not releases or partition.key > releases[-1]:
        return True
    return not before.absent and partition.key in releases[-RECHECKED_RELEASES:]


def _same(key: str, partition: Partition) -> bool:
    return release_of(key)[1] == release_of(partition.key)[1]
