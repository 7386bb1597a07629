"""Validate hashes, file names, partition keys, table names and numbers: patterns and ranges.

The annotations of values hold these forms: `codec` reads them there, and a sink checks a text
against its form before it builds a path from it.
"""

from __future__ import annotations

import re
from typing import Annotated

from materia._dataclass import dataclass

LONGEST_NAME = 200  # characters; with a hash beside it, most file systems take 255 bytes
LARGEST = 2**63 - 1  # the largest BIGINT of a database


@dataclass(frozen=True, slots=True)
class Form:
    """The pattern and length that a text must have.

    Attributes:
        what: Name of such a text for messages, with its article.
        pattern: Pattern that the whole text must match.
        longest: Longest length in characters.
    """

    what: str
    pattern: re.Pattern[str]
    longest: int = LONGEST_NAME

    def fits(self, text: object) -> bool:
        """Whether *text* has this form."""
        return (
            isinstance(text, str)
            and len(text) <= self.longest
            and text.isprintable()
            and self.pattern.fullmatch(text) is not None
        )


@dataclass(frozen=True, slots=True)
class Range:
    """The smallest and the largest allowed number."""

    least: int
    most: int = LARGEST


SHA256 = Form("a SHA-256 in 64 hex digits", re.compile("[0-9a-f]{64}"), 64)
# Not dots alone, and no slash or backslash: the same holds for each part of a partition key.
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
