"""What an ingest would do and cost, before it is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lloco_core.observe.cost import MICROSECONDS, Cost, Price

if TYPE_CHECKING:
    from lloco_core.planning import Plan


@dataclass(frozen=True, slots=True)
class Preview:
    """A plan that is not carried out, with what its encoding would take."""

    plan: Plan
    tokens_per_second: float | None
    """Of one encoder, from what this store's earlier runs took; None without any."""
    price: Price | None

    @classmethod
    def of(cls, plan: Plan, before: Cost, price: Price | None) -> Preview:
        """A preview from what earlier runs took."""
        seconds = before.encoder_microseconds / MICROSECONDS
        return cls(plan, before.encoded_tokens / seconds if seconds and before.encoded_tokens else None, price)

    @property
    def encoder_seconds(self) -> float | None:
        """Device seconds that the encoding would take; None where no rate is known."""
        return self.plan.n_tokens / self.tokens_per_second if self.tokens_per_second else None

    def facts(self) -> list[tuple[str, str]]:
        """The preview as a table."""
        rows = [(what, f"{count:,}") for what, count in self.plan.facts()]
        seconds = self.encoder_seconds
        if seconds is None:
            return [*rows, ("encoder seconds, estimated", "unknown: nothing was encoded into this store yet")]
        rows.append(("encoder seconds, estimated", f"{seconds:,.0f} at {self.tokens_per_second:,.0f} tokens/s"))
        if self.price is None:
            return [*rows, ("cost, estimated", "unknown: cluster.gpu_hour_price is not set")]
        money = float(self.price.cost(round(seconds * MICROSECONDS)))
        return [*rows, ("cost, estimated", f"{money:,.2f} {self.price.currency}")]
