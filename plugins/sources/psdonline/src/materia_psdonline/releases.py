"""Monthly releases: list the possible ones, and decide which are due; pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta

from materia.data import Known, Partition

from materia_psdonline.release_file.zip_member import stem

# A month can be rebuilt after its first publication: the coffee file of 2022-12 carries a date
# eleven days after that month's release day. Every run checks a year of months again.
RECHECKED_RELEASES = 12
# Older months, and months that were never released, are checked again this often, so that a late
# correction or a temporary fault of the server is noticed.
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
    """Whether to request *partition* now, from the records of earlier runs.

    Due are partitions never requested at this address, the newest releases, anything newer, files
    that could not be used, partitions that the server denied, and those not checked for a month.
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
