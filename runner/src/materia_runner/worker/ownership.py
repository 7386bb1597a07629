"""Ownership of published tables: which pipeline publishes which sources in one database.

The published fingerprint names each pipeline with its sources. A published pipeline is the one that
runs when it has the same name or a source in common; the tables of every other pipeline stay as
they are. A source that a pipeline published and no longer lists is removed on request only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import ConfigError

if TYPE_CHECKING:
    from materia.data import RawFile

SHOWN = 5
_NAMES = r"\w[\w.-]*"
# psdonline+acme@coffee:HASH+HASH.HASH, or psdonline:HASH of an earlier version
_CLAIM = re.compile(
    rf"(?P<sources>{_NAMES}(?:\+{_NAMES})*)(?:@(?P<pipeline>{_NAMES}))?:"
    r"(?:(?P<contents>[0-9a-f]*(?:\+[0-9a-f]*)*)\.)?(?P<models>[0-9a-f]*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one pipeline has published in a database.

    Attributes:
        pipeline: Name of the pipeline.
        sources: Hash of the raw files by source; empty when it is unknown.
        models: Hash of the models, and of the versions of the sources.
    """

    pipeline: str
    sources: Mapping[str, str]
    models: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is published, seen from one pipeline.

    Attributes:
        own: What this pipeline published, also under another name.
        others: What other pipelines published.
    """

    own: tuple[Claim, ...]
    others: tuple[Claim, ...]

    def removed(self, sources: Collection[str]) -> tuple[str, ...]:
        """The sources that this pipeline published and that are not among *sources*."""
        published = [name for claim in self.own for name in claim.sources]
        return tuple(sorted(set(published).difference(sources)))


def standing(fingerprint: str | None, *, pipeline: str, sources: Collection[str]) -> Standing:
    """Read a published fingerprint as *pipeline* with these *sources* sees it.

    A fingerprint of an unknown form belongs to nobody: the tables are built again.
    """
    claims = read_claims(fingerprint)
    own = [
        claim
        for claim in claims
        if claim.pipeline == pipeline or not set(sources).isdisjoint(claim.sources)
    ]
    return Standing(own=tuple(own), others=tuple(one for one in claims if one not in own))


def read_claims(fingerprint: str | None) -> tuple[Claim, ...]:
    """The claims in a published fingerprint."""
    found = [_CLAIM.fullmatch(text) for text in (fingerprint or "").split(";")]
    claims = []
    for match in found:
        if match is None:
            return ()
        names = match["sources"].split("+")
        contents = (match["contents"] or "").split("+")
        contents += [""] * (len(names) - len(contents))
        claims.append(
            Claim(
                pipeline=match["pipeline"] or names[0],
                sources=dict(zip(names, contents, strict=False)),
                models=match["models"],
            )
        )
    return tuple(claims)


def write_claims(claims: Iterable[Claim]) -> str:
    """A fingerprint with these claims."""
    return ";".join(map(_written, claims))


def _written(claim: Claim) -> str:
    names = list(claim.sources)
    pipeline = "" if claim.pipeline == names[0] else f"@{claim.pipeline}"
    return f"{'+'.join(names)}{pipeline}:{'+'.join(claim.sources.values())}.{claim.models}"


def hash_of_files(files: Sequence[RawFile]) -> str:
    """Hash of the content of raw files, in hex.

    A file that is republished with the same rows has the same content, and so the same hash.
    """
    contents = [(file.partition, file.file, file.content) for file in files]
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def refuse_removed(
    here: Standing,
    sources: Collection[str],
    *,
    drop: Collection[str],
    sink: str,
    tables: Mapping[str, Sequence[str]],
) -> tuple[str, ...]:
    """The published sources to remove: those that are no longer listed, and that *drop* names.

    Args:
        here: What is published.
        sources: The sources that the pipeline lists.
        drop: The sources that the user removes.
        sink: Name of the sink.
        tables: Published tables by source, for the message.

    Raises:
        ConfigError: a source is not listed and not in *drop*, or it is in both.
    """
    if listed := sorted(set(drop).intersection(sources)):
        raise ConfigError(
            f"--drop {listed[0]}: {listed[0]} is still a source of this pipeline; take it out of "
            "`source` in materia.toml first"
        )
    removed = here.removed(sources)
    for name in removed:
        if name not in drop:
            raise ConfigError(
                f"{name} is no longer a source of this pipeline, which published "
                f"{shown(tables.get(name, ())) or 'its tables'}: to remove these tables, run again "
                f"with --drop {name} (its raw files stay in the sink); to keep them, add {name} to "
                f"`source` in materia.toml again, or set another place for this pipeline under "
                f"[sinks.{sink}]"
            )
    return removed


def shown(names: Sequence[str]) -> str:
    """The first *names*, and the number of the others."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def check_removed(
    before: Iterable[str], after: Sequence[str], *, project: Path | None, sink: str
) -> list[str]:
    """A warning that names the published tables without a model.

    Raises:
        ConfigError: the pipeline has no SQLMesh project, or builds none of the published tables:
            another pipeline published them.
    """
    published = sorted(before)
    gone = [name for name in published if name not in set(after)]
    if not gone:
        return []
    names = shown(gone)
    if project is None or gone == published:
        why = (
            "this pipeline has no SQLMesh project; set transform.project in materia.toml"
            if project is None
            else "none of this pipeline's models builds them; check transform.project"
        )
        raise ConfigError(
            f"publishing would remove {names}: {why}, or set another place for this pipeline "
            f"under [sinks.{sink}]"
        )
    return [f"no longer published, because no model builds it: {names}"]
