"""Forms of a file: CSV, JSON lines, Parquet or Excel; plain, in a zip or in gzip."""

from __future__ import annotations

from typing import Literal

from materia._dataclass import dataclass

__all__ = ["Csv", "Excel", "Form", "JsonLines", "Packing", "Parquet"]

Packing = Literal["", "zip", "gzip"]
Encoding = Literal["utf-8", "latin-1", "windows-1252", "utf-16"]
Mark = Literal[".", ","]


@dataclass(frozen=True, slots=True, kw_only=True)
class Csv:
    """Text with separated columns, whose first line names them.

    Attributes:
        packed: How the file is packed: not at all, `zip` or `gzip`.
        member: Pattern of the member's name in a zip, such as `*_daily.csv`; one member fits it.
        delimiter: The character between two columns.
        encoding: The encoding of the text; materia refuses a file with other bytes.
        skip: Number of lines before the one that names the columns.
        missing: Texts that stand for a missing value, beside an empty one: `N/A`, `-`.
        decimal: The character before the decimals of a number; there is none between thousands.
    """

    packed: Packing = ""
    member: str = "*.csv"
    delimiter: str = ","
    encoding: Encoding = "utf-8"
    skip: int = 0
    missing: tuple[str, ...] = ()
    decimal: Mark = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLines:
    """Text with one JSON object in each line, whose names are the columns.

    Attributes:
        packed: How the file is packed: not at all, `zip` or `gzip`.
        member: Pattern of the member's name in a zip; one member fits it.
    """

    packed: Packing = ""
    member: str = "*.json*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parquet:
    """A Parquet file.

    Attributes:
        packed: How the file is packed: not at all, `zip` or `gzip`.
        member: Pattern of the member's name in a zip; one member fits it.
    """

    packed: Packing = ""
    member: str = "*.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Excel:
    """A sheet of a workbook; it needs the extra `excel` of `materia-snapshots`.

    Attributes:
        packed: How the file is packed: not at all, `zip` or `gzip`.
        member: Pattern of the member's name in a zip; one member fits it.
        sheet: Name of the sheet; None for the first one.
        skip: Number of rows before the one that names the columns.
        missing: Texts that stand for a missing value, beside an empty one.
    """

    packed: Packing = ""
    member: str = "*.xls*"
    sheet: str | None = None
    skip: int = 0
    missing: tuple[str, ...] = ()


Form = Csv | JsonLines | Parquet | Excel
