"""Guard rails against fraud as plain values: what a project's accounts may call, the calls that
were refused, and accounts whose password is guessed at. Nothing here does input or output.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

PREFIXES_MAX = 200  # in each list of a project
CALLS_PER_SECOND_MAX = 1000  # of one account


class RefusalReason(StrEnum):
    """Why a call was refused."""

    CHANNELS = "channels"  # the account's channels were all in use
    DESTINATION = "destination"  # its project may not call there
    SPEND_CAP = "spend_cap"  # its project has spent what it may on one day
    CALL_RATE = "call_rate"  # it started too many calls within one second


@dataclass(frozen=True)
class CallPolicy:
    """What a project's accounts may call.

    Of all prefixes that fit a destination the longest decides; where no prefix is allowed by name,
    all destinations are but the blocked ones. Amounts are euro, None is no cap; `spent_today`
    includes calls in progress.
    """

    allowed_prefixes: tuple[str, ...]
    blocked_prefixes: tuple[str, ...]
    daily_spend_cap: Decimal | None
    calls_per_second: int
    spent_today: Decimal

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of the view `call_policies`."""
        return cls(
            allowed_prefixes=tuple(row["allowed_prefixes"]),
            blocked_prefixes=tuple(row["blocked_prefixes"]),
            daily_spend_cap=row["daily_spend_cap"],
            calls_per_second=row["calls_per_second"],
            spent_today=row["spent_today"],
        )

    @property
    def contradictory(self) -> list[str]:
        """The prefixes that are both allowed and blocked."""
        return sorted({*self.allowed_prefixes} & {*self.blocked_prefixes})

    def facts(self) -> dict[str, Any]:
        """Return what the audit trail tells of it."""
        cap = self.daily_spend_cap
        return {
            "allowed_prefixes": list(self.allowed_prefixes),
            "blocked_prefixes": list(self.blocked_prefixes),
            "daily_spend_cap": None if cap is None else f"{cap:.2f}",
            "calls_per_second": self.calls_per_second,
        }


@dataclass(frozen=True)
class Refusal:
    """The last call of an account that was refused for a reason, and how many were before it.

    `holds` is True where the same call would be refused now.
    """

    reason: RefusalReason
    direction: str
    called: str
    at: datetime
    calls: int
    holds: bool

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of the query `refusals`."""
        return cls(**{**row, "reason": RefusalReason(row["reason"])})


@dataclass(frozen=True)
class Guessing:
    """That an account's password is guessed at from many addresses, too many to ban: how many one
    node has seen within ten minutes at the most, and when the last new one came.
    """

    addresses: int
    first_at: datetime
    last_at: datetime

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of the query `guessing`."""
        return cls(row["addresses"], row["first_at"], row["last_at"])
