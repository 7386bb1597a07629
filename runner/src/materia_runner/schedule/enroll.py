"""Enroll a supervisor over SSH: send it the release, materia.toml and the secrets, start timers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from materia.errors import ConfigError, StageError
from materia.kit.files import write_whole
from materia_providers.cloud_init import KeyPair

from materia_runner.ssh.command import RemoteCommand, SshTarget
from materia_runner.ssh.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from materia_runner.artifact.target import Artifact
    from materia_runner.ledger.state import State

USER = "materia"
SSH_PORT = 22
LOGIN_TIMEOUT = timedelta(minutes=5)  # a machine may be booting
LIMIT = timedelta(minutes=10)
HOST_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{60,100}={0,2}")
SCRIPT = Path(__file__).with_name("enroll_script.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What a supervisor gets.

    Attributes:
        name: Name of the pipeline.
        config: The text of its materia.toml.
        secrets: The variables that the runs need.
    """

    name: str
    config: str
    secrets: Mapping[str, str]


class KnownHosts:
    """Host keys of supervisors that made one themselves, in the state folder.

    Behind one address there may be several, each on a port of its own.
    """

    def __init__(self, state: State, host: str, port: int = SSH_PORT) -> None:
        name = re.sub("[^A-Za-z0-9.-]", "_", host) + (f"@{port}" if port != SSH_PORT else "")
        self._file = state.folder / "supervisors" / f"{name}.pub"

    def read(self) -> str | None:
        """The host key, as one line; None before the first enrolment."""
        try:
            text = self._file.read_text().strip()
        except FileNotFoundError:
            return None
        return text if HOST_KEY.fullmatch(text) else None

    def write(self, host_key: str) -> None:
        """Keep a host key.

        Raises:
            ConfigError: the state folder cannot be written.
        """
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._file, f"{host_key}\n", mode=0o600)
        except OSError as error:
            raise ConfigError(
                f"cannot write {self._file}: {error.strerror or error}; make the state folder "
                "writable"
            ) from error


def environment_file(secrets: Mapping[str, str]) -> str:
    """Variables as systemd reads them from a file: each in quotes, on a line or several."""

    def quoted(value: str) -> str:
        return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'

    return "".join(f"{name}={quoted(value)}\n" for name, value in sorted(secrets.items()))


def checked_host_key(text: str) -> str:
    """A host key as one line, without its comment.

    Raises:
        ConfigError: it is none.
    """
    words = text.split()[:2]
    if not HOST_KEY.fullmatch(" ".join(words)):
        raise ConfigError(
            "the host key must be one line like `ssh-ed25519 AAAA...`; for a supervisor of infra/: "
            "`pulumi stack output supervisorHostKey`"
        )
    return " ".join(words)


def login_key(path: Path) -> KeyPair:
    """The key to log in with, from its file.

    Raises:
        ConfigError: it cannot be read, or has a passphrase.
    """
    import asyncssh

    try:
        key = asyncssh.read_private_key(path)
        return KeyPair(
            public=key.export_public_key().decode().strip(),
            private=key.export_private_key().decode(),
        )
    except OSError as error:
        raise ConfigError(f"cannot read the key {path}: {error.strerror or error}") from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise ConfigError(
            f"{path} cannot be used: {error}; use a private key without a passphrase"
        ) from error


def enroll(
    target: SshTarget,
    enrolment: Enrolment,
    *,
    known: KnownHosts,
    artifact: Callable[[str, str], Artifact],
    say: Callable[[str], None],
    timeout: timedelta = LOGIN_TIMEOUT,
) -> str:
    """Install the release, the configuration, the secrets and the timers; start the timers.

    Then the supervisor makes a new host key, which never leaves it, and this computer keeps its
    public part: the key that came with user data can be read there by every process. A second call
    replaces everything, and keeps the host key if the supervisor made it.

    Args:
        target: The supervisor, and how to log in as root.
        enrolment: What it gets.
        known: Keeps its host key.
        artifact: The command line for a Python version and a processor.
        say: Shows a sentence.
        timeout: How long to wait for the login.

    Returns:
        The host key from now on.

    Raises:
        HostKeyError: another host key answers there; nothing was sent.
        ReadyTimeoutError: no login succeeded within *timeout*.
        StageError: the supervisor could not carry it out; the message has its words.
        WorkerLostError: it went out of reach; enroll again.
    """
    with Session(target, timeout=timeout) as session:
        facts = session.look()
        python = ".".join(str(part) for part in facts["python"])
        machine = {"x86_64": "x86_64", "aarch64": "arm64"}.get(facts["machine"], facts["machine"])
        file = artifact(python, machine)
        say(f"sending materia for Python {python} on {machine}")
        unpacked = f".materia-enroll/{file.sha256}"
        session.upload(file.path, unpacked, sha256=file.sha256, unpack=True)
        answer = _carry_out(
            session,
            target,
            {
                "do": "install",
                "user": USER,
                "name": enrolment.name,
                "unpacked": unpacked,
                "sha256": file.sha256,
                "config": enrolment.config,
                "secrets": environment_file(enrolment.secrets),
            },
        )
        if answer["code"]:
            raise StageError(
                f"{target.host}: materia schedule install failed there: {answer['said'].strip()}"
            )
        say(str(answer["said"]).strip())
        if known.read() == target.host_key:
            return target.host_key
        host_key = checked_host_key(str(_carry_out(session, target, {"do": "new-key"})["public"]))
        known.write(host_key)  # before it is in use: a lost answer must not lock anybody out
        if not _carry_out(session, target, {"do": "use-key"})["reloaded"]:
            say("its SSH server could not be reloaded; it uses the new host key after a restart")
        return host_key


def _carry_out(session: Session, target: SshTarget, order: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run the script with an order; returns its answer.

    Raises:
        StageError: it failed.
    """
    lines: list[str] = []
    result = session.run_command(
        RemoteCommand(
            id=f"enroll-{token_hex(6)}",
            argv=("python3", "-c", SCRIPT.read_text()),
            input=f"{json.dumps(order)}\n",
            limit=LIMIT,
        ),
        lines.append,
    )
    if not result.ok or not lines:
        words = "; ".join(result.last_words[-3:]) or f"exit code {result.status}"
        raise StageError(f"{target.host}: {order['do']} failed there: {words}")
    answer: Mapping[str, Any] = json.loads(lines[-1])
    return answer
