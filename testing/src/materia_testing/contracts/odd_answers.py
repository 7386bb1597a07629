"""Malformed API answers for fault injection: `{}`, an HTML page, truncated JSON, null fields.

No API documents such answers, but every API sends them at times. A fake service changes its own
answers with `spoilt`, so that tests show how a client handles them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

# By name: the answer that replaces a good one; the request has had its effect.
ODD: Mapping[str, str] = {
    "odd_object": "the request is carried out, and the answer is {}",
    "odd_list": "the request is carried out, and the answer is [], or {} in place of a list",
    "odd_page": "the request is carried out, and the answer is a page of HTML with status 200",
    "odd_cut": "the request is carried out, and the answer ends in the middle of its JSON",
    "odd_nulls": "the request is carried out, and every field of the answer is null",
    "odd_numbers": "the request is carried out, and every text of the answer is a number",
    "odd_lacking": "the request is carried out, and the answer lacks identities and dates",
    "odd_stranger": "every list has a foreign entry without name and labels, with a malformed date",
}
PAGE = "<html><h1>Welcome to the login page</h1></html>"
LACKING = frozenset({"id", "created", "created_at", "creation_date", "timeCreated"})
NAMES = frozenset({"name", "displayName", "hostname"})
LABELS = frozenset({"labels", "tags", "freeformTags"})


def spoilt(body: object, kind: str) -> object:
    """The JSON *body* changed by *kind*; text is not JSON and stays unchanged.

    Args:
        body: The body of a good answer.
        kind: A name in `ODD`, or a change of one field anywhere in the body: `lacks:created`
            removes it, `null:created` sets it to null, `number:created` to a number.

    Raises:
        KeyError: the kind is unknown.
    """
    how, colon, key = kind.partition(":")
    return FIELD[how](body, key) if colon else SPOIL[kind](body)


def _each(body: object, change: Any) -> object:
    if isinstance(body, dict):
        return {key: _each(value, change) for key, value in body.items()}
    if isinstance(body, list):
        return [_each(value, change) for value in body]
    return change(body)


def _without(body: object, lacking: frozenset[str] = LACKING) -> object:
    if isinstance(body, dict):
        return {key: _without(value, lacking) for key, value in body.items() if key not in lacking}
    return [_without(value, lacking) for value in body] if isinstance(body, list) else body


def _with(body: object, field: str, given: object) -> object:
    if isinstance(body, dict):
        return {
            key: given if key == field else _with(value, field, given)
            for key, value in body.items()
        }
    return [_with(value, field, given) for value in body] if isinstance(body, list) else body


def _with_stranger(body: object) -> object:
    """The body with an additional entry at the beginning of its list."""
    if isinstance(body, list):
        return [_stranger(body), *body]
    if isinstance(body, dict):
        lists = [key for key, value in body.items() if isinstance(value, list)]
        if len(lists) == 1:
            return {**body, lists[0]: [_stranger(body[lists[0]]), *body[lists[0]]]}
    return body


def _stranger(others: list[object]) -> object:
    like: Mapping[str, object] = others[0] if others and isinstance(others[0], dict) else {"id": ""}
    identity = 4_200_001 if isinstance(like.get("id"), int) else "a-stranger"
    odd: dict[str, object] = {}
    for key, value in like.items():
        if key in NAMES | LABELS:
            odd[key] = None
        elif key == "id":
            odd[key] = identity
        elif "creat" in key.lower():
            odd[key] = "the day before yesterday"
        else:
            odd[key] = value
    return odd


def _cut(body: object) -> object:
    text = json.dumps(body)
    return text[: len(text) // 2].encode() or b"{"


SPOIL: Mapping[str, Callable[[object], object]] = {
    "odd_object": lambda _: {},
    # An empty list would look like a good answer.
    "odd_list": lambda body: {} if isinstance(body, list) else [],
    "odd_page": lambda _: PAGE,
    "odd_cut": _cut,
    "odd_nulls": lambda body: _each(body, lambda _: None),
    "odd_numbers": lambda body: _each(body, lambda one: 7 if isinstance(one, str) else one),
    "odd_lacking": _without,
    "odd_stranger": _with_stranger,
}
FIELD: Mapping[str, Callable[[object, str], object]] = {
    "lacks": lambda body, field: _without(body, frozenset({field})),
    "null": lambda body, field: _with(body, field, None),
    "number": lambda body, field: _with(body, field, 7),
}


def fields_of(body: object) -> set[str]:
    """The names of all fields in a JSON body, at any depth."""
    if isinstance(body, dict):
        return set(body).union(*(fields_of(value) for value in body.values()))
    return (
        set[str]().union(*(fields_of(value) for value in body)) if isinstance(body, list) else set()
    )
