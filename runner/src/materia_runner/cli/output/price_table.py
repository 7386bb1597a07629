"""Render a price comparison for `materia providers price`: as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from materia._dataclass import dataclass
from materia.compute import Requirements
from materia.text import duration_text

from materia_runner.cli.output.text import table
from materia_runner.codec import plain
from materia_runner.figures import (
    moment_text,
    money_text,
    quantity_text,
    size_text,
    unit_price_text,
)
from materia_runner.pricing.cost import Line, Quote
from materia_runner.pricing.currency import Rate
from materia_runner.pricing.offer_cache import Answer, quote_values
from materia_runner.pricing.offer_query import NoAnswer
from materia_runner.pricing.ranking import Ranking

HEAD = (
    "provider",
    "type",
    "place",
    "vCPU",
    "processor",
    "memory",
    "per hour",
    "cost",
    "availability",
    "priced (UTC)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Prices of all providers for one set of requirements.

    Attributes:
        name: Name of the stage, or of several, or empty.
        requirements: The requirements.
        ranking: All offers, ranked or passed over.
        answers: The answer of each provider.
    """

    name: str
    requirements: Requirements
    ranking: Ranking
    answers: tuple[Answer | NoAnswer, ...]

    def shown(self, limit: int | None) -> tuple[Quote, ...]:
        """The best quotes in their order; *limit* is the number of types of each provider.

        With a limit, a type that costs the same in several places is shown in the first of them.
        """
        if limit is None:
            return self.ranking.quotes
        types: dict[str, set[str]] = {}
        kept = []
        for quote in self.ranking.quotes:
            seen = types.setdefault(quote.offer.provider, set())
            if quote.offer.instance_type not in seen and len(seen) < limit:
                seen.add(quote.offer.instance_type)
                kept.append(quote)
        return tuple(kept)

    def places(self, quote: Quote) -> int:
        """Number of places where this type costs the same."""
        offer = quote.offer
        return sum(
            1
            for other in self.ranking.quotes
            if (other.offer.provider, other.offer.instance_type)
            == (offer.provider, offer.instance_type)
            and other.shown == quote.shown
        )

    def reasons(self) -> list[str]:
        """Lines of text: why a provider has no row, remarks, and offers that were left out."""
        ranked = {quote.offer.provider for quote in self.ranking.quotes}
        lines = []
        for answer in self.answers:
            if isinstance(answer, NoAnswer):
                lines.append(answer.reason)
                continue
            if answer.remark:
                lines.append(answer.remark)
            lines += answer.left_out
            if answer.provider not in ranked:
                lines.append(self._none_fits(answer))
        return lines

    def _none_fits(self, answer: Answer) -> str:
        why = Counter(
            passed.reason
            for passed in self.ranking.passed_over
            if passed.offer.provider == answer.provider
        )
        if len(answer.offers) == 1:
            return f"{answer.provider}: its only offer does not fit: {'; '.join(why)}"
        most = "; ".join(f"{count} x {reason}" for reason, count in why.most_common(3))
        return f"{answer.provider}: none of its {len(answer.offers)} offers fits: {most}"


def as_text(comparison: Comparison, *, limit: int | None) -> str:
    """Render the table, the best quote in detail, and remarks on providers."""
    blocks = [_title(comparison)]
    quotes = comparison.shown(limit)
    if quotes:
        rows = []
        for quote in quotes:
            more = 0 if limit is None else comparison.places(quote) - 1
            rows.append(_row(quote, more=f" (+{more})" if more else ""))
        blocks.append(table(rows, head=HEAD))
        blocks += marks(quotes)
        blocks.append(_detail(quotes[0]))
    if limit is None:
        blocks += _passed_over(comparison)
    if lines := comparison.reasons():
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def needs_text(needs: Requirements) -> str:
    """The requirements in one line."""
    parts = [
        f"{needs.vcpus} {'dedicated ' if needs.dedicated else ''}vCPU",
        f"{size_text(needs.memory_gib)} GiB memory",
        f"{needs.disk_gib} GiB disk",
        " or ".join(needs.architectures),
    ]
    if needs.regions:
        parts.append(f"in {' or '.join(needs.regions)}")
    if needs.egress_gib:
        parts.append(f"{size_text(needs.egress_gib)} GiB of traffic out")
    return f"{', '.join(parts)}, for {duration_text(needs.expected)}"


def _title(comparison: Comparison) -> str:
    name = f"{comparison.name}: " if comparison.name else ""
    return f"{name}{needs_text(comparison.requirements)}; net of VAT"


def _row(quote: Quote, *, more: str) -> tuple[str, ...]:
    offer = quote.offer
    retires = f", until {offer.retires_on}" if offer.retires_on else ""
    return (
        offer.provider,
        offer.instance_type,
        (offer.zone or offer.region) + more,
        str(offer.vcpus),
        offer.cpu,
        f"{size_text(offer.memory_gib)} GiB {offer.architecture}",
        money_text(offer.hourly),
        money_text(quote.shown) + ("*" if quote.rates else ""),
        offer.availability + retires,
        moment_text(offer.price_as_of),
    )


def marks(quotes: Sequence[Quote]) -> list[str]:
    """Footnote for the star at a converted cost: the exchange rates."""
    used: dict[Rate, None] = {}
    for quote in quotes:
        used.update(dict.fromkeys(quote.rates))
    if not used:
        return []
    texts = []
    for rate in used:
        source = f", {rate.source}" if rate.source else ""
        texts.append(f"1 {rate.currency} = {rate.worth:f} ({rate.on}{source})")
    return [f"* converted with the rates in materia.toml: {'; '.join(texts)}"]


def _detail(quote: Quote) -> str:
    offer = quote.offer
    first = f"{offer.provider} {offer.instance_type} for {duration_text(quote.duration)}"
    if quote.start is not None:
        first += f" from {moment_text(quote.start)} UTC"
    texts = [f"{first}, line by line:"]
    for line in quote.lines:
        texts += [f"  {line.name}: {_sum(line)}", f"      {line.rule}"]
        read = "read " if line.read_on else ""
        texts.append(f"      price: {line.source}, {read}{line.as_of:%Y-%m-%d}")
        if line.rule_source:
            read = f", read {line.rule_read_on}" if line.rule_read_on else ""
            texts.append(f"      rule: {line.rule_source}{read}")
    texts.append(f"  total {money_text(quote.cost)}")
    return "\n".join(texts)


def _sum(line: Line) -> str:
    quantity = quantity_text(line.quantity)
    return f"{quantity} {line.unit} x {unit_price_text(line.price)} = {money_text(line.amount)}"


def _passed_over(comparison: Comparison) -> list[str]:
    passed = comparison.ranking.passed_over
    if not passed:
        return []
    rows = [
        (
            one.offer.provider,
            one.offer.instance_type,
            one.offer.zone or one.offer.region,
            one.reason,
        )
        for one in passed
    ]
    return ["passed over:\n" + table(rows, head=("provider", "type", "place", "why"))]


def as_json(
    comparisons: Sequence[Comparison], *, now: datetime, limit: int | None
) -> dict[str, Any]:
    """All of the table and more, with exact amounts as text."""
    return {
        "asked_at": plain(now),
        "comparisons": [
            {
                "name": one.name,
                "requirements": plain(one.requirements),
                "quotes": [quote_values(quote) for quote in one.shown(limit)],
                "passed_over": [
                    {
                        "provider": passed.offer.provider,
                        "instance_type": passed.offer.instance_type,
                        "region": passed.offer.region,
                        "zone": passed.offer.zone,
                        "reason": passed.reason,
                    }
                    for passed in one.ranking.passed_over
                ],
                "providers": [_provider(answer) for answer in one.answers],
            }
            for one in comparisons
        ],
    }


def _provider(answer: Answer | NoAnswer) -> Mapping[str, Any]:
    if isinstance(answer, NoAnswer):
        return {"provider": answer.provider, "answered": False, "reason": answer.reason}
    return {
        "provider": answer.provider,
        "answered": True,
        "asked_at": plain(answer.asked_at),
        "public": answer.public,
        "cached": answer.cached,
        "remark": answer.remark,
        "left_out": list(answer.left_out),
        "offers": len(answer.offers),
    }
