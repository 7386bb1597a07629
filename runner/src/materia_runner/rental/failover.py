"""Decide what is tried when a machine cannot be rented: the next offer, again, or another provider.

One policy for all renting: `materia run` and `materia worker create` ask it alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from materia.compute import Offer
from materia.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    MateriaError,
    OtherMachineError,
    ProviderError,
    ReadyTimeoutError,
    WorkerLostError,
)

from materia_runner.planning.plan import OfferKey, offer_key

# Machines that were paid for and never answered; more than that is not bad luck.
IN_VAIN_AT_MOST = 3
# A stage whose worker was lost is begun once more: it is the same to repeat it.
LOST_AT_MOST = 1
# A provider whose API fails is asked for the same machine once more, then for its next one, as the
# fault may be one of that offer, and then left out.
FAILED_AT_MOST = 2
# Refusals of one provider, a quota say, until the others are turned to.
REFUSED_AT_MOST = 10
# Reasons of one provider that are said at the end; the others are in the ledger.
SAID_AT_MOST = 3
NEXT_OFFER = "trying the next offer"


@dataclass(slots=True, kw_only=True)
class Failover:
    """What went wrong so far, and what is still worth a try.

    Attributes:
        offers: All that can be asked for.
        excluded: Those of them that are not tried again.
        reasons: Why, one sentence each, with the name of the provider.
        in_vain: Machines that were paid for and never answered.
        others: How often a machine of each offer had another Python or processor than expected.
        lost: Workers that went out of reach.
        failed: How often each provider's API failed.
        refused: How many of its offers each provider refused.
    """

    offers: Sequence[Offer]
    excluded: set[OfferKey] = field(default_factory=set)
    reasons: list[tuple[str, str]] = field(default_factory=list)
    in_vain: int = 0
    others: Counter[OfferKey] = field(default_factory=Counter)
    lost: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def is_open(self, offer: Offer) -> bool:
        """Whether that offer is still worth a try."""
        return offer_key(offer) not in self.excluded

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

    def learn(self, error: ProviderError | ConfigError, offer: Offer) -> str:
        """Take note of why the machine of *offer* was not rented, and say what to try next.

        What refuses the offer goes on with the next one. What ends the provider, its credentials
        say, goes on with the others. A fault is met by asking again.

        Raises:
            MateriaError: *error*, when nothing else is left to try.
        """
        if isinstance(error, CapacityError | ReadyTimeoutError):
            next_try = self._refused(error, offer)
        else:
            next_try = self._failed(error, offer)
            if self.is_open(offer):
                return next_try
        self.reasons.append((offer.provider, str(error)))
        return next_try

    def learn_other(self, error: OtherMachineError, offer: Offer) -> str:
        """Take note of a machine with another Python or processor, and say what to try next.

        What it has is remembered, so the same offer does the next time.

        Raises:
            OtherMachineError: *error*, when too many machines were paid for in vain.
        """
        key = offer_key(offer)
        self.others[key] += 1
        if self.others.total() >= IN_VAIN_AT_MOST:
            raise error
        if self.others[key] == 1:
            return "renting it once more, when what it runs is made for that"
        self.excluded.add(key)
        self.reasons.append((offer.provider, str(error)))
        return NEXT_OFFER

    def learn_lost(self, error: ProviderError | WorkerLostError, stage: str) -> str:
        """Take note of a worker that was lost in *stage*, and say what to try next.

        Raises:
            MateriaError: *error*, when that has happened before.
        """
        self.lost += 1
        if self.lost > LOST_AT_MOST:
            raise error
        return f"running {stage} again on another machine"

    def _failed(self, error: ProviderError | ConfigError, offer: Offer) -> str:
        provider = offer.provider
        self.failed[provider] += 1
        final = isinstance(error, CredentialsError | ConfigError)
        if not final and self.failed[provider] == 1:
            return f"asking {provider} once more"
        if not final and self.failed[provider] <= FAILED_AT_MOST:
            self.excluded.add(offer_key(offer))
            if any(map(self.is_open, self.offers)):
                return NEXT_OFFER
            raise error
        if not self._leave_out(provider):
            raise error
        return f"going on without {provider}"

    def _refused(self, error: CapacityError | ReadyTimeoutError, offer: Offer) -> str:
        self.in_vain += isinstance(error, ReadyTimeoutError)
        if self.in_vain >= IN_VAIN_AT_MOST:
            raise ReadyTimeoutError(
                f"{error}; with it, {IN_VAIN_AT_MOST} machines were paid for and could not be "
                "reached, so no other is rented: see whether this network lets SSH out, or choose "
                "others with --provider"
            ) from error
        self.excluded.add(offer_key(offer))
        self.refused[offer.provider] += 1
        if self.refused[offer.provider] == REFUSED_AT_MOST and self._leave_out(offer.provider):
            return f"going on without {offer.provider}"
        return NEXT_OFFER

    def _leave_out(self, provider: str) -> bool:
        """Exclude all that *provider* offers, unless nobody else has an offer left."""
        if not any(one.provider != provider and self.is_open(one) for one in self.offers):
            return False
        self.excluded |= {offer_key(one) for one in self.offers if one.provider == provider}
        return True


@dataclass(slots=True)
class FailoverNotices:
    """Says what went wrong together with what is tried next, once that is tried; a context manager.

    Between the two much can end the trying: no offer is left, a cap is passed, somebody interrupts.
    Then the setback is said alone, when the context is left.
    """

    say: Callable[[str, str], None]
    _held: tuple[str, str, str] | None = None

    def hold(self, stage: str, error: MateriaError, next_try: str) -> None:
        """Keep what went wrong in *stage* until the next try begins."""
        self._held = (stage, str(error), next_try)

    def tried(self) -> None:
        """The next try begins."""
        if self._held is not None:
            stage, reason, next_try = self._held
            self._held = None
            self.say(stage, f"{reason}; {next_try}")

    def __enter__(self) -> Self:
        """Nothing has gone wrong yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say what was held, unless it is what ends the context."""
        if self._held is not None:
            stage, reason, _ = self._held
            self._held = None
            self.say(stage, reason)
