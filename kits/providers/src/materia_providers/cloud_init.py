"""cloud-init user data of a rented machine: login user, SSH keys, host key and deadline.

materia makes the host key and sends it in the user data, so it can check the server from the first
packet on. The key is for one instance. It is the only secret in the user data, which the provider
stores and every process on the machine can read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from materia.errors import ConfigError, ProviderError

__all__ = [
    "check_size",
]

# The same on every provider, instead of root, ubuntu, opc or debian. It has no extra rights.
LOGIN_USER = "materia"
HEADER = "#cloud-config\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """An Ed25519 key pair in OpenSSH's text format; its repr hides the private key.

    Attributes:
        public: Public key as one line of an authorized_keys file, without a comment.
        private: Private key as in a key file, unencrypted, with the final newline.
    """

    public: str
    private: str = field(repr=False)


def generate_key() -> KeyPair:
    """Generate a new key pair in memory."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    return KeyPair(
        public=key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
        private=key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(),
    )


def cloud_config(
    *, login_key: str, host_key: KeyPair, now: datetime, expires_at: datetime
) -> dict[str, object]:
    """The cloud-config of a worker, as a value.

    It creates one user who logs in with *login_key* (one line), sets *host_key* as the only host
    key, and powers off at *expires_at*. A power-off ends the work but not the bill: every provider
    charges for a machine that is off, so the sweep must still destroy it.

    Keys are those of cloud-init 22 and later (docs.cloud-init.io, modules reference, 2026-08).
    """
    return {
        "disable_root": True,
        "package_update": False,
        "package_upgrade": False,
        "power_state": {
            # cloud-init hands this to shutdown(8), which counts minutes from the end of the boot.
            "delay": _minutes_until(expires_at, now=now),
            "message": "this materia worker has reached its deadline",
            "mode": "poweroff",
        },
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": host_key.private, "ed25519_public": host_key.public},
        "ssh_pwauth": False,
        "users": [
            {
                "lock_passwd": True,
                "name": LOGIN_USER,
                "shell": "/bin/bash",
                "ssh_authorized_keys": [login_key],
            }
        ],
    }


def user_data(config: Mapping[str, object]) -> str:
    """*config* as user data for cloud-init; the same value gives the same text.

    JSON is valid YAML, so this needs neither a YAML library nor quoting of its own.
    """
    return f"{HEADER}{json.dumps(config, indent=1, sort_keys=True)}\n"


def read_user_data(text: str) -> dict[str, object]:
    """Read the cloud-config that `user_data` wrote.

    Raises:
        ConfigError: the text is not a cloud-config in JSON.
    """
    try:
        config = json.loads(text.removeprefix(HEADER))
    except ValueError as error:
        raise ConfigError(f"user data is not a cloud-config written as JSON: {error}") from error
    if not text.startswith(HEADER) or not isinstance(config, dict):
        raise ConfigError(f"user data must be the line {HEADER.strip()!r} and a JSON object")
    return config


def check_size(text: str, *, provider: str, limit_bytes: int, encoded: bool = False) -> None:
    """Refuse user data that is too long for *provider*, before anything is created.

    Args:
        text: The user data.
        provider: Name of the provider, for the message.
        limit_bytes: The provider's limit.
        encoded: Whether the limit counts the base64 form.

    Raises:
        ProviderError: it is too long.
    """
    content = text.encode()
    size = len(base64.b64encode(content)) if encoded else len(content)
    if size > limit_bytes:
        form = " as base64" if encoded else ""
        raise ProviderError(
            f"{provider}: user data has {size:,} bytes{form}, the limit is {limit_bytes:,}"
        )


def _minutes_until(moment: datetime, *, now: datetime) -> int:
    # Rounded up, and at least one: 0 would power the machine off before its first boot ends.
    return max(1, -((now - moment) // timedelta(minutes=1)))
