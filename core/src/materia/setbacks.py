"""What went wrong with machines in a run, and what is tried after it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from materia.errors import (
    CapacityError,
    CredentialsError,
    OtherMachineError,
    ProviderError,
    ReadyTimeoutError,
    WorkerLostError,
)
from materia.market import Market
from materia.plan import Leg, OfferKey, offer_key

# Machines that were paid for and never answered; more than that is not bad luck.
IN_VAIN_AT_MOST = 3
# A stage whose worker was lost is begun once more: it is the same to repeat it.
LOST_AT_MOST = 1
# A provider whose API fails is asked once more, and then left out.
FAILED_AT_MOST = 1
# Refusals of one provider, a quota say, until the others are turned to.
REFUSED_AT_MOST = 10
# Reasons of one provider that are said at the end; the others are in the ledger.
SAID_AT_MOST = 3


@dataclass(slots=True)
class Setbacks:
    """What went wrong so far in a run, and is not tried again.

    Attributes:
        excluded: Offers that cannot be had after all.
        reasons: Why, one sentence each, with the name of the provider.
        in_vain: Machines that were paid for and never answered.
        others: How often a machine of each offer had another Python or processor than expected.
        lost: Workers that went out of reach.
        failed: How often each provider's API failed.
        refused: How many of its offers each provider refused.
    """

    excluded: set[OfferKey] = field(default_factory=set)
    reasons: list[tuple[str, str]] = field(default_factory=list)
    in_vain: int = 0
    others: Counter[OfferKey] = field(default_factory=Counter)
    lost: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """The first reasons of each provider, and how many more there were."""
        lines = []
        for provider in dict.fromkeys(name for name, _ in self.reasons):
            its = [reason for name, reason in self.reasons if name == provider]
            lines += its[:SAID_AT_MOST]
            if len(its) > SAID_AT_MOST:
                more = len(its) - SAID_AT_MOST
                lines.append(f"{provider}: {more} more were refused; see `materia runs show`")
        return lines

    def learn(
        self,
        error: ProviderError | WorkerLostError,
        leg: Leg,
        *,
        stage: str,
        reached: bool,
        market: Market,
    ) -> str:
        """Take note of *error*, and say what is tried next.

        Args:
            error: What went wrong with the machine of *leg*.
            leg: What it was for.
            stage: The stage that was not done.
            reached: Whether the machine could be reached: then it was no fault of the offer.
            market: What else there is.

        Raises:
            ProviderError: *error*, when it is not to be helped.
            WorkerLostError: the same.
        """
        offer = leg.chosen.offer
        if isinstance(error, WorkerLostError) or (reached and isinstance(error, ReadyTimeoutError)):
            self.lost += 1
            if self.lost > LOST_AT_MOST:
                raise error
            return f"running {stage} again on another machine"
        if isinstance(error, OtherMachineError):
            return self._another(error, leg)
        if reached:
            raise error
        if isinstance(error, CapacityError | ReadyTimeoutError):
            next_try = self._refused(error, leg, market)
        else:
            self.failed[offer.provider] += 1
            last = isinstance(error, CredentialsError)
            if not last and self.failed[offer.provider] <= FAILED_AT_MOST:
                return f"asking {offer.provider} once more"
            if not self._leave_out(market, offer.provider):
                raise error
            next_try = f"going on without {offer.provider}"
        self.reasons.append((offer.provider, str(error)))
        return next_try

    def _another(self, error: OtherMachineError, leg: Leg) -> str:
        """What it has is remembered, so the same offer does the next time."""
        offer = offer_key(leg.chosen.offer)
        self.others[offer] += 1
        if self.others.total() >= IN_VAIN_AT_MOST:
            raise error
        if self.others[offer] == 1:
            return "renting it once more, when what it runs is made for that"
        self.excluded.add(offer)
        self.reasons.append((offer.provider, str(error)))
        return "trying the next offer"

    def _refused(self, error: CapacityError | ReadyTimeoutError, leg: Leg, market: Market) -> str:
        offer = leg.chosen.offer
        self.in_vain += isinstance(error, ReadyTimeoutError)
        if self.in_vain >= IN_VAIN_AT_MOST:
            raise ReadyTimeoutError(
                f"{error}; with it, {IN_VAIN_AT_MOST} machines were paid for and could not be "
                "reached, so no other is rented: see whether this network lets SSH out, or choose "
                "others with --provider"
            ) from error
        self.excluded.add(offer_key(offer))
        self.refused[offer.provider] += 1
        if self.refused[offer.provider] == REFUSED_AT_MOST and self._leave_out(
            market, offer.provider
        ):
            return f"going on without {offer.provider}"
        return "trying the next offer"

    def _leave_out(self, market: Market, provider: str) -> bool:
        """Exclude all that *provider* offers, unless nobody else has an offer left."""
        its = {offer_key(one) for one in market.offers if one.provider == provider}
        if {offer_key(one) for one in market.offers} <= its | self.excluded:
            return False
        self.excluded |= its
        return True
