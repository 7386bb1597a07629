"""SSH command: target, command and result, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from materia_providers.cloud_init import LOGIN_USER, KeyPair


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTarget:
    """SSH target: address, login and host key of one instance.

    Attributes:
        host: Host name or IP address.
        port: Port of its SSH server.
        user: Login user.
        key: Key pair of the login user.
        host_key: The only host key to accept, as one line: `ssh-ed25519 AAAA...`.
    """

    host: str
    key: KeyPair
    host_key: str
    port: int = 22
    user: str = LOGIN_USER


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCommand:
    """A command for a worker, which runs exactly once even if the connection breaks.

    Attributes:
        id: Id of this attempt, at most 100 of `a-z`, `0-9` and `-`; a worker runs each id once.
        argv: The program and its arguments; every user on the worker can read them.
        directory: Working folder, created when missing; relative to the user's home.
        input: Text for its standard input, which then stays open: its end means that the runner is
            gone. The place for secrets.
        environment: Variables to add to the worker's own; other users there cannot read them.
        limit: Time limit: the agent ends a command that takes longer.
        lease: The agent ends the command when it has not heard from the runner for so long; a
            broken connection is not resumed after that.
        grace: Time between SIGTERM and SIGKILL.
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
            raise ValueError(f"the id of a command has only a-z, 0-9 and -, {self.id!r} has others")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """Result of a command.

    Attributes:
        status: Exit code, or minus the number of the signal that ended it.
        reason: `exited` by itself, `limit` at its time limit, `stopped` by the runner.
        last_words: Last lines of its standard error.
        resumed: Number of times that a broken connection was resumed.
    """

    status: int
    reason: str
    last_words: tuple[str, ...]
    resumed: int

    @property
    def ok(self) -> bool:
        """Whether it exited by itself with status 0."""
        return self.status == 0 and self.reason == "exited"
