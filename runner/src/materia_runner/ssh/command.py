"""What is run on a worker over SSH, as values: where, what, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from materia_providers.cloud_init import LOGIN_USER, KeyPair


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTarget:
    """How to get into one instance, and how to know that it is the one.

    Attributes:
        host: Address or name.
        port: Where its SSH server listens.
        user: Who logs in.
        key: Lets the user in.
        host_key: The only one that is accepted, as one line: `ssh-ed25519 AAAA...`.
    """

    host: str
    key: KeyPair
    host_key: str
    port: int = 22
    user: str = LOGIN_USER


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCommand:
    """A command for a worker, run once however often the connection breaks.

    Attributes:
        id: Identity of this attempt, at most 100 of `a-z`, `0-9` and `-`: one worker runs it once
            and never again.
        argv: The program and its arguments; everybody on the worker can read them.
        directory: Where it runs, made when it is not there; relative to the user's home.
        input: Given on its standard input, which then stays open: its end means that nobody is
            there any more. The place for secrets.
        environment: Added to the worker's own; other users there cannot read it.
        limit: It is ended when it takes longer.
        lease: It is ended when the worker has not heard from this side for so long, and a broken
            connection is not resumed after that.
        grace: Between being asked to end and being killed.
    """

    id: str
    argv: tuple[str, ...]
    directory: str = "."
    input: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    limit: timedelta
    lease: timedelta = timedelta(seconds=60)
    grace: timedelta = timedelta(seconds=5)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9-]{1,100}", self.id):  # it names a folder on the worker
            raise ValueError(f"a script's id is made of a-z, 0-9 and -, {self.id!r} is not")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How a command ended.

    Attributes:
        status: Its exit code, or minus the number of the signal that ended it.
        reason: `exited` by itself, `limit` when its time was over, `stopped` from here.
        last_words: The end of what it wrote to standard error, by line.
        resumed: How often a broken connection was resumed.
    """

    status: int
    reason: str
    last_words: tuple[str, ...]
    resumed: int

    @property
    def ok(self) -> bool:
        """Whether it ended by itself and with 0."""
        return self.status == 0 and self.reason == "exited"
