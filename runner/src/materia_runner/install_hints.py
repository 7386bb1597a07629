"""Install hints: the command that installs a missing package in this environment (pip or uv).

It names an extra only when the metadata of materia-pipelines has it.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import Distribution

USUAL_SET = "materia-pipelines"
PLACES = ("git", "url", "path", "directory", "editable")  # keys of a requirement in uv's receipt


def install_command(package: str) -> str:
    """The command to install *package*, as an extra of materia-pipelines where it is one.

    It is in backticks, so that no terminal breaks it. It removes no installed package.

    Args:
        package: A requirement, for example `materia-hetzner`, which is the extra `hetzner`, or
            `materia-runner[chart]`, which is the extra `chart`.
    """
    name, _, inner = package.partition("[")
    extra = inner.removesuffix("]") or name.removeprefix("materia-")
    return f"`{_install_command(package, extra)}`"


def _install_command(package: str, extra: str) -> str:
    usual = _distribution(USUAL_SET)
    has = usual is not None and extra in (usual.metadata.get_all("Provides-Extra") or ())
    prefix = Path(sys.prefix)
    if usual is not None and (prefix.parent / "uv.lock").is_file():
        if _is_editable(usual):  # a clone; without --inexact, uv sync removes other packages
            return f"uv sync --inexact{f' --extra {extra}' if has else ''}"
        return f"uv add {_quoted(USUAL_SET, extra) if has else shlex.quote(package)}"
    if (receipt := prefix / "uv-receipt.toml").is_file():
        return _tool_command(receipt, package, extra if has else None)
    wanted = _quoted(USUAL_SET, extra) if has else shlex.quote(package)
    return f"{'pip' if find_spec('pip') else 'uv pip'} install {wanted}"


def editable_command(folder: str) -> str:
    """The command to install the package in *folder* beside materia, so that edits take effect."""
    where = shlex.quote(folder)
    if (receipt := Path(sys.prefix) / "uv-receipt.toml").is_file():
        return f"{_tool_command(receipt, '', None).rstrip()} --with-editable {where}"
    return f"{'pip' if find_spec('pip') else 'uv pip'} install --no-deps --editable {where}"


def _tool_command(receipt: Path, package: str, extra: str | None) -> str:
    """The command with all current packages of the tool: uv reinstalls only what is named."""
    import tomllib

    has = tomllib.loads(receipt.read_text(encoding="utf-8"))["tool"]["requirements"]
    tool, *beside = [_requirement(one, extra) for one in has] or [USUAL_SET]
    if extra is None and package:
        beside.append(package)
    return " ".join(
        ["uv tool install", shlex.quote(tool), *(f"--with {shlex.quote(one)}" for one in beside)]
    )


def _requirement(entry: Mapping[str, Any], extra: str | None) -> str:
    extras = [*entry.get("extras", ())]
    if extra is not None and entry["name"] == USUAL_SET:
        extras.append(extra)
    where = next((str(entry[key]) for key in PLACES if entry.get(key)), "")
    where = f"git+{where}" if entry.get("git") else where
    name = f"{entry['name']}[{','.join(extras)}]" if extras else str(entry["name"])
    return f"{name} @ {where}" if where else f"{name}{entry.get('specifier', '')}"


def _quoted(name: str, extra: str) -> str:
    return shlex.quote(f"{name}[{extra}]")


def _distribution(name: str) -> Distribution | None:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _is_editable(distribution: Distribution) -> bool:
    url = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(url.get("dir_info", {}).get("editable"))
