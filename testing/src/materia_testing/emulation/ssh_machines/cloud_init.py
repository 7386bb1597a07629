"""Parse cloud-init user data, as far as materia uses it.

An unsupported key is an error here, while the real cloud-init only writes a warning to a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from materia_providers.cloud_init import read_user_data

# Accepted without effect: the machine installs no packages and has no passwords.
WITHOUT_EFFECT = frozenset({"package_update", "package_upgrade", "ssh_deletekeys", "ssh_pwauth"})


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user who can log in.

    Attributes:
        name: The login name.
        keys: Lines of the authorized_keys file.
    """

    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that exists when the machine answers.

    Attributes:
        path: Absolute path.
        content: Text content.
        mode: Permission bits.
    """

    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudInit:
    """The actions of the first boot.

    Attributes:
        users: The users who can log in.
        host_key: The private host key in OpenSSH's text format; None: the machine makes one.
        files: Files to write before the first login.
        commands: Commands that root runs in this order once the machine answers: text for a
            shell, or arguments.
        power_off_minutes: Minutes from the end of the boot to power off; None: never.
    """

    users: tuple[User, ...]
    host_key: str | None = field(default=None, repr=False)
    files: tuple[File, ...] = ()
    commands: tuple[str | tuple[str, ...], ...] = ()
    power_off_minutes: int | None = None


def parse(user_data: str, *, login: str, authorized_keys: tuple[str, ...]) -> CloudInit:
    """The first boot for user data, which may be empty.

    Args:
        user_data: The client's user data, decoded.
        login: The image's default user, unless the user data lists others.
        authorized_keys: Keys from the API, for the image's default user.

    Raises:
        ConfigError: it is not a cloud-config in JSON.
        ValueError: it contains an unsupported key or value.
    """
    config = read_user_data(user_data) if user_data else {}
    known = {"disable_root", "power_state", "runcmd", "ssh_authorized_keys", "ssh_keys", "users"}
    _only(config, known | {"write_files"} | WITHOUT_EFFECT, "cloud-config")
    return CloudInit(
        users=_users(config, login, authorized_keys),
        host_key=_host_key(config.get("ssh_keys", {})),
        files=tuple(_file(entry) for entry in _list(config.get("write_files"), "write_files")),
        commands=tuple(_command(entry) for entry in _list(config.get("runcmd"), "runcmd")),
        power_off_minutes=_power_off(config.get("power_state")),
    )


def _users(config: Mapping[str, Any], login: str, given: tuple[str, ...]) -> tuple[User, ...]:
    listed = _list(config.get("users", ["default"]), "users")
    users = []
    for entry in listed:
        if entry == "default":
            keys = (*given, *_list(config.get("ssh_authorized_keys"), "ssh_authorized_keys"))
            # An image with the default user root lets root log in, unless the user data forbids it.
            if login != "root" or not config.get("disable_root", False):
                users.append(User(name=login, keys=keys))
            continue
        _only(entry, {"lock_passwd", "name", "shell", "ssh_authorized_keys"}, "users")
        users.append(User(name=entry["name"], keys=tuple(entry.get("ssh_authorized_keys", ()))))
    return tuple(users)


def _host_key(keys: Any) -> str | None:
    _only(keys, {"ed25519_private", "ed25519_public"}, "ssh_keys")
    private = keys.get("ed25519_private")
    if private is not None and not isinstance(private, str):
        raise ValueError("ssh_keys.ed25519_private must be text")
    return private


def _file(entry: Any) -> File:
    _only(entry, {"content", "path", "permissions"}, "write_files")
    return File(
        path=entry["path"],
        content=entry.get("content", ""),
        mode=int(entry.get("permissions", "0644"), 8),
    )


def _command(entry: Any) -> str | tuple[str, ...]:
    return entry if isinstance(entry, str) else tuple(str(part) for part in entry)


def _power_off(state: Any) -> int | None:
    if state is None:
        return None
    _only(state, {"delay", "message", "mode"}, "power_state")
    if state.get("mode") != "poweroff":
        raise ValueError(f"power_state.mode must be poweroff, is {state.get('mode')!r}")
    delay = state.get("delay", "now")
    return 0 if delay == "now" else int(delay)


def _list(value: Any, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list, is {value!r}")  # noqa: TRY004 -- wrong text
    return value


def _only(value: Any, known: set[str] | frozenset[str], name: str) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: {value!r} is not a mapping")  # noqa: TRY004 -- wrong text
    if unknown := sorted(set(value) - known):
        raise ValueError(f"{name}: this machine does not support {', '.join(unknown)}")
