"""One emulated API: an HTTP server with state, a clock, a bill and faults to come."""

from __future__ import annotations

import itertools
import re
import socket
import struct
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self

from materia_testing.contracts.odd_answers import spoilt
from materia_testing.emulation.clock import Clock
from materia_testing.emulation.exchange import (
    GATEWAY_ERRORS,
    Answer,
    BadBody,
    Exchange,
    Refusal,
    Request,
)
from materia_testing.emulation.faults import Fault, Faults
from materia_testing.emulation.meter import Meter, Metered
from materia_testing.emulation.ssh_machines.boot import Booting, Machines

# Reserved for documentation, RFC 5737: nothing ever answers there.
DOCUMENTATION_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """How the service treats every instance from now on; set the fields at any time.

    Attributes:
        boot: From create (or power on) to running, by the service's clock.
        delete: From the delete request until the instance is gone.
        invisible: How long after its create an instance is in no answer but that of the create.
        never_boots: It stays in its first state for ever.
        boot_fails: It ends in the API's error state when the boot time is over.
        never_deletes: Delete is answered as always, and the instance stays.
        sold_out: Instance types that cannot be had: a create is refused; offers say so.
        clock_ahead: How far the Date header of every answer is ahead of this computer's clock.
    """

    boot: timedelta = timedelta(seconds=5)
    delete: timedelta = timedelta(seconds=2)
    invisible: timedelta = timedelta(0)
    never_boots: bool = False
    boot_fails: bool = False
    never_deletes: bool = False
    sold_out: frozenset[str] = frozenset()
    clock_ahead: timedelta = timedelta(0)


class Service(ABC):
    """A stateful HTTP server on a port of its own at 127.0.0.1; a context manager.

    A subclass declares its routes with `@route`, checks credentials in `authenticate`, and puts
    everything that costs money on `self.meter`. Routes run under `self.lock`, one at a time.

    Attributes:
        url: Where it listens, without a path.
        clock: The time of all states and bills.
        faults: What will go wrong.
        behaviour: How instances are treated.
        meter: What is billed.
        exchanges: Every request so far and its status.
    """

    provider: ClassVar[str]
    """Name of the plugin whose API this is."""
    errors: ClassVar[Mapping[str, Answer]]
    """The documented errors, by the names that `Fault(error=...)` takes. All services know
    `sold_out`, `quota`, `rate_limit`, `unauthorized`, `forbidden`, `not_found`, `conflict`,
    `server_error`, and those of `GATEWAY_ERRORS`."""
    create_call: ClassVar[tuple[str, str]]
    """Method and path (with wildcards) of the request that creates an instance."""
    delete_call: ClassVar[tuple[str, str]]
    """Method and path (with wildcards) of the request that deletes an instance."""
    list_call: ClassVar[tuple[str, str]]
    """Method and path (with wildcards) of the request that lists instances."""
    offers_call: ClassVar[tuple[str, str]]
    """Method and path (with wildcards) of a request without which there are no offers."""

    _routes: ClassVar[list[tuple[str, re.Pattern[str], str, bool]]]

    def __init_subclass__(cls) -> None:
        """Collect the routes."""
        super().__init_subclass__()
        cls._routes = [
            (method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), name, public)
            for name in dir(cls)
            for method, path, public in getattr(getattr(cls, name, None), "routes", ())
        ]

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        behaviour: Behaviour | None = None,
        machines: Machines | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.behaviour = behaviour or Behaviour()
        self.machines = machines
        self.faults = Faults()
        self.meter = Meter()
        self.lock = threading.RLock()
        self.exchanges: list[Exchange] = []
        self.failures: list[str] = []
        self.url = ""
        self._numbers = itertools.count(1)
        self._server: _Server | None = None

    # What a subclass says ------------------------------------------------------------------

    @abstractmethod
    def secrets(self) -> dict[str, str]:
        """The variables with which the plugin is let in."""

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """The settings in materia.toml that point the plugin here."""

    @abstractmethod
    def authenticate(self, request: Request) -> Answer | None:
        """None to let the request in, or the refusal."""

    @abstractmethod
    def no_route(self, request: Request) -> Answer:
        """The answer to a path that the API does not have."""

    @abstractmethod
    def bad_body(self, request: Request, bad: BadBody) -> Answer:
        """The answer to a body that is not JSON, or lacks what the API wants."""

    @abstractmethod
    def add_foreign(self) -> None:
        """Put things there that are not materia's, metered with `foreign=True`.

        At least an instance and one of each other kind, named and labelled as near to materia's as
        a stranger's can be.
        """

    @abstractmethod
    def user_data(self, identity: str) -> str:
        """The decoded user data of that instance; KeyError when there is none of that id."""

    def add_look_alike(self, identity: str) -> str:
        """Put a stranger's machine there with a copy of an instance's labels; its identity.

        Its name is a stranger's. What hangs on it has copies of the labels, too.

        Raises:
            NotImplementedError: the API knows no labels.
        """
        raise NotImplementedError(f"{self.provider} has no labels")

    def collect(self) -> None:  # noqa: B027 -- a service without delays has nothing to do
        """Bring the state up to now: remove what was deleted and whose time has come.

        Called before every route and before every look at the bill.
        """

    def decorate(self, request: Request, answer: Answer) -> Answer:
        """The answer with the headers that this API sends with each one."""
        return answer

    # What tests and people ask -------------------------------------------------------------

    def still_billed(self, *, foreign: bool = False) -> list[Metered]:
        """What is left: every instance, volume, address and key that was created and not deleted.

        With *foreign*, what was there before materia came instead.
        """
        with self.lock:
            self.collect()
            return self.meter.running(self.clock.now(), foreign=foreign)

    def billed(self) -> dict[str, Decimal]:
        """What materia has been charged so far, by currency, net of VAT."""
        with self.lock:
            self.collect()
            return self.meter.total(self.clock.now())

    def error(self, name: str) -> Answer:
        """The documented error of that name.

        Raises:
            KeyError: the service documents no such error.
        """
        return {**GATEWAY_ERRORS, **self.errors}[name]

    # What subclasses use -------------------------------------------------------------------

    def now(self) -> datetime:
        """Of the clock."""
        return self.clock.now()

    def number(self) -> int:
        """1, 2, 3, ...: for identities."""
        return next(self._numbers)

    def documentation_address(self) -> str:
        """An IPv4 address where nothing answers; a new one each time, 762 in all."""
        which, host = divmod(self.number() - 1, 254)
        return f"{DOCUMENTATION_NETWORKS[which % 3]}.{host + 1}"

    def power_on(self, instance: Booting) -> str | None:
        """Boot the machine behind an instance; its address, or None when there is no machine."""
        if self.machines is None or self.behaviour.never_boots or self.behaviour.boot_fails:
            return None
        return self.machines.boot(instance)

    def power_off(self, instance: Booting) -> None:
        """Take the power from the machine behind an instance."""
        if self.machines is not None:
            self.machines.halt(instance)

    @property
    def boot_seconds(self) -> float:
        """How long a boot takes by the wall clock."""
        speed = self.clock.speed
        return self.behaviour.boot.total_seconds() / speed if speed else 0.0

    # Serving -------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen on a free port of 127.0.0.1."""
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        serve = self._server.serve_forever
        threading.Thread(target=serve, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def close(self) -> None:
        """Stop listening.

        Raises:
            RuntimeError: a route failed with an error of its own: the emulator has a fault.
        """
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self.failures:
            raise RuntimeError(f"the {self.provider} emulator failed:\n{''.join(self.failures)}")

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def respond(self, request: Request) -> Answer | None:
        """The answer to *request*, or None to drop the connection. Usable without HTTP."""
        fault = self.faults.meet(request.method, request.path) or Fault()
        if fault.drop == "before":
            answer = None
        elif fault.error is not None:
            answer = self.decorate(request, self.error(fault.error))
        else:
            with self.lock:
                answer = self.decorate(request, self._route(request))
            if fault.alter is not None:
                answer = fault.alter(request, answer)
            if fault.odd and answer.status < 300:
                answer = _spoilt(answer, fault.odd)
            if fault.drop == "after":
                answer = None
        time.sleep(fault.slow)
        self.exchanges.append(
            Exchange(
                method=request.method,
                path=request.path,
                target=request.target,
                body=request.body,
                status=answer.status if answer else 0,
                answered=answer.body if answer else None,
            )
        )
        return answer

    def _route(self, request: Request) -> Answer:
        try:
            for method, pattern, name, public in self._routes:
                found = pattern.fullmatch(request.path)
                if found is None or method != request.method:
                    continue
                if not public and (refused := self.authenticate(request)):
                    return refused
                self.collect()
                answer: Answer = getattr(self, name)(request, **found.groupdict())
                return answer
            return self.authenticate(request) or self.no_route(request)
        except Refusal as refusal:
            return refusal.answer
        except BadBody as bad:
            return self.bad_body(request, bad)
        except Exception:  # noqa: BLE001 -- kept, answered as 500, and raised by close()
            self.failures.append(traceback.format_exc())
            return Answer(status=500, body="<html><h1>The emulator failed</h1></html>")


def _spoilt(answer: Answer, kind: str) -> Answer:
    body = spoilt(answer.body, kind)
    # Its kind as before, but for a page: JSON that is cut off is still called JSON.
    headers = {} if kind == "odd_page" else {"Content-Type": "application/json", **answer.headers}
    return Answer(status=200, body=body, headers=headers) if body != answer.body else answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, service: Service) -> None:
        self.service = service
        super().__init__(("127.0.0.1", 0), _Connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that went away is what the tests are about."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together: two writes cost 40 ms of delayed acknowledgement
    server: _Server

    def handle_one_request(self) -> None:
        """Read one request, let the service answer it, send that in one piece."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        length = int(self.headers.get("Content-Length") or 0)
        host = self.headers.get("Host", "")
        request = Request(
            method=self.command,
            target=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length) if length else b"",
            origin=f"http://{host}",
        )
        answer = self.server.service.respond(request)
        if answer is None:
            self.close_connection = True
            # A reset, not an orderly end: the client learns nothing of what happened.
            option = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
            self.connection.close()
            return
        raw, headers = answer.encoded()
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)
        self.wfile.flush()

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header: by the service's own clock."""
        ahead = self.server.service.behaviour.clock_ahead.total_seconds()
        return super().date_time_string((timestamp or time.time()) + ahead)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as the parent has it
        """Say nothing; `Service.exchanges` has it all."""
