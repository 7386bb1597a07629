"""Agent: keep a command alive on a rented machine while the SSH connection is broken.

It is sent as text to the machine's python3: standard library only, Python 3.9 and later. Its order
comes on standard input, which keeps secrets out of arguments and files.

The command runs under an agent process; this program relays between the agent and standard
input and output. The agent outlives the connection. It buffers the command's output until the
runner acknowledges it, so a new connection resumes where the last one broke. It ends the command,
and every process that it started, on request, at the time limit, and when it has not heard from the
runner for a lease. Signals over SSH cannot do that: OpenSSH 9.2 refuses them for root (measured on
Debian 12).

Records to the runner (`records.py`): `o` and `e` are the command's output and errors, `x` is its
end, `g` means that there is no such command any more. Lines from the runner: the number of bytes it
has; `stop`; or `tell`, a sequence number, and a line for the command's standard input. After a
break the runner may repeat all of these, and the agent ignores those that it has already.
"""
# pathlib would take a third of the start-up time:
# ruff: noqa: PTH100, PTH103, PTH108, PTH123, PTH208

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from queue import SimpleQueue

from materia_runner.ssh.agent.records import Order, record, say, take_order, write

CHUNK = 65536
STARTING_SECONDS = 0.5  # from the agent's folder to its socket
LINGERING_SECONDS = 5.0  # for pipes that a killed process still holds open
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def prctl(option: int, value: int) -> None:
    """Set a prctl option of this process; only Linux has them."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def descendants(root: int) -> list[int]:
    """Every process below *root*, parents first, in any session; read from /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found, ahead = [], [root]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


class Agent:
    """One command, its output until the runner has it, and the current connection."""

    def __init__(self, order: Order, listener: socket.socket) -> None:
        self.order = order
        self.selector = selectors.DefaultSelector()
        self.listener = listener
        self.command: subprocess.Popen[bytes] | None = None
        self.pipes: dict[int, bytes] = {}  # the command's open pipes, with their kind
        self.spool = bytearray()
        self.dropped = 0  # bytes the runner has: the spool starts there
        self.client: socket.socket | None = None
        self.sent: int | None = None  # bytes sent to the client; None until it says what it has
        self.words = b""
        self.given: SimpleQueue[bytes] = SimpleQueue()  # for the command's input
        self.taken = 0  # `tell` lines received
        self.heard = time.monotonic()
        self.limit_at = self.heard + order["limit_seconds"]
        self.ending: str | None = None  # the reason, once the command is being ended
        self.kill_at = float("inf")
        self.status: int | None = None  # exit status of the command, once it has ended
        self.ended_at = 0.0
        self.end_recorded = False  # whether the record of its end is in the spool
        self.done = False

    def run(self) -> None:
        """Supervise the command until it has ended, and the runner knows or its lease is over."""
        self.listener.setblocking(False)  # noqa: FBT003 -- as socket has it
        self.selector.register(self.listener, selectors.EVENT_READ, "listener")
        try:
            self.start()
        except OSError as error:
            self.spool += record(b"e", f"{self.order['argv'][0]}: {error.strerror}\n".encode())
            self.status = 127
        while not self.done:
            self.watch()
            hurried = self.ending or self.status is not None
            for key, events in self.selector.select(0.05 if hurried else 1.0):
                if key.data == "listener":
                    self.accept()
                elif key.data == "wake":
                    os.read(key.fd, CHUNK)
                elif key.data == "client" and self.client is not None:
                    self.talk(self.client, events)
                elif key.data == "pipe":
                    self.collect(key.fd)
            self.reap()
            self.decide(time.monotonic())

    def start(self) -> None:
        """Start the command; its secrets are only in memory."""
        order = self.order
        os.makedirs(order["directory"], exist_ok=True)
        wake, signalled = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(signalled, False)
        signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(wake, selectors.EVENT_READ, "wake")
        prctl(PR_SET_CHILD_SUBREAPER, 1)  # adopt the processes that the command leaves behind
        command = subprocess.Popen(
            order["argv"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=order["directory"],
            env=dict(os.environ, **order["environment"]),
            start_new_session=True,
            preexec_fn=before_command,  # noqa: PLW1509 -- there is no other thread yet
        )
        self.command = command
        for pipe, kind in ((command.stdout, b"o"), (command.stderr, b"e")):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self.pipes[pipe.fileno()] = kind
        self.given.put(order["input"].encode())
        # In a thread, because the command may read its input late, or never.
        threading.Thread(target=self.feed, daemon=True).start()

    def feed(self) -> None:
        """Write the command's input and leave it open: its end means that the runner is gone."""
        if self.command is not None and self.command.stdin is not None:
            with contextlib.suppress(OSError):  # it ended without reading all
                while True:
                    self.command.stdin.write(self.given.get())
                    self.command.stdin.flush()

    def watch(self) -> None:
        """Watch the pipes while the spool has room, and the client while there is data to send."""
        room = len(self.spool) < self.order["window_bytes"] or self.status is not None
        watched = self.selector.get_map()
        for pipe in self.pipes:
            if room and pipe not in watched:
                self.selector.register(pipe, selectors.EVENT_READ, "pipe")
            elif not room and pipe in watched:
                self.selector.unregister(pipe)
        if self.client is not None:
            events = selectors.EVENT_READ
            if self.sent is not None and self.sent < self.dropped + len(self.spool):
                events |= selectors.EVENT_WRITE
            if watched[self.client].events != events:
                self.selector.modify(self.client, events, "client")

    def accept(self) -> None:
        """Accept a new connection, which replaces an older one that may be dead."""
        self.leave()
        self.client, _ = self.listener.accept()
        self.client.setblocking(False)  # noqa: FBT003 -- as socket has it
        self.selector.register(self.client, selectors.EVENT_READ, "client")
        self.sent = None
        self.words = b""
        self.heard = time.monotonic()

    def leave(self) -> None:
        """Close the current connection."""
        if self.client is not None:
            self.selector.unregister(self.client)
            self.client.close()
            self.client = None

    def talk(self, client: socket.socket, events: int) -> None:
        """Read lines from the runner, and send it output that it does not have yet."""
        try:
            if events & selectors.EVENT_READ:
                words = client.recv(CHUNK)
                if not words:
                    self.leave()
                    return
                self.heard = time.monotonic()
                *lines, self.words = (self.words + words).split(b"\n")
                for line in lines:
                    self.obey(line)
            if events & selectors.EVENT_WRITE and self.sent is not None:
                start = self.sent - self.dropped
                self.sent += client.send(bytes(self.spool[start : start + CHUNK]))
        except BlockingIOError:
            pass
        except OSError:
            self.leave()

    def obey(self, line: bytes) -> None:
        """Carry out a line from the runner."""
        if line == b"stop":
            self.end("stopped")
            return
        if line.startswith(b"tell "):
            _, number, words = line.split(b" ", 2)
            if int(number) == self.taken:
                self.taken += 1
                self.given.put(words + b"\n")
            return
        has = max(int(line), self.dropped)
        del self.spool[: has - self.dropped]
        self.dropped = has
        self.sent = max(self.sent or 0, has)

    def collect(self, pipe: int) -> None:
        """Put the command's output into the spool."""
        try:
            block = os.read(pipe, CHUNK)
        except BlockingIOError:
            return
        if block:
            self.spool += record(self.pipes[pipe], block)
        else:
            self.selector.unregister(pipe)
            del self.pipes[pipe]

    def reap(self) -> None:
        """Collect the status of ended processes, and of the command among them."""
        with contextlib.suppress(ChildProcessError):
            while True:
                process, status = os.waitpid(-1, os.WNOHANG)
                if not process:
                    break
                if self.command is not None and process == self.command.pid:
                    killed = os.WIFSIGNALED(status)
                    self.status = -os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)
                    self.command.returncode = self.status
                    self.ended_at = time.monotonic()

    def decide(self, now: float) -> None:
        """End the command at its limit or lease, and end the agent after the command."""
        lost = now - self.heard > self.order["lease_seconds"]
        if self.status is None:
            if now > self.limit_at:
                self.end("limit")
            elif lost:
                self.end("lost")
            if now > self.kill_at:
                self.kill()
            return
        self.kill()
        if not self.end_recorded and (not self.pipes or now > self.ended_at + LINGERING_SECONDS):
            self.end_recorded = True
            end = {"status": self.status, "reason": self.ending or "exited"}
            self.spool += record(b"x", json.dumps(end).encode())
        self.done = self.end_recorded and (lost or not self.spool)

    def end(self, why: str) -> None:
        """Send SIGTERM to the command; `decide` kills it after the grace period."""
        if self.status is None and self.ending is None and self.command is not None:
            self.ending = why
            self.kill_at = time.monotonic() + self.order["grace_seconds"]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.command.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill the command and every process that it started."""
        for process in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)


def before_command() -> None:
    """Make the command die with its agent, and first when memory runs out."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")


def keep(order: Order, listener: socket.socket) -> None:
    """Become the agent: in a new session, detached from the SSH connection."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    agent = Agent(order, listener)
    try:
        agent.run()
    finally:
        agent.kill()
        # The folder stays, so that this command is never run again.
        os.unlink("socket")
        os._exit(0)


def run(order: Order) -> None:
    """Start the command once, and relay until either side is gone."""
    order["directory"] = os.path.abspath(order["directory"])
    made = False
    if order["fresh"]:
        with contextlib.suppress(FileExistsError):
            os.makedirs(order["keeper"], 0o700)
            made = True
    try:
        os.chdir(order["keeper"])  # the path of a socket must be short
    except FileNotFoundError:
        say(b"g")
        return
    if made:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("socket")
        listener.listen()
        if os.fork() == 0:
            keep(order, listener)
        listener.close()
    agent = reach(time.monotonic() + STARTING_SECONDS)
    if agent is None:
        say(b"g")
        return
    agent.sendall(b"%d\n" % order["has_bytes"])
    threading.Thread(target=relay_input, args=(agent,), daemon=True).start()
    with contextlib.suppress(OSError):  # the runner is gone
        while block := agent.recv(CHUNK):
            write(block)


def reach(end: float) -> socket.socket | None:
    """A connection to the agent, or None when it has ended."""
    while True:
        agent = socket.socket(socket.AF_UNIX)
        try:
            agent.connect("socket")
        except OSError:
            agent.close()
            if time.monotonic() > end:
                return None
            time.sleep(0.02)
        else:
            return agent


def relay_input(agent: socket.socket) -> None:
    """Pass the runner's lines to the agent; end this process when the runner is gone."""
    with contextlib.suppress(OSError):
        while words := os.read(0, CHUNK):
            agent.sendall(words)
    os._exit(0)


def main() -> None:
    """Carry out one order: this process is for one command."""
    run(take_order())
    os._exit(0)
