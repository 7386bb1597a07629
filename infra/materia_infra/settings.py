"""Settings of the infrastructure, checked before anything is created. Pure, without Pulumi."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass
from typing import Literal, get_args

Location = Literal["apac", "eeur", "enam", "weur", "wnam", "oc"]
Jurisdiction = Literal["default", "eu"]
_BUCKET = re.compile("[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_ACCOUNT = re.compile("[0-9a-f]{32}")
_NAME = re.compile("[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
_PUBLIC = re.compile(r"ssh-(?:ed25519|rsa) [A-Za-z0-9+/=]+(?: \S+)?")
_MAGIC = b"openssh-key-v1\0"


class SettingsError(ValueError):
    """A setting is wrong; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisor:
    """The machine that has the schedule.

    Attributes:
        server_type: Hetzner's name of the type; a type can be sold out in a location.
        image: Hetzner's name of an image with Python 3.11 to 3.13: Debian 12 or 13, Ubuntu 24.04.
        location: Hetzner's name of the location.
        ipv4: Whether it has an IPv4 address, which costs money; OVHcloud's API needs one.
        login_key: Public SSH key of the person who enrolls it, as one line.
        host_key: Private SSH host key in OpenSSH's format, for the first connection alone.
        ssh_from: Networks that may reach it over SSH; empty for none.
    """

    server_type: str
    image: str
    location: str
    ipv4: bool
    login_key: str
    host_key: str
    ssh_from: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SettingsError: one is wrong.
        """
        for name, value in (
            ("serverType", self.server_type),
            ("image", self.image),
            ("location", self.location),
        ):
            _check(name, value, _NAME, "a name")
        if not _PUBLIC.fullmatch(self.login_key):  # not shown: it may be the private key
            raise SettingsError(
                "loginKey must be a public SSH key in one line: what is in ~/.ssh/id_ed25519.pub"
            )
        public_part(self.host_key)
        for network in self.ssh_from:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise SettingsError(f"sshFrom: {error}; write it like 203.0.113.7/32") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What there is to make.

    Attributes:
        organization: Organization in Pulumi Cloud.
        stack: Name of this stack, for example `prod`; the environment gets the same name.
        project: Project of the environments in Pulumi ESC.
        account: Account id at Cloudflare.
        artifacts_bucket: Bucket of artifacts, channels, leases and ledgers.
        data_bucket: Bucket of raw files and tables.
        location: Where Cloudflare keeps the buckets, as a hint.
        jurisdiction: Where Cloudflare must keep them.
        catalog: Whether the data bucket has an Iceberg catalog.
        protect: Whether Pulumi refuses to delete the buckets.
        supervisor: The supervisor; None when GitLab's schedules start the runs.
    """

    organization: str
    stack: str
    account: str
    project: str = "beanflows"
    artifacts_bucket: str = "materia-artifacts"
    data_bucket: str = "materia-data"
    location: str = "weur"
    jurisdiction: str = "default"
    catalog: bool = False
    protect: bool = True
    supervisor: Supervisor | None = None

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SettingsError: one is wrong.
        """
        for name, value in (
            ("organization", self.organization),
            ("stack", self.stack),
            ("project", self.project),
        ):
            _check(name, value, _NAME, "a name")
        _check("cloudflareAccount", self.account, _ACCOUNT, "an account id of 32 hex digits")
        _check("artifactsBucket", self.artifacts_bucket, _BUCKET, "a name of a bucket")
        _check("dataBucket", self.data_bucket, _BUCKET, "a name of a bucket")
        if self.artifacts_bucket == self.data_bucket:
            raise SettingsError(
                "artifactsBucket and dataBucket must be two buckets: workers write to the second "
                "one, and must not be able to replace what runs"
            )
        _check_choice("bucketLocation", self.location, get_args(Location))
        _check_choice("jurisdiction", self.jurisdiction, get_args(Jurisdiction))

    @property
    def endpoint(self) -> str:
        """Address of R2's S3 API."""
        part = "" if self.jurisdiction == "default" else f".{self.jurisdiction}"
        return f"https://{self.account}{part}.r2.cloudflarestorage.com"


def public_part(private: str) -> str:
    """The public key, as one line, of a private key in OpenSSH's text format.

    Raises:
        SettingsError: it is no unencrypted Ed25519 key in that format.
    """
    lines = private.strip().splitlines()
    try:
        raw = base64.b64decode("".join(lines[1:-1]), validate=True)
        cipher, rest = _field(raw.removeprefix(_MAGIC))
        for _ in range(2):  # the key derivation and its options
            _, rest = _field(rest)
        public, _ = _field(rest[4:])  # after the number of keys
        kind, _ = _field(public)
    except ValueError:
        raw, cipher, public, kind = b"", b"", b"", b""
    whole = lines[:1] == ["-----BEGIN OPENSSH PRIVATE KEY-----"] and raw.startswith(_MAGIC)
    if not whole or (cipher, kind) != (b"none", b"ssh-ed25519"):
        raise SettingsError(
            "hostKey must be an Ed25519 key without a passphrase: ssh-keygen -t ed25519 -N '' -f F"
        )
    return f"ssh-ed25519 {base64.b64encode(public).decode()}"


def _field(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:4])
    if len(data) < 4 + length:
        raise ValueError("it is cut")
    return data[4 : 4 + length], data[4 + length :]


def _check(name: str, value: str, form: re.Pattern[str], what: str) -> None:
    if not form.fullmatch(value):
        raise SettingsError(f"{name} must be {what}, is {value!r}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}, is {value!r}")
