"""asyncssh, which reaches rented machines: checked before a machine is paid for."""

from __future__ import annotations

from importlib.util import find_spec

from materia.errors import PluginError

from materia_runner.install_hints import install_command


def require_asyncssh() -> None:
    """Refuse to rent what could not be reached.

    Raises:
        PluginError: asyncssh is not installed.
    """
    if find_spec("asyncssh") is None:
        raise PluginError(
            "a rented machine is reached with asyncssh, which is not installed here; to add it: "
            + install_command("materia-runner[ssh]")
        )
