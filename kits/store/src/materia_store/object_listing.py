"""List objects of an S3 bucket: a listing is only a hint, and may be late, cut or repeated.

A listing may also contain unrelated objects. So the sink requests objects that it knows of by name,
and looks at an object before it deletes it.
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
    """The store repeats the same listing without end, or stops sending one."""


def every_object(store: S3Store, folder: str, *, limit: timedelta) -> dict[str, ObjectMeta]:
    """List every object below *folder*, by name; objects elsewhere are ignored.

    Raises:
        EndlessListingError: a page had nothing new, or no page came within *limit*.
        Exception: an error of the client.
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
    """The pages of *begin*, each within *limit*.

    They come from a thread, because the client follows empty pages without end and cannot be
    interrupted.
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
