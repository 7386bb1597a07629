"""Declare a source: addresses, partitions, form, key and types of its files, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from materia._dataclass import dataclass
from materia.hookspecs import Opening, Plugin, Setting, hookimpl
from materia.kit.text import FILE_NAME
from materia.protocols import Source

from materia_snapshots.forms import Csv, Encoding, Excel, Form, Mark, Packing
from materia_snapshots.pages import Pages
from materia_snapshots.periods import Dated, Listed, Partitions, Runs

__all__ = ["Column", "Snapshots", "declare"]

# The types of DuckDB that a file's values can be read as without a loss.
TYPES = re.compile(r"TEXT|INTEGER|BIGINT|DOUBLE|DATE|BOOLEAN|DECIMAL\((\d{1,2}), ?(\d{1,2})\)")
TYPE_NAMES = "TEXT, INTEGER, BIGINT, DOUBLE, DECIMAL(18, 4), DATE or BOOLEAN"
INVISIBLE = re.compile("[\u200b\ufeff]")  # a space without width, and the mark of UTF-8
MOST_DIGITS = 38  # of a DECIMAL
NAME = re.compile(r"[a-z][a-z0-9_]*")
Each = Literal["slice", "release"]
Rule = Literal["refuse", "ask", "evolve"]
# The column of the generated model with everything that a schema that evolves adds.
UNDECLARED = "undeclared"
# Columns of the kit's own tables.
OURS = frozenset(
    {"partition", "period", "release", "seen", "change", "first_release", "end_release"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its type, and what analysts read about it.

    Attributes:
        type: `TEXT`, `INTEGER`, `BIGINT`, `DOUBLE`, `DECIMAL(18, 4)`, `DATE` or `BOOLEAN`. Codes
            such as 0410 are TEXT.
        comment: One line for analysts, with the unit.
        header: Its name in the file, when that is another one, or its names, when they differ from
            file to file; case, and how wide or of which kind white space is, do not matter.
        format: Form of a date that is not 2024-01-31, as for `strptime`: `%d/%m/%Y`.
    """

    type: str
    comment: str = ""
    header: str | tuple[str, ...] = ""
    format: str = ""

    @property
    def headers(self) -> tuple[str, ...]:
        """Its names in the files."""
        return (self.header,) if isinstance(self.header, str) else self.header


def plain_header(text: str) -> str:
    """The name of a column in a file, as names are compared: any case, any white space."""
    return " ".join(INVISIBLE.sub("", text).split()).casefold()


def odd_text(name: str) -> str:
    """The column beside *name* for the texts that do not fit its type, when the schema evolves."""
    return f"{name}_text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """A source whose partitions are files with keyed rows.

    Attributes:
        name: Name that users type; tables begin with it: `raw.<name>_row`.
        summary: One line for `materia plugins`.
        url: Address that all paths are below, without a slash at the end. Users can set another
            one, or a folder, in materia.toml.
        partitions: Which files there are: `Days`, `Weeks`, `Months`, `Quarters`, `Years`,
            `Listed`, or `Runs` of an API.
        each: What a file holds: a `slice`, only rows of its own period, and the table has the rows
            of all files; or a `release`, everything as it was published then, and the table has
            the rows of the newest file, with the history of all.
        form: The form of the files, or `Pages` for an API.
        key: The columns that identify a row in a file.
        columns: Type or `Column` by name, in the order of the table.
        schema: What happens with a file whose columns or types differ: `refuse` puts it into
            quarantine; `ask` does so until the user accepts the columns in materia.toml; `evolve`
            loads it. Then a new column is text, a missing one is empty, and, with `evolve`, a value
            of another type is in a column `<name>_text`; the generated model has these columns in
            one, `undeclared`, as JSON. A file without a key column is always refused.
        ignore: Columns of the files that are not read.
        recheck: How many of the newest files are asked for in every run; each older one is asked
            for once in 30 days. Each file of a list is asked for in every run.
        most_bytes: Most bytes of a file, and of what is unpacked from it.
        sample: Folder with a few files for `materia run --sample`, at the same paths, or None.
        models: Folder with a SQLMesh project of your own in place of the generated one, or None.
        secrets: Names of environment variables that `Pages` need, such as a key for the API.

    Raises:
        ValueError: the declaration contradicts itself.
    """

    name: str
    summary: str
    url: str
    partitions: Partitions
    each: Each
    form: Form | Pages
    key: tuple[str, ...]
    columns: Mapping[str, str | Column]
    schema: Rule = "refuse"
    ignore: tuple[str, ...] = ()
    recheck: int = 2
    most_bytes: int = 1 << 30
    sample: Path | None = None
    models: Path | None = None
    secrets: tuple[str, ...] = ()
    table: Mapping[str, Column] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the declaration, and give each column its header."""
        columns = {
            name: Column(type=one) if isinstance(one, str) else one
            for name, one in self.columns.items()
        }
        table = {name: replace(one, header=one.header or name) for name, one in columns.items()}
        object.__setattr__(self, "table", table)
        if (fault := next(self._faults(), None)) is not None:
            raise ValueError(f"the source {self.name!r}: {fault}")

    def _faults(self) -> Iterator[str]:
        """What is wrong with the declaration: first what the checks behind would stumble over."""
        yield from _wrong_words(self)
        yield from _wrong_tuples(self)
        for name in (self.name, *self.columns):
            if not NAME.fullmatch(name):
                yield f"the name {name!r} must have small letters, digits and _ only"
        yield from _wrong_partitions(self)
        if not self.key or not set(self.key) <= set(self.columns):
            yield f"key must name columns, is {self.key!r}"
        if taken := OURS & set(self.columns):
            yield f"the columns {sorted(taken)} are materia's own; give them other names"
        yield from _wrong_form(self)
        if self.grows and UNDECLARED in self.table:
            yield f"the column {UNDECLARED} is that of all new columns; give it another name"
        for name, column in self.table.items():
            odd = odd_text(name) if self.schema == "evolve" and column.type != "TEXT" else ""
            if odd in self.table:
                yield f"{odd} is the column of odd values of {name}; rename it"
        headers = [plain_header(name) for one in self.table.values() for name in one.headers]
        if len(set(headers)) < len(headers):
            yield "two columns have the same header"

    @property
    def grows(self) -> bool:
        """Whether its files may have other columns than declared."""
        return self.schema != "refuse"

    def plugin(self) -> Plugin[Source]:
        """The declaration that materia reads."""
        return Plugin(
            name=self.name,
            summary=self.summary,
            open=self._open,
            check=self._check,
            secrets=self.secrets,
            settings=self._settings(),
            sample=None if self.sample is None else {"url": str(self.sample)},
        )

    def _settings(self) -> tuple[Setting, ...]:
        found = [
            Setting(
                name="url",
                kind="text",
                default=self.url,
                help="Address that the files are below, or a folder (also file://) with them.",
                folder=not isinstance(self.form, Pages),
            )
        ]
        if not isinstance(self.partitions, Listed | Runs):
            default, name = self.partitions.since, self.partitions.NAME
            found.append(
                Setting(name="since", kind="text", default=default, help=f"The oldest {name}.")
            )
        if self.schema == "ask":
            found.append(
                Setting(
                    name="accept",
                    kind="texts",
                    default=(),
                    help="New and missing columns of the files to accept.",
                )
            )
        return tuple(found)

    def _open(self, opening: Opening) -> Source:
        from materia_snapshots.settings import read_settings
        from materia_snapshots.source import SnapshotSource

        return SnapshotSource(self, read_settings(self, opening), secrets=opening.secrets)

    def _check(self, opening: Opening) -> None:
        from materia_snapshots.settings import read_settings

        read_settings(self, opening)


def _wrong_words(source: Snapshots) -> Iterator[str]:
    """Words that are none of those to choose from, and other kinds of values than expected."""
    form: object = source.form
    if not isinstance(form, Form | Pages):
        yield f"form must be a form such as Csv(), is {form!r}"
        return
    choices: list[tuple[str, object, object]] = [
        ("each", source.each, Each),
        ("schema", source.schema, Rule),
    ]
    if not isinstance(form, Pages):
        choices.append(("packed", form.packed, Packing))
    if isinstance(form, Csv):
        choices += [("encoding", form.encoding, Encoding), ("decimal", form.decimal, Mark)]
    for name, value, words in choices:
        if value not in get_args(words):
            yield f"{name} must be one of {', '.join(map(repr, get_args(words)))}, is {value!r}"
    if isinstance(form, Csv | Excel) and form.skip < 0:
        yield f"skip must be 0 or more, is {form.skip}"
    since: object = getattr(source.partitions, "since", "")
    if not isinstance(since, str):
        yield f"since must be text, is {since!r}"


def _wrong_tuples(source: Snapshots) -> Iterator[str]:
    """Texts in place of tuples, of which each letter would count."""
    several: dict[str, object] = {
        "key": source.key,
        "ignore": source.ignore,
        "secrets": source.secrets,
        "missing": getattr(source.form, "missing", ()),
        "keys": getattr(source.partitions, "keys", ()),
        "absent": getattr(source.form, "absent", ()),
    }
    for name, value in several.items():
        if isinstance(value, str | int):
            yield f"{name} must be a tuple, as ({value!r},), is {value!r}"


def _wrong_form(source: Snapshots) -> Iterator[str]:
    if isinstance(source.form, Csv) and len(source.form.delimiter) != 1:
        yield f"the delimiter must be one character, is {source.form.delimiter!r}"
    for name, column in source.table.items():
        found = TYPES.fullmatch(column.type)
        if found is None:
            yield f"the type of {name} must be {TYPE_NAMES}, is {column.type!r}"
        elif found[1] and not max(int(found[2]), 1) <= int(found[1]) <= MOST_DIGITS:
            yield (
                f"the type of {name} must be DECIMAL(digits, decimals) with at most {MOST_DIGITS} "
                f"digits, of which some are decimals, is {column.type!r}"
            )
        if column.format and (column.type != "DATE" or "%" not in column.format):
            yield (
                f"the format of {name} must be that of a DATE, such as %d.%m.%Y, "
                f"is {column.format!r} of {column.type}"
            )


def _wrong_partitions(source: Snapshots) -> Iterator[str]:
    partitions = source.partitions
    if isinstance(partitions, Runs) and not isinstance(source.form, Pages):
        yield "Runs are those of an API; its form must be Pages"
    if source.secrets and not isinstance(source.form, Pages):
        yield "only an API has secrets; its form must be Pages"
    if isinstance(partitions, Listed | Runs):
        if source.each == "release":
            yield "files without a date have no order of releases; use each='slice'"
    elif partitions.first(partitions.since) is None:
        expected = f"a {partitions.NAME} such as {partitions.EXAMPLE}"
        yield f"since must be {expected}, is {partitions.since!r}"
        return
    if isinstance(partitions, Listed):
        yield from _wrong_keys(partitions)
    if not isinstance(partitions, Runs):
        yield from _wrong_path(source, partitions)


def _wrong_keys(partitions: Listed) -> Iterator[str]:
    if not partitions.keys:
        yield "keys must name at least one file"
    for key in partitions.keys:
        if not all(map(FILE_NAME.fits, key.split("/"))):
            yield f"each of keys must be a plain name, or several with / between, is {key!r}"


def _wrong_path(source: Snapshots, partitions: Dated | Listed) -> Iterator[str]:
    since = "" if isinstance(partitions, Listed) else partitions.since
    try:
        some = list(islice(partitions.periods(since, date.max), 8))
    except (AttributeError, LookupError, ValueError) as error:
        yield f"the path {partitions.path!r} cannot be filled in: {type(error).__name__}: {error}"
        return
    if len({one.path for one in some}) < len(some) and not isinstance(source.form, Pages):
        yield f"the path {partitions.path!r} names one file for several partitions"


def declare(*sources: Snapshots) -> Callable[[], list[Plugin[Source]]]:
    """The hook of a plugin's module: assign it to the name `materia_sources`."""

    @hookimpl
    def materia_sources() -> list[Plugin[Source]]:
        return [one.plugin() for one in sources]

    hook: Any = materia_sources
    return hook  # type: ignore[no-any-return]
