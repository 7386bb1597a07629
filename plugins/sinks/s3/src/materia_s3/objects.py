"""The objects of this sink in the bucket: read, listed, and written with a condition.

Two promises of S3 carry everything else: an object is there whole or not at all, and a write with
`If-None-Match: *` or `If-Match` is refused when somebody was faster ("Conditional writes" in the S3
user guide). A store that ignores the condition is found out before the first write.
"""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from materia.errors import ConfigError, SinkError

from materia_s3.address import Address
from materia_s3.problems import OBSTORE, NotThereError, broke_off, explain, status_of

if TYPE_CHECKING:
    from obstore import Bytes, ObjectMeta, PutMode
    from obstore.store import S3Credential, S3Store

PART = 8 * 1024**2  # bytes of a request; with four at once, 2.5 Mbit/s is enough for the time-out
AT_ONCE = 4
TRIES = 4  # of a write whose fate is not known, each with the client's own repetitions
CHECK = "conditional-writes.txt"
CHECK_TEXT = b"materia tries on this object whether the store honours If-Match and If-None-Match.\n"
T = TypeVar("T")
NO_ETAG = '"00000000000000000000000000000000"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the store is waited for.

    Attributes:
        connect: Until it takes a connection.
        request: Until a request of up to `PART` bytes is answered, wholly.
        retries: How often a request is repeated that failed for no fault of ours.
        pause: Before the first repetition; each next one is about twice as long, up to 5 s.
        overall: After this, nothing is repeated any more.
    """

    connect: timedelta = timedelta(seconds=10)
    request: timedelta = timedelta(seconds=120)
    retries: int = 6
    pause: timedelta = timedelta(milliseconds=100)
    overall: timedelta = timedelta(minutes=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object as it was when it was asked for.

    Attributes:
        size: In bytes.
        etag: As the store sent it, quotes included: changes with every write.
        modified: When it was written, by the clock of the store.
        content: Its bytes, when it was read and not only listed.
    """

    size: int
    etag: str
    modified: datetime
    content: bytes = field(default=b"", repr=False)


class Objects:
    """All objects under the prefix of a bucket, by their names below it."""

    def __init__(
        self, address: Address, *, key: str, secret: str, patience: Patience | None = None
    ) -> None:
        """Nothing is asked before the first call."""
        self.address = address
        self._key, self._secret = key, secret
        self._patience = patience or Patience()
        self._checked = False

    @cached_property
    def _store(self) -> S3Store:
        from obstore.store import S3Store

        address, patience = self.address, self._patience

        def credential() -> S3Credential:
            return {
                "access_key_id": self._key,
                "secret_access_key": self._secret,
                "token": None,
                "expires_at": None,
            }

        return S3Store(
            address.bucket,
            prefix=address.prefix or None,
            region=address.region,
            endpoint=address.endpoint or f"https://s3.{address.region}.amazonaws.com",
            # What is not said here is taken from variables that were never declared.
            credential_provider=credential,
            skip_signature=False,
            conditional_put="etag",
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": (address.endpoint or "").startswith("http://"),
                "connect_timeout": patience.connect,
                "timeout": patience.request,
            },
            retry_config={
                "max_retries": patience.retries,
                "retry_timeout": patience.overall,
                "backoff": {
                    "init_backoff": patience.pause,
                    "max_backoff": timedelta(seconds=5),
                    "base": 2,
                },
            },
        )

    def read(self, name: str) -> Found | None:
        """A small object with its bytes; None when there is none of that name."""
        import obstore

        def get() -> Found:
            result = obstore.get(self._store, name)
            return _found(result.meta, bytes(result.bytes()))

        try:
            return self._do(get, "be read", name)
        except NotThereError:
            return None

    def ask(self, name: str) -> Found | None:
        """An object without its bytes; None when there is none of that name."""
        import obstore

        try:
            return self._do(lambda: _found(obstore.head(self._store, name)), "be asked for", name)
        except NotThereError:
            return None

    def listed(self, folder: str) -> dict[str, Found]:
        """Every object whose name begins with *folder* and a slash, by its name."""
        import obstore

        def get() -> dict[str, Found]:
            return {
                meta["path"]: _found(meta)
                for some in obstore.list(self._store, folder, chunk_size=1000)
                for meta in some
            }

        return self._do(get, "be listed", folder)

    def swap(self, name: str, content: bytes, *, expected: str | None) -> str | None:
        """Write an object whose ETag is *expected*, None for one that is not there.

        Returns its new ETag, or None when somebody was faster: then it is as they left it. An
        answer that was lost on the way is asked for again, so that one's own write is not taken
        for another's.

        Raises:
            ConfigError: the store ignores conditions.
            SinkError: it cannot be written.
        """
        import obstore

        self._check()
        mode: PutMode = "create" if expected is None else {"e_tag": expected}
        for left in reversed(range(TRIES)):
            try:
                result = obstore.put(self._store, name, content, mode=mode, use_multipart=False)
                return result["e_tag"] or NO_ETAG  # one that is not known matches nothing later
            except OBSTORE as error:
                problem = explain(error, self.address, "be written", name)
                if not _unclear(error):
                    raise problem from None
            now = self.read(name)
            if now is not None and now.content == content:
                return now.etag
            if (now.etag if now else None) != expected:
                return None
            if not left:
                raise problem
            self._pause()
        raise AssertionError("the last turn returns or raises")

    def keep(self, name: str, path: Path) -> None:
        """Upload a file to a name that tells its content, unless it is there already.

        Raises:
            ConfigError: the store ignores conditions.
            SinkError: it cannot be written.
        """
        import obstore

        size = path.stat().st_size
        if size > PART:
            there = self.ask(name)
            if there is None or there.size != size:
                self.upload(name, path)
            return
        self._check()
        content = path.read_bytes()
        for left in reversed(range(TRIES)):
            try:
                obstore.put(self._store, name, content, mode="create", use_multipart=False)
            except OBSTORE as error:
                problem = explain(error, self.address, "be written", name)
                if not _unclear(error):
                    raise problem from None
            else:
                return
            there = self.ask(name)
            if there is not None and there.size == size:
                return
            if there is not None:  # it was damaged since: its name says what it should be
                self.upload(name, path)
                return
            if not left:
                raise problem
            self._pause()

    def upload(self, name: str, path: Path) -> None:
        """Write a file to *name*, whatever is there; a large one in parts, that count as one."""
        import obstore

        def put() -> None:
            obstore.put(
                self._store,
                name,
                path,
                use_multipart=path.stat().st_size > PART,
                chunk_size=PART,
                max_concurrency=AT_ONCE,
            )

        self._do(put, "be written", name)

    def write(self, name: str, content: bytes) -> None:
        """Write an object, whatever is there."""
        import obstore

        self._do(
            lambda: obstore.put(self._store, name, content, use_multipart=False),
            "be written",
            name,
        )

    def download(self, name: str, target: Path) -> bool:
        """Write an object to the file *target*; False when there is none of that name.

        A large one comes in parts, several at once: each has the whole time-out for itself.
        """
        import obstore

        def first() -> tuple[int, bytes]:
            result = obstore.get(self._store, name)
            size = result.meta["size"]
            return size, bytes(result.bytes()) if size <= PART else b""

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
                    return obstore.get_range(self._store, name, start=start, end=end)

                content = self._do(get, "be read", name)
                if os.pwrite(file.fileno(), content, start) != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

            list(pool.map(part, range(0, size, PART)))
        return True

    def copy(self, name: str, to: str) -> None:
        """Copy an object inside the store, over whatever is there."""
        import obstore

        self._do(lambda: obstore.copy(self._store, name, to), "be copied", name)

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; those that are not there are no trouble."""
        import obstore

        if names:
            self._do(lambda: obstore.delete(self._store, names), "be deleted", names[0])

    def _do(self, call: Callable[[], T], doing: str, name: str) -> T:
        """What *call* gives, which may be done twice.

        Raises:
            NotThereError: there is no object of that name.
            MateriaError: as `problems.explain`.
        """
        for left in reversed(range(TRIES)):
            try:
                return call()
            except OBSTORE as error:
                # The client repeats everything but this.
                if not (left and broke_off(error)):
                    raise explain(error, self.address, doing, name) from None
            self._pause()
        raise AssertionError("the last turn returns or raises")

    def _check(self) -> None:
        """Find out, once, whether the store honours conditions; two small requests."""
        if self._checked:
            return
        # The first may make it.
        created = self._refused("create") or self._refused("create")
        if not (created and self._refused({"e_tag": NO_ETAG})):
            raise ConfigError(
                f"{self.address.url()}: the store at {self.address.endpoint or 'AWS'} ignores "
                "If-Match or If-None-Match, so two runs could destroy each other's work; "
                "use one that honours them, as AWS and Cloudflare R2 do"
            )
        self._checked = True

    def _refused(self, mode: PutMode) -> bool:
        from obstore import exceptions, put

        for left in reversed(range(TRIES)):
            try:
                put(self._store, CHECK, CHECK_TEXT, mode=mode, use_multipart=False)
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                return True
            except OBSTORE as error:
                if not (left and _unclear(error)):
                    raise explain(error, self.address, "be written", CHECK) from None
            else:
                return False
            self._pause()
        raise AssertionError("the last turn returns or raises")

    def _pause(self) -> None:
        time.sleep(self._patience.pause.total_seconds() * random.uniform(1, 3))  # noqa: S311 -- no secret, only apart


def _unclear(error: Exception) -> bool:
    """Whether the write may have been done all the same, or lost to another."""
    from obstore import exceptions

    if isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
        return True
    status = status_of(error)
    return type(error) is exceptions.GenericError and (
        status is None or status in {409, 412} or status >= 500
    )


def _found(meta: ObjectMeta, content: bytes = b"") -> Found:
    etag = meta["e_tag"]
    if etag is None:
        raise SinkError(f"{meta['path']}: the store sends no ETag; use another store")
    return Found(size=meta["size"], etag=etag, modified=meta["last_modified"], content=content)
