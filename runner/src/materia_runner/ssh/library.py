"""Check that asyncssh is installed, before a machine is rented."""

from __future__ import annotations

from importlib.util import find_spec

from materia.errors import PluginError

from materia_runner.install_hints import install_command


def require_asyncssh() -> None:
    """Check that asyncssh is installed: without it, materia cannot reach a rented machine.

    Raises:
        PluginError: asyncssh is not installed.
    """
    if find_spec("asyncssh") is None:
        raise PluginError(
            "rented machines need asyncssh, which is not installed here; to add it: "
            + install_command("materia-runner[ssh]")
        )
