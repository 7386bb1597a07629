"""Redact secrets from messages and logs, and remove them from the environment of child processes.

`resolve.py` finds their values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from materia.printable import printable

if TYPE_CHECKING:
    from materia.plugins import Registry

HIDDEN = "***"
SHORTEST = 4  # characters; a shorter value is also part of ordinary words, and is not redacted
SHORTEST_INSIDE = 8  # characters of base64 text inside a longer base64 text
AHEAD = 8  # characters to check before the search for a whole form begins
# Of the bucket of artifacts: the variables of sinks in buckets, or those that no worker gets.
BUCKET_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OWN_BUCKET_KEYS = ("MATERIA_ARTIFACTS_KEY_ID", "MATERIA_ARTIFACTS_KEY_SECRET")
# Variables with the address of a webhook, by what it is notified of.
WEBHOOKS: Mapping[str, str] = {"run": "MATERIA_RUN_WEBHOOK", "sweep": "MATERIA_SWEEP_WEBHOOK"}
# No plugin declares them, and no worker needs them; the first opens every other secret.
OWN = frozenset(
    {
        "PULUMI_ACCESS_TOKEN",
        "AWS_SESSION_TOKEN",
        *BUCKET_KEYS,
        *OWN_BUCKET_KEYS,
        *WEBHOOKS.values(),
    }
)
# Ending of variables that name a region: a message about an orphan must show where it is.
PLACE = "_REGION"


def without_secrets(environment: Mapping[str, str], registry: Registry) -> dict[str, str]:
    """The environment without the secrets of all installed plugins and of materia itself."""
    declared = {name for found in registry.found for name in found.plugin.secrets}
    return {
        name: value
        for name, value in environment.items()
        if name not in declared and name not in OWN
    }


def to_hide(names: Iterable[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """The secret values of the variables *names*, which messages must not contain.

    A variable whose name ends in `_REGION` is not secret.
    """
    return tuple(
        value for name in names if (value := environment.get(name)) and not name.endswith(PLACE)
    )


def all_to_hide(environment: Mapping[str, str], registry: Registry) -> tuple[str, ...]:
    """The secret values of all installed plugins and of materia itself."""
    declared = {name for found in registry.found for name in found.plugin.secrets}
    return to_hide(sorted(declared | OWN), environment)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Redact every secret in a text, also encoded, quoted or split into lines.

    It replaces the value; its single lines; its forms in Python, JSON, a shell and a URL; and its
    hex and base64, also inside longer base64 such as that of `user:password`. Values under 4
    characters are not redacted. It cannot find a value that the caller has cut in two: pass whole
    lines. The speed is about 30 MB per second with 20 secrets.
    """
    pattern = _pattern(frozenset(secrets))
    return text if pattern is None else pattern.sub(HIDDEN, text)


def clean(text: str, secrets: Iterable[str]) -> str:
    """Remove secrets and control characters from a text, for messages and logs."""
    secrets = tuple(secrets)
    # Twice, because a removed control character may have split a secret.
    return redact(printable(redact(text, secrets)), secrets)


def redact_all(value: Any, secrets: Iterable[str]) -> Any:
    """Redact every text in a value that came from JSON."""
    pattern = _pattern(frozenset(secrets))
    return value if pattern is None else _redacted(value, pattern)


def _redacted(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return pattern.sub(HIDDEN, value)
    if isinstance(value, list):
        return [_redacted(item, pattern) for item in value]
    if isinstance(value, dict):
        return {_redacted(key, pattern): _redacted(item, pattern) for key, item in value.items()}
    return value


@lru_cache(maxsize=64)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    """One expression for every form of every secret; None when there is nothing to hide."""
    forms = {form for secret in secrets for form in _forms(secret) if len(form) >= SHORTEST}
    if not forms:
        return None
    # This check of the first characters rejects almost all text, which is some ten times as fast.
    depth = min(AHEAD, *map(len, forms))
    ahead = "".join(_any_of({form[place] for form in forms}) for place in range(depth))
    return re.compile(f"(?={ahead}){_longest(sorted(forms))}")


def _any_of(characters: set[str]) -> str:
    return f"[{''.join(re.escape(one) for one in sorted(characters))}]"


def _longest(forms: list[str]) -> str:
    """A regular expression for the longest match of the sorted *forms*, as a tree of prefixes.

    An alternation of hundreds of whole forms would try each one at every position.
    """
    shared = _shared(forms[0], forms[-1])
    rests = [form[shared:] for form in forms]
    ends_here = not rests[0]
    groups: dict[str, list[str]] = {}
    for rest in filter(None, rests):
        groups.setdefault(rest[0], []).append(rest)
    if not groups:
        return re.escape(forms[0])
    inner = "|".join(_longest(group) for group in groups.values())
    return f"{re.escape(forms[0][:shared])}(?:{inner}){'?' if ends_here else ''}"


def _shared(first: str, last: str) -> int:
    """Length of the common prefix."""
    pairs = zip(first, last, strict=False)
    return next((number for number, (one, two) in enumerate(pairs) if one != two), len(first))


def _forms(secret: str) -> Iterator[str]:
    """The forms of a secret in messages, tracebacks, JSON, URLs, commands and headers."""
    import json
    import shlex
    from urllib.parse import quote, quote_plus

    if len(secret.strip()) < SHORTEST:
        return
    raw = secret.encode(errors="surrogatepass")
    for text in {secret, *(line.strip() for line in secret.splitlines())}:
        yield text
        yield shlex.quote(text).removeprefix("'").removesuffix("'")
        yield text.replace("'", "'\\''")
    yield repr(secret)[1:-1]
    yield repr(raw)[2:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    for address in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield address
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), address)
    yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", secret)  # as printf %q of bash
    yield raw.hex()
    yield raw.hex().upper()
    yield from _base64(raw)


def _base64(raw: bytes) -> Iterator[str]:
    """The base64 of the value alone, with and without padding, and inside a longer text."""
    from base64 import b64encode, urlsafe_b64encode

    for encode in (b64encode, urlsafe_b64encode):
        whole = encode(raw).decode()
        yield whole
        yield whole.rstrip("=")
        for before in range(3):  # bytes of something else that share the first three-byte group
            text = encode(bytes(before) + raw).decode()
            begin, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
            if end - begin >= SHORTEST_INSIDE:
                yield text[begin:end]
