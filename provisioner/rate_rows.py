"""What a line of a file of rates may contain, and how its numbers and times are written."""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
)

from provisioner.bulk.readers import Columns
from provisioner.bulk.spreadsheet import original
from provisioner.fields import YEARS, DestinationPrefix
from provisioner.pricing import Side

MONEY_MAX = 1000  # euro, of a fee or the price of a minute
INTERVAL_MAX = 3600  # seconds
DESCRIPTION_LENGTH = 120  # characters

_DECIMAL = re.compile(r"[0-9]{1,4}(?:([.,])[0-9]{1,6})?", re.ASCII)
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d(?: \d\d:\d\d(?::\d\d)?)?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_TRUTHS = {"true": True, "false": False}


class DecimalSign:
    """The sign before the decimals of a file, which is the same in all of it: the first one met.

    So `1.000` in a file that writes `0,05` is not taken for one euro.
    """

    def __init__(self) -> None:
        self._sign: str | None = None

    def accepts(self, sign: str) -> bool:
        """Say whether a number may be written with this sign."""
        self._sign = self._sign or sign
        return sign == self._sign


def _money(value: str, info: ValidationInfo) -> Decimal:
    match = _DECIMAL.fullmatch(value)
    amount = Decimal(value.replace(",", ".")) if match else None
    if match is None or amount is None or amount > MONEY_MAX:
        raise ValueError(f"must be 0 to {MONEY_MAX} euro with up to 6 decimals, like 0,0125")
    sign = info.context
    if match[1] and isinstance(sign, DecimalSign) and not sign.accepts(match[1]):
        raise ValueError("must have the same decimal sign as the numbers before it")
    return amount


def _interval(value: str) -> int:
    digits = value.isascii() and value.isdigit() and len(value) < 5
    if not digits or not 1 <= int(value) <= INTERVAL_MAX:
        raise ValueError(f"must be 1 to {INTERVAL_MAX} seconds")
    return int(value)


def _truth(value: str) -> bool:
    if value.lower() not in _TRUTHS:
        raise ValueError("must be true or false")
    return _TRUTHS[value.lower()]


def _moment(value: str) -> str | datetime:
    """Read a moment with its zone, or leave a time of the operator's clocks as its text."""
    if not (_LOCAL.fullmatch(value) or _MOMENT.fullmatch(value)) or int(value[:4]) not in YEARS:
        raise ValueError(
            f"must be like 2026-01-31, 2026-01-31 12:00:00 or 2026-01-31T12:00:00Z,"
            f" in the years {YEARS.start} to {YEARS.stop - 1}"
        )
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a time that exists") from None
    return value if read.tzinfo is None else read


def _description(value: str) -> str:
    text = value.strip()
    if not text.isprintable() or len(text) > DESCRIPTION_LENGTH:
        raise ValueError(
            f"must have at most {DESCRIPTION_LENGTH} characters, no control characters"
        )
    return text


Money = Annotated[Decimal, PlainValidator(_money)]
Interval = Annotated[int, PlainValidator(_interval)]
FileMoment = Annotated[str | datetime, PlainValidator(_moment)]


class RateRow(BaseModel):
    """A line of a file of rates; an empty cell is the default."""

    model_config = ConfigDict(extra="forbid")

    side: Side
    prefix: DestinationPrefix = ""
    description: Annotated[str, PlainValidator(_description)] = ""
    connection_fee: Money = Decimal(0)
    price_per_minute: Money
    first_interval: Interval = 1
    next_interval: Interval = 1
    flat: Annotated[bool, PlainValidator(_truth)] = False
    valid_from: FileMoment
    valid_until: FileMoment | None = Field(default=None)


REQUIRED = ("side", "prefix", "price_per_minute", "valid_from")
COLUMNS = Columns(REQUIRED, set(RateRow.model_fields))
_GUARDED = ("prefix", "description")  # before which a spreadsheet may have put an apostrophe


def row_of(cells: Mapping[str, str], sign: DecimalSign) -> RateRow:
    """Check the cells of a line.

    Raises:
        pydantic.ValidationError: a cell does not follow its rule.
    """
    return RateRow.model_validate(
        {name: original(cell) if name in _GUARDED else cell for name, cell in cells.items()},
        context=sign,
    )
