"""What an S3 store says it has: a hint, that is never taken for all there is.

A listing may be cut short, late, repeat itself or hold what nobody asked for. So what is known from
elsewhere to be there is asked for by its name, and what is to be deleted is looked at first.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obstore import ObjectMeta
    from obstore.store import S3Store

__all__ = [
    "EndlessListingError",
    "every_object",
]

PAGE = 1000


class EndlessListingError(Exception):
    """The store lists the same over and over."""


def every_object(store: S3Store, folder: str, *, limit: timedelta) -> dict[str, ObjectMeta]:
    """Each object that is listed below *folder*, by its name; others that come along are left out.

    Raises:
        EndlessListingError: a thousand lines told nothing new, or none came within *limit*.
        Exception: the client's.
    """
    found: dict[str, ObjectMeta] = {}
    for some in _within(limit, lambda: iter(obstore.list(store, folder, chunk_size=PAGE))):
        before = len(found)
        found |= {meta["path"]: meta for meta in some}
        if len(found) == before:
            raise EndlessListingError
    return {name: meta for name, meta in found.items() if name.startswith(f"{folder}/")}


def _within(
    limit: timedelta, begin: Callable[[], Iterator[Sequence[ObjectMeta]]]
) -> Iterator[Sequence[ObjectMeta]]:
    """What comes of *begin*, each within *limit*.

    The client follows an empty page to the next without end, and cannot be interrupted.
    """
    pages: queue.SimpleQueue[Sequence[ObjectMeta] | BaseException | None] = queue.SimpleQueue()
    ended = threading.Event()

    def follow() -> None:
        try:
            for page in begin():
                pages.put(page)
                if ended.is_set():
                    return
            pages.put(None)
        except BaseException as error:  # noqa: BLE001 -- raised where it is waited for
            pages.put(error)

    threading.Thread(target=follow, name="listing", daemon=True).start()
    try:
        while True:
            try:
                page = pages.get(timeout=limit.total_seconds())
            except queue.Empty:
                raise EndlessListingError from None
            if isinstance(page, BaseException):
                raise page
            if page is None:
                return
            yield page
    finally:
        ended.set()
