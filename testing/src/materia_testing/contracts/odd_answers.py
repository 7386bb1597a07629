"""Answers that no API documents and every API gives some day: `{}`, a page, fields without values.

A stand-in for a service spoils its own answers with `spoilt`, so that tests see what a client makes
of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

# By name: what comes in the place of a good answer, whose request has had its effect.
ODD: Mapping[str, str] = {
    "odd_object": "the request is carried out, and the answer is {}",
    "odd_list": "the request is carried out, and the answer is [], or {} where a list was due",
    "odd_page": "the request is carried out, and the answer is a page of HTML with status 200",
    "odd_cut": "the request is carried out, and the answer ends in the middle of its JSON",
    "odd_nulls": "the request is carried out, and every field of the answer is null",
    "odd_numbers": "the request is carried out, and every text of the answer is a number",
    "odd_lacking": "the request is carried out, and the answer lacks identities and dates",
    "odd_stranger": "every list has an entry of a stranger without name and labels, dated oddly",
}
PAGE = "<html><h1>Welcome to the login page</h1></html>"
LACKING = frozenset({"id", "created", "created_at", "creation_date", "timeCreated"})
NAMES = frozenset({"name", "displayName", "hostname"})
LABELS = frozenset({"labels", "tags", "freeformTags"})


def spoilt(body: object, kind: str) -> object:
    """What *kind* makes of the JSON *body*; text is no JSON and sent as it is.

    Args:
        body: Of a good answer.
        kind: A name of `ODD`, or one field, wherever it is in the body: `lacks:created` takes it
            away, `null:created` makes it null, `number:created` makes it a number.

    Raises:
        KeyError: there is no such kind.
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
    """The body with one entry more in its list, at its beginning."""
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
    # An empty list in the place of a list cannot be told from the truth.
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
    """The names of all fields in a JSON body, however deep."""
    if isinstance(body, dict):
        return set(body).union(*(fields_of(value) for value in body.values()))
    return (
        set[str]().union(*(fields_of(value) for value in body)) if isinstance(body, list) else set()
    )
