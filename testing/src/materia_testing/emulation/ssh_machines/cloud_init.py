"""What cloud-init would make of user data, as a value: as much of it as materia uses.

A key that is not understood here is an error, where the real cloud-init only writes a warning to a
log that nobody reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from materia_providers.cloud_init import read_user_data

# Accepted and without effect here: nothing is installed, and nobody has a password.
WITHOUT_EFFECT = frozenset({"package_update", "package_upgrade", "ssh_deletekeys", "ssh_pwauth"})


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who can log in.

    Attributes:
        name: The login name.
        keys: Lines of the authorized_keys file.
    """

    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that is there when the machine answers.

    Attributes:
        path: Absolute.
        content: Text.
        mode: Permission bits.
    """

    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudInit:
    """What the first boot does.

    Attributes:
        users: Who can log in.
        host_key: The private host key in OpenSSH's text form; None: the machine makes its own.
        files: Written before anybody can log in.
        commands: Run by root once the machine answers, in this order: text for a shell, or
            arguments.
        power_off_minutes: From the end of the boot; None: it stays on.
    """

    users: tuple[User, ...]
    host_key: str | None = field(default=None, repr=False)
    files: tuple[File, ...] = ()
    commands: tuple[str | tuple[str, ...], ...] = ()
    power_off_minutes: int | None = None


def parse(user_data: str, *, login: str, authorized_keys: tuple[str, ...]) -> CloudInit:
    """What a machine does with its user data, which may be empty.

    Args:
        user_data: As the client sent it, decoded.
        login: The image's own user, who is there unless the user data lists others.
        authorized_keys: Given through the API, for the image's own user.

    Raises:
        ConfigError: it is not a cloud-config written as JSON.
        ValueError: it says something that is not understood here.
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
            # An image whose own user is root lets root in, unless the user data says otherwise.
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
        raise ValueError(f"{name}: this machine does not understand {', '.join(unknown)}")
