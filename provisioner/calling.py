"""Which number an account presents, and where its calls go when it does not take them: plain values
and the manual's rules for them. Nothing here does input or output.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

NO_ANSWER_SECONDS = 20  # a call that rings this long is not answered


class Condition(StrEnum):
    """When a call is transferred."""

    UNCONDITIONAL = "unconditional"
    NO_ANSWER = "no_answer"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Transfer:
    """One way of transferring: on or off, and to which number (E.164)."""

    enabled: bool = False
    target: str | None = None


@dataclass(frozen=True)
class CallTransfer:
    """All of an account's transfers; one that was never set is off."""

    unconditional: Transfer = field(default_factory=Transfer)
    no_answer: Transfer = field(default_factory=Transfer)
    unreachable: Transfer = field(default_factory=Transfer)

    def __iter__(self) -> Iterator[tuple[Condition, Transfer]]:
        return ((condition, getattr(self, condition)) for condition in Condition)

    @property
    def contradictory(self) -> bool:
        """True where all calls are transferred and some are transferred otherwise, too."""
        return self.unconditional.enabled and (self.no_answer.enabled or self.unreachable.enabled)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of `provisioner.call_transfers`."""
        return cls(
            **{
                condition: Transfer(row[f"{condition}_enabled"], row[f"{condition}_target"])
                for condition in Condition
            }
        )

    def columns(self) -> dict[str, Any]:
        """Return the columns of such a row."""
        row: dict[str, Any] = {}
        for condition, transfer in self:
            row[f"{condition}_enabled"] = transfer.enabled
            row[f"{condition}_target"] = transfer.target
        return row

    def facts(self) -> dict[str, Any]:
        """Return what the audit trail and hooks tell of it."""
        return {
            condition: {"enabled": transfer.enabled, "target": transfer.target}
            for condition, transfer in self
        }


@dataclass(frozen=True)
class CallerIdRule:
    """Present `number`, or none where it is None, to destinations that start with the prefix.

    The empty prefix is every destination; of several rules that fit, the longest prefix decides.
    """

    id: int
    destination_prefix: str
    number: str | None
    created_at: datetime

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of `provisioner.caller_id_rules`."""
        return cls(row["id"], row["destination_prefix"], row["number"], row["created_at"])

    def facts(self) -> dict[str, Any]:
        """Return what the audit trail and hooks tell of it."""
        return {
            "id": self.id,
            "destination_prefix": self.destination_prefix,
            "number": self.number,
        }


def is_emergency(number: str, country_code: str, emergency_numbers: frozenset[str]) -> bool:
    """Say whether a number is one of the country's emergency numbers, however it is written:
    `112`, `+39112`, `0039112`.
    """
    digits = number.removeprefix("+").removeprefix("00")
    return bool({number, digits, digits.removeprefix(country_code)} & emergency_numbers)
