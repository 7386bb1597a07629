"""HTTP server for fakes that stays silent when a client hangs up.

`socketserver` prints a traceback for a broken pipe. The thread that prints it may outlive the test
that started it, and another test, which asserts that nothing was printed, would fail by it.
"""

import sys
from http.server import ThreadingHTTPServer
from typing import Any


class QuietServer(ThreadingHTTPServer):
    """A threading server; every error but a lost connection is printed as usual."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the error, unless the client closed the connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)
