"""Base class of an emulated API: an HTTP server with state, a clock, a bill and faults."""

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
    """The behaviour of the service for every instance; set the fields at any time.

    Attributes:
        boot: From create (or power on) to running, by the service's clock.
        delete: From the delete request until the instance is gone.
        invisible: How long all other answers lack a new instance.
        never_boots: An instance stays in its first state for ever.
        boot_fails: An instance ends in the API's error state after the boot time.
        never_deletes: Delete answers as usual, and the instance stays.
        sold_out: Instance types without stock: a create is refused, and offers show it.
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
        url: Its URL, without a path.
        clock: The clock for all states and bills.
        faults: The planned faults.
        behaviour: The behaviour for instances.
        meter: The bill.
        exchanges: Every request so far, with its answer.
    """

    provider: ClassVar[str]
    """Name of the provider plugin that uses this API."""
    errors: ClassVar[Mapping[str, Answer]]
    """The documented errors, by the names for `Fault(error=...)`. All services have
    `sold_out`, `quota`, `rate_limit`, `unauthorized`, `forbidden`, `not_found`, `conflict`,
    `server_error`, and those of `GATEWAY_ERRORS`."""
    create_call: ClassVar[tuple[str, str]]
    """Method and path (with wildcards) of the request that creates an instance."""
    delete_call: ClassVar[tuple[str, str]]
    """Method and path (with wildcards) of the request that deletes an instance."""
    list_call: ClassVar[tuple[str, str]]
    """Method and path (with wildcards) of the request that lists instances."""
    offers_call: ClassVar[tuple[str, str]]
    """Method and path (with wildcards) of a request that offers depend on."""

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

    # For subclasses to define --------------------------------------------------------------

    @abstractmethod
    def secrets(self) -> dict[str, str]:
        """The environment variables with valid credentials for the plugin."""

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """The settings in materia.toml that point the plugin here."""

    @abstractmethod
    def authenticate(self, request: Request) -> Answer | None:
        """Check the credentials of a request: None, or the refusal."""

    @abstractmethod
    def no_route(self, request: Request) -> Answer:
        """The answer to a path that the API does not have."""

    @abstractmethod
    def bad_body(self, request: Request, bad: BadBody) -> Answer:
        """The answer to an invalid body."""

    @abstractmethod
    def add_foreign(self) -> None:
        """Add resources that are not materia's, metered with `foreign=True`.

        Add at least an instance and one of each other kind, with names and labels as close to
        materia's as possible.
        """

    @abstractmethod
    def user_data(self, identity: str) -> str:
        """The decoded user data of an instance; KeyError for an unknown id."""

    def add_look_alike(self, identity: str) -> str:
        """Add a foreign machine with a copy of an instance's labels; return its id.

        It has a name of its own. Its attachments have copies of the labels, too.

        Raises:
            NotImplementedError: the API has no labels.
        """
        raise NotImplementedError(f"{self.provider} has no labels")

    def collect(self) -> None:  # noqa: B027 -- a service without delays has nothing to do
        """Update the state to now: remove resources whose deletion has finished.

        The service calls this before every route and every read of the bill.
        """

    def decorate(self, request: Request, answer: Answer) -> Answer:
        """The answer with the headers that this API always sends."""
        return answer

    # For tests and users -------------------------------------------------------------------

    def still_billed(self, *, foreign: bool = False) -> list[Metered]:
        """Leftovers: every instance, volume, address and key of materia that is not deleted.

        With *foreign*, the resources that are not materia's instead.
        """
        with self.lock:
            self.collect()
            return self.meter.running(self.clock.now(), foreign=foreign)

    def billed(self) -> dict[str, Decimal]:
        """The charge to materia so far, by currency, net of VAT."""
        with self.lock:
            self.collect()
            return self.meter.total(self.clock.now())

    def error(self, name: str) -> Answer:
        """The documented error of that name.

        Raises:
            KeyError: the service has no error of that name.
        """
        return {**GATEWAY_ERRORS, **self.errors}[name]

    # Helpers for subclasses ----------------------------------------------------------------

    def now(self) -> datetime:
        """The time of the service's clock."""
        return self.clock.now()

    def number(self) -> int:
        """The next number of 1, 2, 3, ...: for ids."""
        return next(self._numbers)

    def documentation_address(self) -> str:
        """An IPv4 address where nothing answers; a new one each time, 762 in all."""
        which, host = divmod(self.number() - 1, 254)
        return f"{DOCUMENTATION_NETWORKS[which % 3]}.{host + 1}"

    def power_on(self, instance: Booting) -> str | None:
        """Boot the machine of an instance; return its address, or None without a machine."""
        if self.machines is None or self.behaviour.never_boots or self.behaviour.boot_fails:
            return None
        return self.machines.boot(instance)

    def power_off(self, instance: Booting) -> None:
        """Power off the machine of an instance."""
        if self.machines is not None:
            self.machines.halt(instance)

    @property
    def boot_seconds(self) -> float:
        """The boot time by the wall clock."""
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
            RuntimeError: a route raised an unexpected error: the emulator has a bug.
        """
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self.failures:
            raise RuntimeError(f"the {self.provider} emulator failed:\n{''.join(self.failures)}")

    def __enter__(self) -> Self:
        """Start the server."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the server."""
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
    # The content type stays, except for a page: truncated JSON is still sent as JSON.
    headers = {} if kind == "odd_page" else {"Content-Type": "application/json", **answer.headers}
    return Answer(status=200, body=body, headers=headers) if body != answer.body else answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, service: Service) -> None:
        self.service = service
        super().__init__(("127.0.0.1", 0), _Connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: a disconnected client is normal in these tests."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # send head and body together: two writes cost 40 ms of delayed acknowledgement
    server: _Server

    def handle_one_request(self) -> None:
        """Read one request, let the service answer it, send the answer in one write."""
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
            # A TCP reset, not an orderly close: the client does not know the outcome.
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

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name in the parent class
        """Log nothing; `Service.exchanges` has every request."""
