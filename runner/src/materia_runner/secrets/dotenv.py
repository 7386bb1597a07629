r"""Parse a `.env` file: variables as `NAME=value`, one per line.

Values are literal: `$NAME` and `${NAME}` are not expanded, because a password may contain a dollar
sign. A value in 'single' or "double" quotes may have several lines. Single quotes take everything
up to the next one, backslashes included, as a shell does; only double quotes know escapes such as
`\n`. The last line of a name counts. A line may begin with `export`, and `#` starts a comment at
the beginning of a line, after a space, or after a quoted value.
"""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from materia._dataclass import dataclass

_NAME = re.compile(r"""[^\S\n]*(?:export[^\S\n]+)?([^=#\s'"]+)[^\S\n]*=[^\S\n]*""")
_QUOTED = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_NOTHING = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")  # spaces and a comment to the line's end
_COMMENT = re.compile(r"\s+#.*")
_ESCAPE = re.compile(r"\\([\\'\"abfnrtv])")
_ESCAPED = dict(zip("\\'\"abfnrtv", "\\'\"\a\b\f\n\r\t\v", strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvFile:
    """Variables of a `.env` file.

    Attributes:
        values: Values by name; empty values are left out.
        exposed: Command that makes the file private, if every user on this machine can read it;
            otherwise empty.
        problems: Sentences about lines that could not be used, without their content.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    exposed: str = ""
    problems: tuple[str, ...] = ()


def read_env_file(path: Path) -> EnvFile:
    """Read the file; empty when it does not exist or is a folder."""
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
    problems = (f"{path}: {_lines(broken)} not NAME=value, and ignored",) if broken else ()
    return EnvFile(values=values, exposed=exposed, problems=problems)


def _parse(text: str) -> tuple[dict[str, str], list[str]]:
    """The values, and the numbers of unusable lines, as `3` or `5-7`."""
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
    """Name and value of the line that begins at *at*, and the offset of the next line.

    For an unusable line: None, and the offset of its end; a quote may span several lines.
    """
    name = _NAME.match(text, at)
    if name is None:
        return None, _end(text, at)
    start = name.end()
    if text[start : start + 1] not in {"'", '"'}:
        end = _end(text, start)
        # The space before the `#` may be one of those after the `=`.
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
