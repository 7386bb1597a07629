r"""`.env`: variables in a file, one `NAME=value` a line.

A value is taken as it is written: nothing is put in the place of `$NAME` or `${NAME}`, as a
password may have a dollar in it. In 'single' and "double" quotes it may have several lines; only
double quotes know `\n` and the like. The last line of a name counts. `export` in front is allowed,
and `#` begins a comment at the begin of a line, or after a blank.
"""

from __future__ import annotations

import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path


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
    from dotenv.parser import parse_stream  # dotenv_values() would log what it cannot parse

    values: dict[str, str] = {}
    broken = []
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            written = binding.original.string
            before = written[: len(written) - len(written.lstrip())]  # blank lines above it
            first = binding.original.line + before.count("\n")
            last = first + written.strip().count("\n")  # a quote that nothing closes
            broken.append(f"{first}" if first == last else f"{first}-{last}")
        elif binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return {name: value for name, value in values.items() if value}, broken


def _lines(broken: list[str]) -> str:
    if len(broken) == 1 and "-" not in broken[0]:
        return f"line {broken[0]} is"
    return f"lines {', '.join(broken[:5])}{', ...' if len(broken) > 5 else ''} are"
