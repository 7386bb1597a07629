"""Send notifications to a webhook, in the protocol of healthchecks.io; bounded in time.

A webhook that is slow, down or odd never changes a run: each request runs in a thread of its own,
which is abandoned when its time is over.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

LIMIT = timedelta(seconds=10)  # of one notification, with all its attempts
ATTEMPT = timedelta(seconds=5)
START_LIMIT = timedelta(seconds=3)  # how long the end of a run waits for the notice of its start
PAUSE = timedelta(seconds=1)
LATER = {408, 425, 429}  # statuses after which another attempt may succeed, besides 5xx


class Webhook:
    """A webhook; messages about it never contain its address, which is a secret."""

    def __init__(self, address: str, *, limit: timedelta = LIMIT) -> None:
        self._address = address
        self._limit = limit
        self._start: threading.Thread | None = None

    def start(self) -> None:
        """Notify of a start in the background; its failure is ignored."""
        self._start = threading.Thread(
            target=_post, args=(self._address, "/start", ""), name="webhook", daemon=True
        )
        self._start.start()

    def finish(self, ending: str, text: str) -> str | None:
        """Notify of an end; returns the reason when that failed, within the limit.

        Args:
            ending: What to add to the path of the address: see `message.ending`.
            text: The redacted message.
        """
        end = time.monotonic() + self._limit.total_seconds()
        if self._start is not None:  # in this order, or the receiver takes it for running
            self._start.join(min(START_LIMIT, self._limit).total_seconds())
        reasons: list[str | None] = []

        def send() -> None:
            while True:
                reason, lasting = _post(self._address, ending, text)
                if reason is None or lasting or time.monotonic() + 1 > end:
                    reasons.append(reason)
                    return
                time.sleep(PAUSE.total_seconds())

        thread = threading.Thread(target=send, name="webhook", daemon=True)
        thread.start()
        thread.join(max(end - time.monotonic(), 0.1))
        return reasons[0] if reasons else "no answer in time"


def _post(address: str, ending: str, text: str) -> tuple[str | None, bool]:
    """Send one request: the reason when it failed, and whether another attempt is useless."""
    import urllib.error
    import urllib.request

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            """Follow none: the message would go to an address that the user did not name."""

    if (url := _with(address, ending)) is None:
        return "it is not an address that begins with https:// or http://", True
    request = urllib.request.Request(  # noqa: S310 -- the scheme was checked
        url,
        data=text.encode("utf-8", "replace"),
        headers={"Content-Type": "text/plain; charset=utf-8", "User-Agent": "materia"},
        method="POST",
    )
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=ATTEMPT.total_seconds()):
            return None, True
    except urllib.error.HTTPError as error:
        return f"it answers {error.code}", not (error.code >= 500 or error.code in LATER)
    except OSError:
        return "it cannot be reached", False
    except Exception as error:  # noqa: BLE001 -- a webhook never changes a run
        return f"{type(error).__name__} while it was asked", True


def _with(address: str, ending: str) -> str | None:
    """The address with *ending* added to its path; None when it is no address."""
    try:
        split = urlsplit(address.strip())
        usable = split.scheme in {"https", "http"} and bool(split.hostname)
    except ValueError:
        return None
    if not usable or not address.strip().isascii() or any(c.isspace() for c in address.strip()):
        return None
    return urlunsplit(split._replace(path=f"{split.path.rstrip('/')}{ending}"))
