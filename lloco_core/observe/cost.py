"""What the devices did for every group, and what it cost.

Encoder seconds are shared out by encoded tokens, the training of an adapter is its group's own. Seconds are whole microseconds
and money is a fraction, so the groups add up to the total exactly.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lloco_core.config import ClusterConfig

MICROSECONDS = 1_000_000
NO_GROUP = "(no group)"
"""Takes the seconds of shards none of whose documents could be encoded, or whose record names no groups."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a device hour costs."""

    per_hour: Fraction
    currency: str

    @classmethod
    def of(cls, cluster: ClusterConfig) -> Price | None:
        """The price a run was given; None without one."""
        return None if cluster.gpu_hour_price is None else cls(Fraction(str(cluster.gpu_hour_price)), cluster.currency)

    def cost(self, microseconds: int) -> Fraction:
        """Money for device time."""
        return self.per_hour * microseconds / (3600 * MICROSECONDS)


@dataclass(slots=True)
class Cost:
    """Tokens, device time, and money of a group or of all."""

    encoded_tokens: int = 0
    encoder_microseconds: int = 0
    training_microseconds: int = 0
    unpriced_microseconds: int = 0
    """Of both, time of runs that had no price."""
    money: Counter[str] = field(default_factory=Counter)
    """Currency -> `Fraction`."""

    def charge(self, price: Price | None, *, tokens: int = 0, encoder: int = 0, training: int = 0) -> None:
        """Count encoded tokens and microseconds of encoding and training."""
        self.encoded_tokens += tokens
        self.encoder_microseconds += encoder
        self.training_microseconds += training
        if price is None:
            self.unpriced_microseconds += encoder + training
        else:
            self.money[price.currency] += price.cost(encoder + training)

    def as_json(self) -> dict[str, Any]:
        """The figures as plain data; money per currency, with six decimals."""
        return {
            "encoded_tokens": self.encoded_tokens,
            "encoder_seconds": self.encoder_microseconds / MICROSECONDS,
            "training_seconds": self.training_microseconds / MICROSECONDS,
            "unpriced_seconds": self.unpriced_microseconds / MICROSECONDS,
            "money": _rounded(self.money),
            "money_per_million_tokens": _rounded(self.per_million_tokens()),
        }

    def per_million_tokens(self) -> dict[str, Fraction]:
        """Money, that of training included, per million encoded tokens; empty without tokens."""
        return {name: amount * 1_000_000 / self.encoded_tokens for name, amount in self.money.items()} if self.encoded_tokens else {}

    def __str__(self) -> str:
        encoding = f"{self.encoder_microseconds / MICROSECONDS:,.1f} s of encoding"
        training = f"{self.training_microseconds / MICROSECONDS:,.1f} s of training"
        per_million = f", {money_text(self.per_million_tokens())} per million encoded tokens" if self.encoded_tokens else ""
        return f"{money_text(self.money)} for {encoding} and {training}{per_million}"


class GroupCosts:
    """Costs by group, and their total."""

    def __init__(self) -> None:
        self.groups: dict[str, Cost] = {}
        self.total = Cost()

    def charge_shard(self, group_tokens: Mapping[str, int], seconds: float, price: Price | None) -> None:
        """Share a shard's encoder seconds out among its groups."""
        tokens = group_tokens or ({NO_GROUP: 0} if seconds else {})
        for group, microseconds in split(round(seconds * MICROSECONDS), tokens).items():
            self.charge(group, price, tokens=tokens[group], encoder=microseconds)

    def charge_training(self, group: str, seconds: float, price: Price | None) -> None:
        """Count the training of a group's adapter; `seconds` are summed over its workers."""
        self.charge(group, price, training=round(seconds * MICROSECONDS))

    def charge(self, group: str, price: Price | None, **amounts: int) -> None:
        """Count for a group what `Cost.charge` takes."""
        self.groups.setdefault(group, Cost()).charge(price, **amounts)
        self.total.charge(price, **amounts)

    def as_json(self) -> dict[str, Any]:
        """Groups by name, and the total."""
        return {"groups": {name: self.groups[name].as_json() for name in sorted(self.groups)}, "total": self.total.as_json()}


def split(amount: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Split a whole number in proportion to weights; the largest remainders take what rounding down leaves."""
    total = sum(weights.values())
    if not total:  # nothing to tell them apart
        weights, total = dict.fromkeys(weights, 1), len(weights)
    parts = {name: amount * weight // total for name, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda name: (-(amount * weights[name] % total), name))
    for name in by_remainder[: amount - sum(parts.values())]:
        parts[name] += 1
    return parts


def money_text(money: Mapping[str, Fraction]) -> str:
    """Amounts for people; `-` without any."""
    return " + ".join(f"{float(amount):,.4f} {currency}" for currency, amount in sorted(money.items())) or "-"


def _rounded(money: Mapping[str, Fraction]) -> dict[str, float]:
    return {currency: round(float(amount), 6) for currency, amount in sorted(money.items())}
