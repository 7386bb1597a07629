"""List providers with credentials, regions and instances, for `materia providers list`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from materia.compute import ANY_REGION
from materia.errors import CredentialsError, MateriaError
from materia.text import duration_text, together
from materia_providers.list_entries import left_out_of

from materia_runner.cli.output.text import many
from materia_runner.codec import plain
from materia_runner.concurrency import PATIENCE, ask_each
from materia_runner.folders import prices_folder
from materia_runner.opening import open_plugin
from materia_runner.pricing.offer_cache import PriceCache
from materia_runner.pricing.offer_query import named, one_line
from materia_runner.secrets.redaction import to_hide

if TYPE_CHECKING:
    from materia.compute import Instance
    from materia.plugins import InstalledPlugin
    from materia.protocols import Provider

    from materia_runner.config.pipeline import Pipeline


def describe_all(
    providers: Sequence[InstalledPlugin[Provider]],
    pipeline: Pipeline,
    environment: Mapping[str, str],
    *,
    timeout: timedelta | None,
    waiting: Callable[[Sequence[str]], None],
) -> list[dict[str, Any]]:
    """Describe each provider: the state of its credentials, its regions and its instances.

    Providers with credentials, and those that need none, are asked for materia's instances: the
    cheapest call that proves that the credentials are good.
    """
    cache = PriceCache(prices_folder(environment))
    described = {
        one.plugin.name: _described(one, pipeline, environment, cache) for one in providers
    }
    asked = [one for one in providers if not described[one.plugin.name]["missing"]]
    patience = timeout or PATIENCE
    questions = [(one.plugin.name, partial(_ask, one, pipeline, environment)) for one in asked]
    answers = ask_each(questions, patience=patience, waiting=waiting)
    for (name, _), answer in zip(questions, answers, strict=True):
        late = {"error": f"{name}: no answer within {duration_text(patience)}; try again later"}
        described[name].update(late if answer is None else answer)
    return list(described.values())


def _described(
    found: InstalledPlugin[Provider],
    pipeline: Pipeline,
    environment: Mapping[str, str],
    cache: PriceCache,
) -> dict[str, Any]:
    plugin = found.plugin
    missing = [name for name in plugin.secrets if not environment.get(name)]
    settings = pipeline.settings["provider", plugin.name]
    chosen = settings.get("regions")
    regions = list(chosen) if isinstance(chosen, tuple) else []
    priced = cache.regions(plugin.name)
    return {
        "name": plugin.name,
        "summary": plugin.summary,
        "version": found.version,
        "in_use": _takes_part(found, pipeline),
        "credentials": "missing" if missing else "set" if plugin.secrets else "not needed",
        "secrets": list(plugin.secrets),
        "missing": missing,
        "public_prices": plugin.public_offers is not None,
        "regions": regions or [region for region in priced if region != ANY_REGION],
        "regions_chosen": bool(regions),
        "same_everywhere": ANY_REGION in priced,
        "instances": None,
        "error": None,
    }


def _takes_part(found: InstalledPlugin[Provider], pipeline: Pipeline) -> bool:
    if pipeline.providers:
        return found.plugin.name in pipeline.providers
    return found.plugin.rents


def _ask(
    found: InstalledPlugin[Provider], pipeline: Pipeline, environment: Mapping[str, str]
) -> dict[str, Any]:
    plugin = found.plugin
    secrets = to_hide(plugin.secrets, environment)
    try:
        provider = open_plugin(
            found,
            environment,
            settings=pipeline.settings["provider", plugin.name],
            directory=pipeline.directory,
        )
        instances = provider.list_instances()
        shown = [_instance(one) for one in instances]
    except CredentialsError as error:
        reason = named(plugin.name, one_line(str(error), secrets))
        return {"credentials": "refused", "error": reason}
    except MateriaError as error:
        return {"error": named(plugin.name, one_line(str(error), secrets))}
    except Exception as error:  # noqa: BLE001 -- a fault of one plugin is that plugin's alone
        text = f"its plugin failed: {type(error).__name__}: {error}"
        return {"error": named(plugin.name, one_line(text, secrets))}
    good = {"credentials": "good"} if plugin.secrets else {}
    odd = [one_line(line, secrets) for line in left_out_of(instances)]
    return {
        **good,
        "instances": shown,
        "error": "; ".join(odd) or None,
    }


def _instance(instance: Instance) -> dict[str, Any]:
    return {
        "name": instance.name,
        "id": instance.id,
        "run": instance.run,
        "stage": instance.stage,
        "region": instance.region,
        "instance_type": instance.instance_type,
        "created_at": plain(instance.created_at),
        "expires_at": plain(instance.expires_at),
        "attached": plain(instance.attached),
    }


def as_text(described: Sequence[Mapping[str, Any]]) -> str:
    """Render the descriptions as text: a paragraph for each provider."""
    if not described:
        return "no providers are installed"
    return "\n\n".join("\n".join(_paragraph(one)) for one in described)


def _paragraph(one: Mapping[str, Any]) -> list[str]:
    used = "  (in use)" if one["in_use"] else ""
    lines = [f"{one['name']}{used}: {one['summary']}"]
    state = str(one["credentials"])
    if one["missing"]:
        state += f": set {together(one['missing'])} to use it"
        state += "; its prices are public" if one["public_prices"] else ""
    lines.append(f"  credentials  {state}")
    if one["regions"]:
        origin = "" if one["regions_chosen"] else "  (from its newest prices)"
        lines.append(f"  regions      {', '.join(one['regions'])}{origin}")
    elif one["same_everywhere"]:
        lines.append("  regions      all, at the same prices; set its credentials to list them")
    elif one["credentials"] != "not needed":
        lines.append("  regions      all; run `materia providers price` to list them")
    instances = one["instances"]
    if instances is not None:
        lines.append(
            f"  running      {many(len(instances), 'instance') if instances else 'nothing'}"
        )
        lines += [f"    {_instance_line(instance)}" for instance in instances]
    if one["error"]:
        lines.append(f"  {one['error']}")
    return lines


def _instance_line(one: Mapping[str, Any]) -> str:
    text = f"{one['name']}  {one['instance_type']} in {one['region']}".replace("   in", " in")
    text += f", expires {one['expires_at'][:16].replace('T', ' ')} UTC"
    if not one["id"]:
        text += ", the machine is gone"
    if one["attached"]:
        kinds = [attached["kind"] for attached in one["attached"]]
        text += f", with {', '.join(kinds)}"
    return text
