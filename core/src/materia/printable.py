"""Take control characters out of text from outside: escape sequences, bidi marks, zero-width.

A worker, an API, an archive or a bucket writes what it likes, and a terminal obeys it: sets its
title, clears the screen, shows a link, turns the order of the letters. What is shown, logged or
written down passes through here.
"""

from __future__ import annotations

import re
from typing import Any

# Whole sequences first, so that nothing of them is left over. None of the repeated parts can hold
# what a sequence begins with, so the time is linear in the text.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Unicode 16: what has the property Default_Ignorable_Code_Point, or is a format or control
# character; emoji keep their variation selectors.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: no stream can write it


def printable(text: str) -> str:
    """*text* as any terminal, log and file can take it; of what is unseen, newline and tab stay."""
    if text.isascii() and text.isprintable():
        return text
    text = _SEQUENCE.sub("", text)
    text = _LINE_END.sub("\n", text)
    return _SURROGATE.sub("\ufffd", _UNSEEN.sub("", text))


def on_one_line(text: str) -> str:
    """*text* as one cell of a table, or one line of a list."""
    return " ".join(printable(text).split())


def printable_all(value: Any) -> Any:
    """As `printable`, for every text in a value that came from JSON."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list | tuple):
        return type(value)(map(printable_all, value))
    if isinstance(value, dict):
        return {printable_all(key): printable_all(item) for key, item in value.items()}
    return value
