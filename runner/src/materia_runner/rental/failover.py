"""Failover and retry: what to try when renting fails (next offer, same again, other provider).

`materia run` and `materia worker create` share this policy.
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
# A stage whose worker was lost is retried once: stages are idempotent.
LOST_AT_MOST = 1
# When a provider's API fails, retry the same machine once, then try its next offer, as the fault
# may be in that offer, and then leave the provider out.
FAILED_AT_MOST = 2
# Refusals of one provider, because of a quota for example, before the others are tried.
REFUSED_AT_MOST = 10
# Reasons of one provider that are shown at the end; the others are in the ledger.
SAID_AT_MOST = 3
NEXT_OFFER = "trying the next offer"


@dataclass(slots=True, kw_only=True)
class Failover:
    """Failures so far, and the offers that are still worth a try.

    Attributes:
        offers: All offers.
        excluded: Offers that are not tried again.
        reasons: Reasons of the exclusions, one sentence each, with the name of the provider.
        in_vain: Number of machines that were paid for and never answered.
        others: Number of machines of each offer with an unexpected Python or processor.
        lost: Number of workers that were lost.
        failed: Number of API failures of each provider.
        refused: Number of offers that each provider refused.
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
        """Whether *offer* may still be tried."""
        return offer_key(offer) not in self.excluded

    def lines(self) -> list[str]:
        """The first reasons of each provider, and how many more there were."""
        lines = []
        for provider in dict.fromkeys(name for name, _ in self.reasons):
            its = [reason for name, reason in self.reasons if name == provider]
            lines += its[:SAID_AT_MOST]
            if len(its) > SAID_AT_MOST:
                more = len(its) - SAID_AT_MOST
                lines.append(f"{provider}: refused {more} more; see `materia runs show`")
        return lines

    def learn(self, error: ProviderError | ConfigError, offer: Offer) -> str:
        """Record why the machine of *offer* was not rented, and return what to try next.

        After a refusal: the next offer. After wrong credentials: the other providers. After an API
        failure: the same offer again.

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
        """Record a machine with an unexpected Python or processor, and return what to try next.

        The machine's facts are remembered, so the same offer works the next time.

        Raises:
            OtherMachineError: *error*, when too many machines were paid for in vain.
        """
        key = offer_key(offer)
        self.others[key] += 1
        if self.others.total() >= IN_VAIN_AT_MOST:
            raise error
        if self.others[key] == 1:
            return "building an artifact for it, then renting it again"
        self.excluded.add(key)
        self.reasons.append((offer.provider, str(error)))
        return NEXT_OFFER

    def learn_lost(self, error: ProviderError | WorkerLostError, stage: str) -> str:
        """Record a worker that was lost in *stage*, and return what to try next.

        Raises:
            MateriaError: *error*, when a worker was lost before.
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
            return f"retrying {provider}"
        if not final and self.failed[provider] <= FAILED_AT_MOST:
            self.excluded.add(offer_key(offer))
            if any(map(self.is_open, self.offers)):
                return NEXT_OFFER
            raise error
        if not self._leave_out(provider):
            raise error
        return f"continuing without {provider}"

    def _refused(self, error: CapacityError | ReadyTimeoutError, offer: Offer) -> str:
        self.in_vain += isinstance(error, ReadyTimeoutError)
        if self.in_vain >= IN_VAIN_AT_MOST:
            raise ReadyTimeoutError(
                f"{error}; {IN_VAIN_AT_MOST} machines were paid for and could not be reached, so "
                "no more are rented: check that this network allows outgoing SSH, or choose "
                "other providers with --provider"
            ) from error
        self.excluded.add(offer_key(offer))
        self.refused[offer.provider] += 1
        if self.refused[offer.provider] == REFUSED_AT_MOST and self._leave_out(offer.provider):
            return f"continuing without {offer.provider}"
        return NEXT_OFFER

    def _leave_out(self, provider: str) -> bool:
        """Exclude all offers of *provider*, unless no other provider has an offer left."""
        if not any(one.provider != provider and self.is_open(one) for one in self.offers):
            return False
        self.excluded |= {offer_key(one) for one in self.offers if one.provider == provider}
        return True


@dataclass(slots=True)
class FailoverNotices:
    """Context manager that reports a failure together with the next try, once that begins.

    The next try may never begin: no offer is left, a cap is exceeded, the user interrupts. Then
    the failure is reported alone when the context exits.
    """

    say: Callable[[str, str], None]
    _held: tuple[str, str, str] | None = None

    def hold(self, stage: str, error: MateriaError, next_try: str) -> None:
        """Keep the failure of *stage* until the next try begins."""
        self._held = (stage, str(error), next_try)

    def tried(self) -> None:
        """Report the kept failure: the next try begins."""
        if self._held is not None:
            stage, reason, next_try = self._held
            self._held = None
            self.say(stage, f"{reason}; {next_try}")

    def __enter__(self) -> Self:
        """Return the notices, with no failure kept."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Report the kept failure, if there is one."""
        if self._held is not None:
            stage, reason, _ = self._held
            self._held = None
            self.say(stage, reason)
