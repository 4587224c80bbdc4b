"""What a call costs. Nothing here does input or output; money is euro, as `Decimal`.

A call costs the connection fee and its intervals: the first one is charged whole, however short the
call; after it every interval that has begun is. An interval costs its seconds at the price of a
minute:

    fee + (first + n * next) * price / 60,  n = ceil((duration - first) / next), at least 0

The cost of a call is rounded once, half up at 4 decimals; what is billed is the sum of such costs,
rounded once, half up at 2 decimals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from enum import StrEnum
from typing import Any, Self

from provisioner.model import Tariff

CALL_STEP = Decimal("0.0001")  # euro
BILL_STEP = Decimal("0.01")  # euro
FREE = Decimal("0.0000")
_DIGITS = 40  # more than the exact cost of any call before its rounding has


class Side(StrEnum):
    """Whom a rate is for: what the operator pays, or what the customer pays."""

    OPERATOR = "operator"
    CUSTOMER = "customer"


@dataclass(frozen=True)
class Rate:
    """The price of calls to numbers with a prefix, at a time.

    `prefix` is empty for all numbers; intervals are seconds; `flat` rates are free for customers
    whose tariff is flat. `valid_until` is None where no end is known; `stated_until` is the end
    that the rate was given, whatever follows it.
    """

    id: int
    side: Side
    prefix: str
    description: str
    connection_fee: Decimal
    price_per_minute: Decimal
    first_interval: int
    next_interval: int
    flat: bool
    valid_from: datetime
    valid_until: datetime | None
    stated_until: datetime | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one of a row of the table."""
        fields = {name: row[name] for name in cls.__dataclass_fields__}
        return cls(**fields | {"side": Side(row["side"])})

    def facts(self) -> dict[str, Any]:
        """Return what the audit trail tells of it."""
        return {
            "side": self.side,
            "prefix": self.prefix,
            "connection_fee": str(self.connection_fee),
            "price_per_minute": str(self.price_per_minute),
            "valid_from": self.valid_from.isoformat(),
        }


def cost(rate: Rate, duration: int, tariff: Tariff) -> Decimal:
    """Return what an answered call of `duration` seconds costs on the tariff it began on."""
    if rate.flat and tariff is Tariff.FLAT:
        return FREE
    intervals = max(0, -(-(duration - rate.first_interval) // rate.next_interval))
    seconds = rate.first_interval + intervals * rate.next_interval
    with localcontext(prec=_DIGITS):
        # One division, at the end: nothing is rounded before it.
        exact = (rate.connection_fee * 60 + rate.price_per_minute * seconds) / 60
        return exact.quantize(CALL_STEP, ROUND_HALF_UP)


def billed(total: Decimal) -> Decimal:
    """Round a sum of costs to what is billed."""
    with localcontext(prec=_DIGITS):
        return total.quantize(BILL_STEP, ROUND_HALF_UP)
