"""Price cache: keep the offers of providers on disk, with their time.

One JSON file for each question, in the user's cache folder. It has the question and prices, and no
secret. A file that is damaged, or of another format or question, is ignored.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from materia._dataclass import dataclass
from materia.compute import Billing, Extra, Offer, Requirements
from materia.kit.files import write_whole

from materia_runner import codec
from materia_runner.codec import plain

if TYPE_CHECKING:
    from materia_runner.pricing.cost import Quote

FORMAT = 4
KEPT_FOR = timedelta(days=30)
DIGITS = 8  # of a question's checksum in the file name; the file has the whole question


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The offers of a provider at one moment.

    Attributes:
        provider: Name of the provider.
        offers: All its offers, whether they fit or not.
        asked_at: Time of the question, in UTC.
        public: Whether it was asked without credentials.
        cached: Whether this answer is from the cache.
        remark: A remark for the user, one line; may be empty.
        left_out: A line for each entry, zone or list that was invalid or could not be read.
    """

    provider: str
    offers: tuple[Offer, ...]
    asked_at: datetime
    public: bool = False
    cached: bool = False
    remark: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question to a provider: everything its answer depends on. The key of the cache.

    Attributes:
        provider: Name of the provider.
        version: Version of the plugin's distribution.
        requirements: The requirements; duration and traffic do not matter.
        settings: Settings of the plugin, in materia.toml.
    """

    provider: str
    version: str
    requirements: Requirements
    settings: Mapping[str, object]


class PriceCache:
    """Cached answers in one folder, which need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, question: Question) -> Answer | None:
        """The latest answer to this exact question, of any age; None when there is none."""
        try:
            values = json.loads(self._path(question).read_text(encoding="utf-8"))
            if values["format"] != FORMAT or values["question"] != _text(question):
                return None
            return _answer_from(question.provider, values)
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None

    def write(self, question: Question, answer: Answer) -> None:
        """Write an answer atomically; does nothing when the folder cannot be written."""
        path = self._path(question)
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            values = {"question": _text(question), **_plain_answer(answer)}
            write_whole(path, json.dumps(values))
            self._forget_old(answer.asked_at)

    def regions(self, provider: str) -> tuple[str, ...]:
        """Regions in the cached offers of *provider*, sorted."""
        found: set[str] = set()
        for path in self._folder.glob(f"{provider}-{'?' * DIGITS}.json"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                values = json.loads(path.read_text(encoding="utf-8"))
                if values["format"] == FORMAT:
                    found |= {offer["region"] for offer in values["offers"]}
        return tuple(sorted(found))

    def _path(self, question: Question) -> Path:
        checksum = zlib.crc32(_text(question).encode())
        return self._folder / f"{question.provider}-{checksum:0{DIGITS}x}.json"

    def _forget_old(self, now: datetime) -> None:
        for path in self._folder.iterdir():
            if now.timestamp() - path.stat().st_mtime > KEPT_FOR.total_seconds():
                path.unlink()


def _text(question: Question) -> str:
    needs = question.requirements
    return json.dumps(
        [
            question.version,
            needs.vcpus,
            needs.memory_gib,
            needs.disk_gib,
            needs.architectures,
            needs.dedicated,
            needs.regions,
            needs.currency,
            sorted(question.settings.items()),
        ],
        default=str,
    )


def neutral(requirements: Requirements) -> Requirements:
    """The requirements with a neutral duration and traffic, which do not change the offers."""
    from dataclasses import replace

    return replace(requirements, expected=timedelta(hours=1), egress_gib=Decimal(0))


def quote_values(quote: Quote) -> dict[str, Any]:
    """A quote as JSON values: `cost` in the currency of the comparison, `own_cost` in its own."""
    return {
        "offer": plain(quote.offer),
        "start": plain(quote.start),
        "duration": plain(quote.duration),
        "egress_gib": plain(quote.egress_gib),
        "cost": plain(quote.shown),
        "own_cost": plain(quote.cost),
        "rates": plain(quote.rates),
        "lines": plain(quote.lines),
    }


def _plain_answer(answer: Answer) -> dict[str, Any]:
    """JSON values of an answer, with billing rules and extras once: many offers share them."""
    billings: dict[Billing, int] = {}
    extras: dict[tuple[Extra, ...], int] = {}
    offers = []
    for offer in answer.offers:
        values = {
            field.name: plain(getattr(offer, field.name))
            for field in fields(offer)
            if field.name not in {"provider", "billing", "extras"}
            and getattr(offer, field.name) != field.default
        }
        values["billing"] = billings.setdefault(offer.billing, len(billings))
        values["extras"] = extras.setdefault(offer.extras, len(extras))
        offers.append(values)
    return {
        "format": FORMAT,
        "provider": answer.provider,
        "asked_at": answer.asked_at.isoformat(),
        "public": answer.public,
        "left_out": list(answer.left_out),
        "billings": [plain(billing) for billing in billings],
        "extras": [plain(group) for group in extras],
        "offers": offers,
    }


def _answer_from(provider: str, values: Mapping[str, Any]) -> Answer:
    """Read an answer that `_plain_answer` wrote.

    Raises:
        MalformedError: a value has another form.
        KeyError: a part is missing.
    """
    billings = codec.decode(tuple[Billing, ...], values["billings"])
    extras = codec.decode(tuple[tuple[Extra, ...], ...], values["extras"])
    moments: dict[Any, datetime] = {}
    offers = []
    for item in values["offers"]:
        given = dict(item)
        as_of = given.pop("price_as_of")
        if as_of not in moments:
            moments[as_of] = codec.decode(datetime, as_of)
        known = {
            "provider": provider,
            "price_as_of": moments[as_of],
            "billing": billings[given.pop("billing")],
            "extras": extras[given.pop("extras")],
        }
        offers.append(codec.decode_parts(Offer, given, known))
    return Answer(
        provider=provider,
        offers=tuple(offers),
        asked_at=codec.decode(datetime, values["asked_at"]).astimezone(UTC),
        public=codec.decode(bool, values["public"]),
        cached=True,
        left_out=codec.decode(tuple[str, ...], values["left_out"]),
    )
