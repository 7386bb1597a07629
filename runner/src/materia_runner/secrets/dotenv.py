r"""`.env`: variables in a file, one `NAME=value` a line.

A value is taken as it is written: nothing is put in the place of `$NAME` or `${NAME}`, as a
password may have a dollar in it. In 'single' and "double" quotes it may have several lines. Single
quotes take everything up to the next one, backslashes included, as a shell does; only double quotes
know `\n` and the like. The last line of a name counts. `export` in front is allowed, and `#` begins
a comment at the begin of a line, after a blank, or behind a quote.
"""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_NAME = re.compile(r"""[^\S\n]*(?:export[^\S\n]+)?([^=#\s'"]+)[^\S\n]*=[^\S\n]*""")
_QUOTED = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_NOTHING = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")  # blanks and a comment, to the line's end
_COMMENT = re.compile(r"\s+#.*")
_ESCAPE = re.compile(r"\\([\\'\"abfnrtv])")
_ESCAPED = dict(zip("\\'\"abfnrtv", "\\'\"\a\b\f\n\r\t\v", strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvFile:
    """What a file says.

    Attributes:
        values: By name; empty ones are left out.
        exposed: How to keep others from reading it, when everybody on this machine can; else empty.
        problems: Sentences about what could not be used, without its content.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    exposed: str = ""
    problems: tuple[str, ...] = ()


def read_env_file(path: Path) -> EnvFile:
    """What the file says; nothing when there is none, or a folder of that name."""
    if not path.is_file():
        return EnvFile()
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        return EnvFile(problems=(f"{path} cannot be read: {error.strerror or error}",))
    except UnicodeDecodeError:
        return EnvFile(problems=(f"{path} cannot be read: it is not UTF-8 text",))
    exposed = f"chmod 600 {shlex.quote(str(path))}" if mode & stat.S_IROTH else ""
    values, broken = _parse(text)
    problems = (f"{path}: {_lines(broken)} not NAME=value, and left out",) if broken else ()
    return EnvFile(values=values, exposed=exposed, problems=problems)


def _parse(text: str) -> tuple[dict[str, str], list[str]]:
    """The values, and the lines that are none, as `3` or `5-7`."""
    values: dict[str, str] = {}
    broken = []
    at = 0
    while at < len(text):
        if found := _NOTHING.match(text, at):
            at = found.end()
            continue
        line = text.count("\n", 0, at) + 1
        binding, end = _binding(text, at)
        if binding is None:
            last = line + text.count("\n", at, end)
            broken.append(f"{line}" if line == last else f"{line}-{last}")
            end += 1
        else:
            values[binding[0]] = binding[1]
        at = end
    return {name: value for name, value in values.items() if value}, broken


def _binding(text: str, at: int) -> tuple[tuple[str, str] | None, int]:
    """Name and value of the line that begins at *at*, and where the next one begins.

    Without them, where the broken line ends; a quote may have made several of it.
    """
    name = _NAME.match(text, at)
    if name is None:
        return None, _end(text, at)
    start = name.end()
    if text[start : start + 1] not in {"'", '"'}:
        end = _end(text, start)
        # A blank before the `#` may be one of those behind the `=`.
        plain = text[start:end] if text[start - 1] == "=" else f" {text[start:end]}"
        return (name[1], _COMMENT.sub("", plain).strip()), end + 1
    quoted = _QUOTED.match(text, start)
    if quoted is None:
        return None, _end(text, at)
    after = _NOTHING.match(text, quoted.end())
    if after is None:
        return None, _end(text, quoted.end())
    if quoted[1] is not None:
        return (name[1], quoted[1]), after.end()
    return (name[1], _ESCAPE.sub(lambda found: _ESCAPED[found[1]], quoted[2])), after.end()


def _end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _lines(broken: list[str]) -> str:
    if len(broken) == 1 and "-" not in broken[0]:
        return f"line {broken[0]} is"
    return f"lines {', '.join(broken[:5])}{', ...' if len(broken) > 5 else ''} are"
