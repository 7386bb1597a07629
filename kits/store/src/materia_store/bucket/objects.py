"""Read, list, upload and delete objects in a bucket; conditional writes (If-Match).

The sink relies on two guarantees of S3: an object exists completely or not at all, and a write
with `If-None-Match: *` or `If-Match` fails when another writer was faster ("Conditional writes" in
the S3 user guide). materia detects a store that ignores the condition before the first write.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from materia.errors import MateriaError, SinkError
from obstore import exceptions

from materia_store.bucket.address import Address
from materia_store.bucket.conditions import NO_ETAG, check_conditions
from materia_store.bucket.errors import OBSTORE, NotThereError, explain, status_of
from materia_store.object_listing import EndlessListingError, every_object
from materia_store.object_store import Key, Patience, StoreClient
from materia_store.object_store_errors import OddAnswerError, is_passing

if TYPE_CHECKING:
    from obstore import Bytes, ObjectMeta, PutMode

__all__ = [
    "ListedObject",
    "Objects",
]

PART = (
    8 * 1024**2
)  # bytes per request; with four in parallel, 2.5 Mbit/s is enough for the time-out
AT_ONCE = 4
# Some stores answer 200 with an error message in place of the object.
ERROR = re.compile(rb"\s*(?:<\?xml[^>]*\?>)?\s*<Error[ >].{0,4096}", re.DOTALL)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedObject:
    """An object at the time of a request.

    Attributes:
        size: Size in bytes.
        etag: From the store, quotes included: changes with every write. Empty if a listing has
            none.
        modified: When it was written, by the clock of the store.
        content: Its bytes, if it was read and not only listed.
    """

    size: int
    etag: str
    modified: datetime
    content: bytes = field(default=b"", repr=False)


class Objects:
    """All objects under the prefix of a bucket; names are relative to the prefix."""

    def __init__(
        self,
        address: Address,
        *,
        key: str,
        secret: str,
        token: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Open the bucket; this sends no request. A temporary key has a session *token*."""
        self.address = address
        self._client = StoreClient(
            address.place, Key(identity=key, secret=secret, token=token), patience or Patience()
        )
        self._checked = False

    def read(self, name: str, *, longest: int | None = None) -> ListedObject | None:
        """A small object with its bytes; None when no object has that name.

        Raises:
            MateriaError: the request failed (see `errors.explain`), or the object has more than
                *longest* bytes.
        """

        def get() -> ListedObject:
            result = obstore.get(self._client.store, name)
            if longest is not None and result.meta["size"] > longest:
                raise SinkError(
                    f"{self.address.url(name)}: has {result.meta['size']:,} bytes, and this kind "
                    f"of file has at most {longest:,}; delete it if no program needs it"
                )
            return _found(result.meta, _plain(bytes(result.bytes()), result.meta["size"]))

        try:
            return self._do(get, "be read", name)
        except NotThereError:
            return None

    def ask(self, name: str) -> ListedObject | None:
        """An object without its bytes; None when no object has that name."""
        try:
            return self._do(
                lambda: _found(obstore.head(self._client.store, name)), "be looked up", name
            )
        except NotThereError:
            return None

    def listed(self, folder: str) -> dict[str, ListedObject]:
        """The objects listed below *folder*, by name; a listing may be incomplete.

        Raises:
            MateriaError: the request failed (see `errors.explain`), or the listing has no end.
        """
        client = self._client
        try:
            found = self._do(
                lambda: every_object(client.store, folder, limit=client.list_limit),
                "be listed",
                folder,
            )
        except EndlessListingError:
            raise SinkError(
                f"{self.address.url(folder)}: cannot list it: the store repeats the same list "
                "without end; use another store"
            ) from None
        return {name: _listed(meta) for name, meta in found.items()}

    def swap(self, name: str, content: bytes, *, expected: str | None) -> str | None:
        """Write an object if its ETag is *expected*, or None for a new object.

        Returns the new ETag, or None when another writer was faster: then the object is unchanged.
        After a lost answer this reads the object, to distinguish its own write from another's.

        Raises:
            ConfigError: the store ignores conditions.
            SinkError: the write failed.
        """
        mode: PutMode = "create" if expected is None else {"e_tag": expected}
        waiting = self._client.waiting()
        while True:
            try:
                return self._put(name, content, mode)
            except OBSTORE as error:
                problem = self._explained(error, "be written", name)
                fault = error
                if not _unclear(error):
                    raise problem from None
            now = self.read(name)
            if now is not None and now.content == content:
                return now.etag
            if (now.etag if now else None) != expected:
                return None
            if not waiting.again(fault):
                raise problem

    def keep(self, name: str, path: Path) -> None:
        """Upload a file to a name that contains its hash, unless the object exists.

        Raises:
            ConfigError: the store ignores conditions.
            SinkError: the write failed.
        """
        size = path.stat().st_size
        if size > PART:
            there = self.ask(name)
            if there is None or there.size != size:
                self.upload(name, path)
            return
        content = path.read_bytes()
        waiting = self._client.waiting()
        while True:
            try:
                self._put(name, content, "create")
            except OBSTORE as error:
                problem = self._explained(error, "be written", name)
                fault = error
                if not _unclear(error):
                    raise problem from None
            else:
                return
            there = self.ask(name)
            if there is not None and there.size == size:
                return
            if there is not None:  # damaged since: its name has the right hash
                self.upload(name, path)
                return
            if not waiting.again(fault):
                raise problem

    def upload(self, name: str, path: Path) -> None:
        """Upload a file to *name*, replacing any object; a large one as a multipart upload.

        Raises:
            SinkError: the write failed, or the stored object has another size.
        """
        size = path.stat().st_size
        client = self._client

        def put() -> None:
            with client.writing(name):
                obstore.put(
                    client.store if size <= PART else client.enduring,
                    name,
                    path,
                    use_multipart=size > PART,
                    chunk_size=PART,
                    max_concurrency=AT_ONCE,
                )

        self._do(put, "be written", name, repeat=size <= PART)
        self._see(name, size)

    def write(self, name: str, content: bytes) -> None:
        """Write an object, replacing any other."""

        def put() -> None:
            with self._client.writing(name):
                obstore.put(self._client.store, name, content, use_multipart=False)

        self._do(put, "be written", name)

    def download(self, name: str, target: Path) -> bool:
        """Download an object to the file *target*; False when no object has that name.

        A large one is downloaded in several parallel parts, each with its own time-out.
        """
        store = self._client.store

        def first() -> tuple[int, bytes]:
            result = obstore.get(store, name)
            size = result.meta["size"]
            return size, _plain(bytes(result.bytes()), size) if size <= PART else b""

        try:
            size, content = self._do(first, "be read", name)
        except NotThereError:
            return False
        if size <= PART:
            target.write_bytes(content)
            return True
        with target.open("wb") as file, ThreadPoolExecutor(AT_ONCE, "download") as pool:

            def part(start: int) -> None:
                def get() -> Bytes:
                    end = min(start + PART, size)
                    return obstore.get_range(store, name, start=start, end=end)

                content = self._do(get, "be read", name)
                if os.pwrite(file.fileno(), content, start) != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

            list(pool.map(part, range(0, size, PART)))
        return True

    def copy(self, name: str, to: str, *, size: int) -> None:
        """Copy an object of *size* bytes inside the store, replacing any other.

        Raises:
            SinkError: the copy failed or has another size.
        """

        def copy() -> None:
            with self._client.writing(to):
                obstore.copy(self._client.store, name, to)

        self._do(copy, "be copied", name)
        self._see(to, size)

    def delete(self, names: Iterable[str]) -> dict[str, MateriaError]:
        """Delete objects one by one; return those that remain, each with the reason.

        A missing object is not an error. This stops when the store is overloaded.
        """
        left: dict[str, MateriaError] = {}
        late: OSError | Exception | None = None
        for name in names:
            try:
                if late is None:
                    self._client.repeat(lambda name=name: obstore.delete(self._client.store, name))  # type: ignore[misc]
                    continue
                error: Exception = late
            except OBSTORE as fault:
                error = fault
                late = fault if is_passing(fault) else None
            problem = self._explained(error, "be deleted", name)
            if not isinstance(problem, NotThereError):
                left[name] = problem
        return left

    def _put(self, name: str, content: bytes, mode: PutMode) -> str:
        """Write an object on a condition, without retries; return its new ETag."""
        if not self._checked:
            check_conditions(self._client, self.address)
            self._checked = True
        store = self._client.store
        with self._client.writing(name):
            result = self._client.once(
                lambda: obstore.put(store, name, content, mode=mode, use_multipart=False)
            )
        return result["e_tag"] or NO_ETAG  # an unknown ETag would match nothing later

    def _see(self, name: str, size: int) -> None:
        """Verify a write: a store may answer with success and have nothing."""
        there = self.ask(name)
        if there is None or there.size != size:
            has = "it does not exist" if there is None else f"it has {there.size} bytes"
            raise SinkError(
                f"{self.address.url(name)}: cannot write it: the store took {size} bytes, and "
                f"now {has}; run again, or use another store"
            )

    def _do(self, call: Callable[[], T], doing: str, name: str, *, repeat: bool = True) -> T:
        """The result of *call*, which is safe to repeat.

        Raises:
            NotThereError: no object has that name.
            MateriaError: the request failed; see `errors.explain`.
        """
        try:
            return self._client.repeat(call) if repeat else self._client.once(call)
        except OBSTORE as error:
            raise self._explained(error, doing, name) from None

    def _explained(self, error: Exception, doing: str, name: str) -> MateriaError:
        return explain(error, self.address, doing, name, elsewhere=self._client.redirect_of(error))


def _unclear(error: Exception) -> bool:
    """Whether the write may have succeeded all the same, or another writer was faster."""
    if isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
        return True
    return type(error) is exceptions.GenericError and (
        status_of(error) in {None, 409, 412} or is_passing(error)
    )


def _plain(content: bytes, size: int) -> bytes:
    """The bytes of an object.

    Raises:
        OddAnswerError: they are an error message in place of the object.
    """
    if (found := ERROR.match(content)) is not None:
        raise OddAnswerError(found[0].decode(errors="replace"))
    if len(content) != size:
        raise OddAnswerError(f"{len(content)} of {size} bytes arrived")
    return content


def _found(meta: ObjectMeta, content: bytes = b"") -> ListedObject:
    etag = meta["e_tag"]
    if etag is None:
        raise SinkError(f"{meta['path']}: the store sends no ETag; use another store")
    return ListedObject(
        size=meta["size"], etag=etag, modified=meta["last_modified"], content=content
    )


def _listed(meta: ObjectMeta) -> ListedObject:
    return ListedObject(size=meta["size"], etag=meta["e_tag"] or "", modified=meta["last_modified"])
