"""How a time is written wherever it is shown: RFC 3339, in UTC."""

from datetime import UTC, datetime
from typing import Literal


def rfc_3339(
    moment: datetime, precision: Literal["milliseconds", "seconds"] = "milliseconds"
) -> str:
    """Write a time as RFC 3339 section 5.6 has it, in UTC; it must have a time zone."""
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
