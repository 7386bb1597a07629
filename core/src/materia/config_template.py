"""The commented materia.toml: what every installed plugin and stage can be told."""

from __future__ import annotations

import json

from materia.config import DEFAULTS, PROJECT, STAGES
from materia.currency import DEFAULT
from materia.hookspecs import Setting
from materia.plugins import KINDS, Registry

HEAD = f"""\
# materia.toml: every key with its default. Uncomment what you want to change.
# Secrets are not for this file: they are environment variables, named below, or lines in the
# file .env beside this one.

# Where data comes from, where it is kept, and who rents the machines.
# source = "{DEFAULTS["source"]}"
# sink = "{DEFAULTS["sink"]}"
# provider = "{DEFAULTS["provider"]}"

# The currency that costs are shown and compared in.
[currency]
# code = "{DEFAULT}"
# A provider that charges in another one needs its rate, with the day it was true:
# [currency.rates.USD]
# worth = "0.8654"
# date = 2026-11-20
# source = "European Central Bank"

[secrets]
# Environment of Pulumi ESC where secrets are looked for that are nowhere else.
# esc = "organization/project/name"  # not set

[transform]
# Folder of the SQLMesh project, from the folder of this file.
# project = "{PROJECT}"
"""
EXAMPLES = {"text": '""', "number": "1", "yes_no": "false", "texts": "[]"}


def template(registry: Registry) -> str:
    """The text of the file; with all its comments removed it would change nothing."""
    parts = [HEAD]
    for stage in STAGES:
        needs = stage.requirements
        parts.append(
            f"# What the machine of the stage {stage.name} must have, and how long it may take:\n"
            f"# a rented machine is chosen by it, this one is taken as it is.\n"
            f"[stages.{stage.name}]\n"
            f"# vcpus = {needs.vcpus}\n"
            f"# memory_gib = {needs.memory_gib}\n"
            f"# disk_gib = {needs.disk_gib}\n"
            f"# architectures = {json.dumps(list(needs.architectures))}\n"
            f"# dedicated = {json.dumps(needs.dedicated)}\n"
            f"# minutes = {int(needs.expected.total_seconds()) // 60}\n"
        )
    for kind in KINDS:
        seen = set()
        for found in registry.of_kind(kind):
            plugin = found.plugin
            if plugin.name in seen:  # declared twice: neither can be used
                continue
            seen.add(plugin.name)
            head = f"# {plugin.summary}\n"
            if plugin.secrets:
                head += f"# Needs {' and '.join(plugin.secrets)} in the environment.\n"
            settings = "".join(_setting(setting) for setting in plugin.settings)
            parts.append(f"{head}[{kind}s.{plugin.name}]\n{settings}")
    return "\n".join(parts)


def _setting(setting: Setting) -> str:
    lines = [f"# {line}" for line in setting.help.splitlines()]
    if setting.default is None:
        lines.append(f"# {setting.name} = {EXAMPLES[setting.kind]}  # not set")
    else:
        default = setting.default
        value = list(default) if isinstance(default, tuple) else default
        lines.append(f"# {setting.name} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
