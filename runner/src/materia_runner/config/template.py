"""Template of a commented materia.toml, with the settings of every installed plugin and stage."""

from __future__ import annotations

import json

from materia.hookspecs import Setting
from materia.plugins import KINDS, Registry
from materia.text import together

from materia_runner.config.project import PROJECT
from materia_runner.config.stages import STAGES, minutes
from materia_runner.pricing.currency import DEFAULT

HEAD = f"""\
# materia.toml: every key with its default. Uncomment what you want to change.
# Do not put secrets here: they are environment variables, named below, or lines in the file .env
# beside this one.

# Source and sink of the data, and the provider of machines: "local" is this machine, "auto" all
# that rent machines and have credentials. A list names several: provider = ["hetzner", "oracle"].
# The tables of all sources are in one database: source = ["psdonline", "ecb"].
{{defaults}}

# Name of the pipeline, to tell it from others that share its bucket or its database; default: that
# of the first source.
# name = "coffee"  # not set

# Caps on the cost of rented machines, in the currency below. A machine counts with its price until
# its hard deadline; nothing is rented that could exceed a cap.
[budget]
# One run (--max-cost):
# run = "1"
# All runs in the ledger of a calendar month:
# monthly = "20"  # not set

# The currency that costs are shown and compared in.
[currency]
# code = "{DEFAULT}"
# Prices in another currency need an exchange rate, with its date:
# [currency.rates.USD]
# worth = "0.8654"
# date = 2026-11-20
# source = "European Central Bank"

[secrets]
# Environment of Pulumi ESC, for secrets that are not found elsewhere.
# esc = "organization/project/name"  # not set

# A webhook that is notified when a run or a sweep starts, succeeds or fails, as those of
# healthchecks.io are. Its address is a secret: MATERIA_RUN_WEBHOOK and MATERIA_SWEEP_WEBHOOK.
[notify]
# runs = false
# sweeps = false

# When runs and sweeps start by themselves, once `materia schedule install` was run: a calendar
# expression of systemd (`man systemd.time`), and the minutes between two sweeps.
[schedule]
# run = "*-*-* 17:30 UTC"  # not set
# sweep = 15  # not set
# Whether another computer sweeps; otherwise a run that rents looks for one in the bucket.
# swept_elsewhere = false

[transform]
# The SQLMesh project: its folder, relative to this file, or the name of an installed project.
# Default: the folder below, here or in a parent folder, or else the installed one for a source.
# project = "{PROJECT}"  # not set

# Bucket for the artifacts that workers run; without one, they are copied to each worker over SSH.
[artifacts]
# bucket = "s3://acme/materia"  # not set
# Address of an object store that is not AWS, and the region:
# endpoint = "https://account.r2.cloudflarestorage.com"  # not set
# region = "auto"  # not set
# Run what `materia artifact push --channel NAME` pushed, instead of what is installed here:
# channel = "prod"  # not set
# Take the key from MATERIA_ARTIFACTS_KEY_ID and MATERIA_ARTIFACTS_KEY_SECRET, which no worker gets,
# instead of the variables of the sink s3:
# own_key = true  # not set
"""
ALSO = {"extract": " A source may have its own: [sources.NAME.extract], with the same keys."}
EXAMPLES = {"text": '""', "number": "1", "yes_no": "false", "texts": "[]"}


def template(registry: Registry, *, project: str | None = None) -> str:
    """The text of the file; every key is commented out, except *project* (as TOML) when given."""
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
            f"# Requirements of the stage {stage.name} on a rented machine; this machine is used\n"
            f"# as it is.{ALSO.get(stage.name, '')}\n"
            f"[stages.{stage.name}]\n"
            f"# vcpus = {needs.vcpus}\n"
            f"# memory_gib = {needs.memory_gib}\n"
            f"# disk_gib = {needs.disk_gib}\n"
            f"# architectures = {json.dumps(list(needs.architectures))}\n"
            f"# dedicated = {json.dumps(needs.dedicated)}\n"
            f"# Expected duration; default: learnt from earlier runs.\n"
            f"# minutes = {minutes(needs.expected)}  # not set\n"
            f"# Hard deadline; default: six times the expected duration, at least 1 h.\n"
            f"# deadline_minutes = {minutes(stage.deadline)}  # not set\n"
            f"# Size of its output that the next stage reads.\n"
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
                head += f"# Needs {together(plugin.secrets)} in the environment.\n"
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
