"""Check a request's signature as Oracle Cloud does: RSA-SHA256 over headers and body.

Oracle docs, "Request signatures": `(request-target)`, `date` and `host` are signed always, and with
a body also its length, type and SHA-256. A date more than five minutes off is refused.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from materia.kit.http_dates import http_moment
from materia_testing.emulation.exchange import Request

ALLOWED_SKEW = timedelta(minutes=5)
ALWAYS = {"date", "(request-target)", "host"}
WITH_BODY = {"content-length", "content-type", "x-content-sha256"}


@dataclass(frozen=True, slots=True)
class Key:
    """An API key: the user's private half and the service's public half."""

    private_pem: str
    public: rsa.RSAPublicKey


@cache
def emulated_key() -> Key:
    """The key of the emulated user; made once per process because that is slow."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Key(pem.decode(), private.public_key())


def fault_of(request: Request, *, key_id: str, public: rsa.RSAPublicKey, now: datetime) -> str:
    """The fault of the signature; empty when it is valid."""
    given = dict(re.findall(r'(\w+)="([^"]*)"', request.headers.get("authorization", "")))
    if given.get("keyId") != key_id or given.get("algorithm") != "rsa-sha256":
        return "keyId or algorithm"
    names = given.get("headers", "").split()
    needed = ALWAYS | (WITH_BODY if request.method in {"POST", "PUT", "PATCH"} else set())
    if not needed <= set(names):
        return "signed headers"
    if not _near(request.headers.get("date", ""), now):
        return "date"
    lines = [
        f"{name}: {request.method.lower()} {request.target}"
        if name == "(request-target)"
        else f"{name}: {request.headers.get(name, '')}"
        for name in names
    ]
    try:
        public.verify(
            base64.b64decode(given.get("signature", "")),
            "\n".join(lines).encode(),
            padding.PKCS1v15(),
            hashes.SHA256(),
        )
    except (InvalidSignature, ValueError):
        return "signature"
    digest = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
    if needed >= WITH_BODY and request.headers.get("x-content-sha256") != digest:
        return "x-content-sha256"
    return ""


def _near(date: str, now: datetime) -> bool:
    said = http_moment(date)
    return said is not None and abs(said - now) <= ALLOWED_SKEW
