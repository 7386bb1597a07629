"""The commented materia.toml: what every installed plugin and stage can be told."""

from __future__ import annotations

import json

from materia.hookspecs import Setting
from materia.plugins import KINDS, Registry

from materia_runner.config.load import STAGES, minutes
from materia_runner.config.project import PROJECT
from materia_runner.pricing.currency import DEFAULT

HEAD = f"""\
# materia.toml: every key with its default. Uncomment what you want to change.
# Secrets are not for this file: they are environment variables, named below, or lines in the
# file .env beside this one.

# Where data comes from, where it is kept, and who rents the machines: "local" is this one, "auto"
# all that rent and have their credentials; or some of them: ["hetzner", "oracle"].
{{defaults}}

# What may be paid for rented machines, in the currency below: nothing is rented that could cost
# more, each machine taken up to its hard deadline.
[budget]
# One run (--max-cost):
# run = "0.50"  # not set
# All runs of a calendar month, as far as they are in the ledger:
# monthly = "20"  # not set

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
# The SQLMesh project: its folder, from the folder of this file, or the name of an installed one.
# Not set, it is this folder, here or above; without it, the installed one for the source.
# project = "{PROJECT}"  # not set

# Where what workers run is kept; not set, it is copied to each of them over SSH.
[artifacts]
# bucket = "s3://acme/materia"  # not set
# Address of an object store that is not AWS, and the region:
# endpoint = "https://account.r2.cloudflarestorage.com"  # not set
# region = "auto"  # not set
"""
EXAMPLES = {"text": '""', "number": "1", "yes_no": "false", "texts": "[]"}


def template(registry: Registry, *, project: str | None = None) -> str:
    """The text of the file; with all its comments removed it would change nothing.

    But for the *project* that is used, as TOML, when one is given.
    """
    defaults = "\n".join(
        f'# {kind} = "{registry.default(kind)}"' + ("" if registry.default(kind) else "  # not set")
        for kind in ("source", "sink", "provider")
    )
    head = HEAD.replace("{defaults}", defaults)
    unset = f'# project = "{PROJECT}"  # not set\n'
    parts = [head if project is None else head.replace(unset, f"project = {project}\n")]
    for stage in STAGES:
        needs = stage.requirements
        parts.append(
            f"# What the machine of the stage {stage.name} must have: a rented machine is chosen\n"
            f"# by it, this one is taken as it is.\n"
            f"[stages.{stage.name}]\n"
            f"# vcpus = {needs.vcpus}\n"
            f"# memory_gib = {needs.memory_gib}\n"
            f"# disk_gib = {needs.disk_gib}\n"
            f"# architectures = {json.dumps(list(needs.architectures))}\n"
            f"# dedicated = {json.dumps(needs.dedicated)}\n"
            f"# How long it is thought to take; not set, earlier runs say it.\n"
            f"# minutes = {minutes(needs.expected)}  # not set\n"
            f"# How long it may take; it is ended then. Not set, six times as long, at least 1 h.\n"
            f"# deadline_minutes = {minutes(stage.deadline)}  # not set\n"
            f"# How much of what it makes is read by the next stage.\n"
            f"# output_gib = {json.dumps(str(stage.output_gib))}\n"
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
