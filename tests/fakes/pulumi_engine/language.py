"""Stand-in for the language host of Pulumi: runs `__main__.py` by the SDK's own inline server.

The host is part of Pulumi's release archive alone, and in no registry of packages. As the published
one does (github.com/pulumi/pulumi, sdk/python/toolchain/pip.go), it runs in the Python of the
virtual environment that Pulumi.yaml names, and lists the packages there with pip.
"""

from __future__ import annotations

import runpy
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2_grpc


def program() -> None:
    """The program of the folder that the engine runs in."""
    sys.path.insert(0, ".")
    runpy.run_path("__main__.py", run_name="__main__")


def main() -> None:
    """Serve until the engine ends this process."""
    packages = [sys.executable, "-m", "pip", "list", "-v", "--format", "json"]
    subprocess.run(packages, stdout=subprocess.DEVNULL, check=True)
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))  # no traceback at the end
    server = grpc.server(ThreadPoolExecutor(4))
    host: Any = LanguageServer(program)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
