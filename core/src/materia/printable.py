"""Strip escape sequences and control characters from untrusted text: ANSI, bidi, zero-width.

A worker, an API, an archive or a bucket can send text that a terminal obeys: it sets the title,
clears the screen, shows a link or reverses the order of the letters. Text that materia prints, logs
or stores passes through here.
"""

from __future__ import annotations

import re
from typing import Any

# Whole sequences first, so that no part of them is left over. No repeated part can match the
# beginning of a sequence, so the time is linear in the length of the text.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Unicode 16: characters with the property Default_Ignorable_Code_Point, format characters and
# control characters; emoji keep their variation selectors.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: no stream can write it


def printable(text: str) -> str:
    """*text* without control and invisible characters, except newline and tab."""
    if text.isascii() and text.isprintable():
        return text
    text = _SEQUENCE.sub("", text)
    text = _LINE_END.sub("\n", text)
    return _SURROGATE.sub("\ufffd", _UNSEEN.sub("", text))


def on_one_line(text: str) -> str:
    """*text* on one line, without control characters: for a table cell or a list."""
    return " ".join(printable(text).split())


def printable_all(value: Any) -> Any:
    """Apply `printable` to every text in a value that came from JSON."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list | tuple):
        return type(value)(map(printable_all, value))
    if isinstance(value, dict):
        return {printable_all(key): printable_all(item) for key, item in value.items()}
    return value
