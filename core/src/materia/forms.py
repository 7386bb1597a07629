"""What a hash, a file name, a partition key or a table name must look like, and how large a number.

They stand in the annotations of values: `codec` reads them there, and a sink that makes a path of
such a text asks here first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

LONGEST_NAME = 200  # characters; with a hash beside it, most file systems take 255 bytes
LARGEST = 2**63 - 1  # what a column of a database holds


@dataclass(frozen=True, slots=True)
class Form:
    """What a text must look like.

    Attributes:
        what: It is, for people, with its article.
        pattern: It matches as a whole.
        longest: Characters.
    """

    what: str
    pattern: re.Pattern[str]
    longest: int = LONGEST_NAME

    def fits(self, text: object) -> bool:
        """Whether it is such a text."""
        return (
            isinstance(text, str)
            and len(text) <= self.longest
            and text.isprintable()
            and self.pattern.fullmatch(text) is not None
        )


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the largest that a number may be."""

    least: int
    most: int = LARGEST


SHA256 = Form("a SHA-256 in 64 hex digits", re.compile("[0-9a-f]{64}"), 64)
# Not made of dots alone, and no part of a path: the last condition holds for each part of a key.
_PART = r"(?!\.*(?:/|$))[^/\\]+"
FILE_NAME = Form("a plain file name", re.compile(_PART))
PARTITION_KEY = Form("a partition key", re.compile(rf"{_PART}(?:/{_PART})*"))
PLUGIN_NAME = Form("a name of a source", re.compile(r"\w[\w.-]*"))
_IDENTIFIER = r"[^\W\d][\w$-]*"
TABLE_NAME = Form("a table name", re.compile(rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})?"))

Sha256 = Annotated[str, SHA256]
FileName = Annotated[str, FILE_NAME]
PartitionKey = Annotated[str, PARTITION_KEY]
SourceName = Annotated[str, PLUGIN_NAME]
TableName = Annotated[str, TABLE_NAME]
Count = Annotated[int, Range(0)]
