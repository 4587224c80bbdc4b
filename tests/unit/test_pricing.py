"""What calls cost, against tables worked by hand."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from provisioner.model import Tariff
from provisioner.pricing import Rate, Side, billed, cost

RATE = Rate(
    id=1,
    side=Side.CUSTOMER,
    prefix="+39",
    description="",
    connection_fee=Decimal(0),
    price_per_minute=Decimal(0),
    first_interval=1,
    next_interval=1,
    flat=False,
    valid_from=datetime(2026, 1, 1, tzinfo=UTC),
    valid_until=None,
    stated_until=None,
)

# fee, price of a minute, first and next interval, duration: seconds charged, how, cost
TABLE = [
    ("0", "0.06", 1, 1, 0, "1 s: 0.06 / 60 = 0.001", "0.0010"),
    ("0", "0.06", 1, 1, 1, "1 s: the same", "0.0010"),
    ("0", "0.06", 1, 1, 61, "61 s: 61 * 0.001 = 0.061", "0.0610"),
    ("0.05", "0.09", 60, 30, 0, "60 s: 0.05 + 0.09 = 0.14", "0.1400"),
    ("0.05", "0.09", 60, 30, 59, "60 s: the same", "0.1400"),
    ("0.05", "0.09", 60, 30, 60, "60 s: the same", "0.1400"),
    ("0.05", "0.09", 60, 30, 61, "90 s: 0.05 + 1.5 * 0.09 = 0.185", "0.1850"),
    ("0.05", "0.09", 60, 30, 90, "90 s: the same", "0.1850"),
    ("0.05", "0.09", 60, 30, 91, "120 s: 0.05 + 2 * 0.09 = 0.23", "0.2300"),
    ("0", "0.10", 30, 6, 37, "30 + 2 * 6 = 42 s: 42 / 600 = 0.07", "0.0700"),
    ("0.15", "0", 1, 1, 3600, "the fee alone", "0.1500"),
    ("0", "0", 60, 60, 3600, "nothing", "0.0000"),
    ("0", "0.01", 1, 1, 1, "0.01 / 60 = 0.000166…", "0.0002"),
    ("0", "0.01", 1, 1, 2, "0.02 / 60 = 0.000333…", "0.0003"),
    ("0", "0.003", 1, 1, 1, "0.003 / 60 = 0.00005: half goes up", "0.0001"),
    ("0", "0.002999", 1, 1, 1, "0.002999 / 60 = 0.00004998…", "0.0000"),
    ("0.00005", "0", 1, 1, 1, "0.00005: half goes up", "0.0001"),
    ("0.00025", "0", 1, 1, 1, "0.00025: up, not to the even 0.0002", "0.0003"),
    ("1000", "1000", 3600, 3600, 2**31 - 1, "596524 h: 1000 + 596524 * 60000", "35791441000.0000"),
]


@pytest.mark.parametrize(
    ("fee", "price", "first", "following", "duration", "how", "expected"), TABLE
)
def test_a_call_costs_its_fee_and_the_intervals_that_have_begun(
    fee: str, price: str, first: int, following: int, duration: int, how: str, expected: str
) -> None:
    rate = replace(
        RATE,
        connection_fee=Decimal(fee),
        price_per_minute=Decimal(price),
        first_interval=first,
        next_interval=following,
    )
    found = cost(rate, duration, Tariff.PAY_PER_USE)
    assert str(found) == expected, how


@pytest.mark.parametrize(
    ("rate_is_flat", "tariff", "expected"),
    [
        (True, Tariff.FLAT, "0.0000"),
        (True, Tariff.PAY_PER_USE, "1.0000"),
        (False, Tariff.FLAT, "1.0000"),
        (False, Tariff.PAY_PER_USE, "1.0000"),
    ],
)
def test_a_flat_tariff_is_free_where_the_rate_says_so(
    rate_is_flat: bool, tariff: Tariff, expected: str
) -> None:
    rate = replace(RATE, flat=rate_is_flat, connection_fee=Decimal(1))
    assert str(cost(rate, 60, tariff)) == expected


@pytest.mark.parametrize(
    ("costs", "bill"),
    [
        (["0.0049", "0.0001"], "0.01"),  # 0.0050: half goes up
        (["0.0049"], "0.00"),
        (["0.0149", "0.0149"], "0.03"),  # 0.0298, though each alone is 0.01
        (["0.0250"], "0.03"),  # not to the even 0.02
        ([], "0.00"),
    ],
)
def test_a_bill_is_rounded_once(costs: list[str], bill: str) -> None:
    assert str(billed(sum(map(Decimal, costs), Decimal(0)))) == bill
