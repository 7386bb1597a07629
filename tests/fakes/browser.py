"""A real browser without a window: Chromium, driven by its debugging protocol over two pipes."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 120.0  # for one answer
PROGRAM = next((found for name in NAMES if (found := shutil.which(name))), None)
BASH = shutil.which("bash") or "/bin/bash"


class Browser:
    """One tab of a browser; `events` has all that it reported."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._incoming, self._outgoing = incoming, outgoing
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = session["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._outgoing, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, page: Path, *, width: int = 1280, scheme: str = "light") -> None:
        """Open a file, and wait until it is loaded; what was reported before is forgotten."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        preferred = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=preferred)
        self._navigate("about:blank")  # the same address with another fragment loads nothing
        self.events.clear()
        self._navigate(page.as_uri())

    def _navigate(self, address: str) -> None:
        loader = self.call("Page.navigate", url=address)["loaderId"]
        while not any(
            one["name"] == "load" and one["loaderId"] == loader
            for one in self.of("Page.lifecycleEvent")
        ):
            self.events.append(self._next())

    def value(self, script: str) -> Any:
        """The value of an expression in the page."""
        given = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in given, given
        return given["result"].get("value")

    def of(self, *methods: str) -> list[dict[str, Any]]:
        """Parameters of the reported events of these kinds."""
        return [one["params"] for one in self.events if one["method"] in methods]

    def pdf(self) -> bytes:
        """The page as it prints."""
        return base64.b64decode(self.call("Page.printToPDF")["data"])

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._incoming], [], [], max(end - time.monotonic(), 0))
            more = os.read(self._incoming, 1 << 16) if ready else b""
            assert more, "the browser has ended, or does not answer"
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile, ended at the end of the block."""
    assert PROGRAM is not None
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    words = [
        PROGRAM,
        "--headless",
        "--no-sandbox",  # it refuses to run as root otherwise
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        f"--user-data-dir={profile}",
        "--remote-debugging-pipe",  # reads commands from descriptor 3, answers on 4
    ]
    script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    process = subprocess.Popen(
        [BASH, "-c", script, "bash", *words],
        pass_fds=(theirs_in, theirs_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_in, ours_out)
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)
        os.close(ours_in)
        os.close(ours_out)
