"""What calls come to is the same whether their days are summed up or not: by day, and by account.

The calls are counted a third time here, by no SQL.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import groupby, product
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from provisioner import call_days, call_records, db, rating_store
from provisioner.access import WORKER
from provisioner.call_records import Total
from provisioner.pricing import billed
from provisioner.rating_store import Day
from provisioner.settings import Settings
from tests.integration.billing import record

Call = Mapping[str, Any]
Calls = Sequence[Call]
Filters = Mapping[str, Any]

ROME = ZoneInfo("Europe/Rome")
ONE = timedelta(days=1)
HOUR = timedelta(hours=1)
TODAY = datetime.now(ROME).date()

# `HEIR` has the number that was the first's; `MOVED` is the same account as `LAST`, in another
# customer's project.
FIRST = {"id": 1, "main_number": "+390612345678", "project_id": 11, "customer_id": 101}
HEIR = {"id": 2, "main_number": "+390612345678", "project_id": 12, "customer_id": 101}
LAST = {"id": 3, "main_number": "+390612345679", "project_id": 12, "customer_id": 101}
MOVED = {"id": 3, "main_number": "+390612345679", "project_id": 21, "customer_id": 102}
ACCOUNTS = (FIRST, HEIR, LAST, MOVED)
NOBODY = 9

SCOPES: list[dict[str, Any]] = [
    {},
    {"customer_id": 101},
    {"customer_id": 101, "project_id": 12},
    {"customer_id": 102},
    {"customer_id": NOBODY},
]
FILTERS: list[Filters] = [
    *({}, {"direction": "in"}, {"direction": "out"}),
    *({"account": one} for one in (1, 2, 3, NOBODY)),
    *({"account": 3, "direction": one} for one in ("in", "out")),
    *({"project": one} for one in (11, 12, 21, NOBODY)),
    *({"account": 3, "project": one} for one in (11, 12, 21)),
    {"account": 3, "project": 21, "direction": "in"},
]
TOTALLED = [
    *(filters for filters in FILTERS if "direction" not in filters),
    *({"customer": one} for one in (101, 102)),
    {"customer": 102, "account": 3},
]


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ROME).astimezone(UTC)


def hours(day: date) -> int:
    return (midnight(day + ONE) - midnight(day)) // HOUR


# The latest days of 23 and of 25 hours that are over, and those beside them.
LONG, SHORT = (
    next(day for day in (TODAY - n * ONE for n in range(3, 400)) if hours(day) == wanted)
    for wanted in (25, 23)
)
DAYS = [day + n * ONE for day in (LONG, SHORT) for n in (-1, 0, 1)]
INTERVALS = [
    *((day, day) for day in (LONG, SHORT)),
    (LONG - ONE, LONG + ONE),
    (SHORT, SHORT + 40 * ONE),
    (min(DAYS), max(DAYS)),
]


def moments(day: date) -> Iterator[datetime]:
    """Give the edges of a day, and a time in each of its hours."""
    begin, end = midnight(day), midnight(day + ONE)
    yield from (begin, begin + timedelta(microseconds=1), end - timedelta(microseconds=1))
    yield from (begin + n * HOUR + timedelta(minutes=30) for n in range(hours(day)))


@pytest.fixture
def calls(admin: db.Connection) -> Calls:
    """Calls of the days, which cost either side something else, or nobody knows yet what."""
    for i, moment in enumerate(moment for day in DAYS for moment in moments(day)):
        unknown = [name for name, n in (("operator", 7), ("customer", 11)) if i % n == 0]
        fields = {
            "direction": "in" if i % 3 == 0 else "out",
            "duration": 7 * i,
            "cost_operator": Decimal(i) / 10_000,
            "cost_customer": Decimal(i * i) / 1_000,
            "customer_name": f"Bianchi {i % 3}",
            "project_name": f"Milan {i % 5}",
            **{f"cost_{name}": None for name in unknown},
            **({"rated_at": None} if unknown else {}),
        }
        record(admin, ACCOUNTS[i % 4], moment.isoformat(), **fields)
    return admin.execute("SELECT * FROM provisioner.call_records ORDER BY id").fetchall()


@pytest.fixture
def connection(settings: Settings) -> Iterator[db.Connection]:
    with db.connect(settings.database_url, autocommit=True) as connection:
        yield connection


def day_of(call: Call) -> date:
    day: date = call["started_at"].astimezone(ROME).date()
    return day


def month_of(call: Call) -> date:
    return day_of(call).replace(day=1)


def project_of(call: Call) -> tuple[int, int]:
    return call["customer_id"], call["project_id"]


def account_of(call: Call) -> tuple[int, int, int]:
    return *project_of(call), call["account_id"]


def grouped(calls: Calls, key: Callable[[Call], Any]) -> list[tuple[Any, list[Call]]]:
    return [(name, list(some)) for name, some in groupby(sorted(calls, key=key), key)]


def chosen(calls: Calls, first: date, last: date, scope: Filters, filters: Filters) -> Calls:
    wanted = [(name if name == "direction" else f"{name}_id", filters[name]) for name in filters]
    wanted += scope.items()
    return [
        call
        for call in calls
        if first <= day_of(call) <= last and all(call[name] == value for name, value in wanted)
    ]


def cost(calls: Calls, side: str) -> Decimal:
    return sum((call[f"cost_{side}"] or Decimal(0) for call in calls), Decimal(0))


def day_counted(day: date, calls: Calls) -> Day:
    directions = [call["direction"] for call in calls]
    return Day(
        day,
        incoming=directions.count("in"),
        outgoing=directions.count("out"),
        seconds=sum(call["duration"] for call in calls),
        cost_operator=cost(calls, "operator"),
        cost_customer=cost(calls, "customer"),
    )


def total_counted(calls: Calls, *, whole: bool = False) -> Total:
    """Add up an account's calls; those of a whole project have its first account's names."""
    first = min(call["account_id"] for call in calls)
    named = [call for call in calls if call["account_id"] == first]
    return Total(
        customer_id=calls[0]["customer_id"],
        customer_name=max(call["customer_name"] for call in named),
        project_id=calls[0]["project_id"],
        project_name=max(call["project_name"] for call in named),
        account_id=None if whole else first,
        account_number=None if whole else calls[0]["account_number"],
        calls=len(calls),
        seconds=sum(call["duration"] for call in calls),
        unrated=sum(call["rated_at"] is None for call in calls),
        cost_operator=billed(cost(calls, "operator")),
        cost_customer=billed(cost(calls, "customer")),
    )


def assert_days(connection: db.Connection, calls: Calls) -> None:
    """The days and months of every interval are those that are counted here."""
    shown = 0
    for (first, last), scope, filters in product(INTERVALS, SCOPES, FILTERS):
        actor = replace(WORKER, **scope)
        mine = chosen(calls, first, last, scope, filters)
        for unit, key in (("day", day_of), ("month", month_of)):
            found = rating_store.days(connection, actor, unit, first, last, filters)
            expected = [day_counted(*group) for group in grouped(mine, key)]
            assert found == expected, (unit, first, last, scope, filters)
            shown += len(found)
    assert shown > 500


def assert_summaries(connection: db.Connection, calls: Calls) -> None:
    """The totals of every month are those that are counted here."""
    shown = 0
    months = sorted({day.replace(day=1) for day in DAYS})
    for month, scope, filters in product(months, SCOPES, TOTALLED):
        found = call_records.summary(connection, replace(WORKER, **scope), month, **filters)
        last = (month + 31 * ONE).replace(day=1) - ONE
        mine = chosen(calls, month, last, scope, filters)
        assert found.accounts == [total_counted(some) for _, some in grouped(mine, account_of)], (
            month,
            scope,
            filters,
        )
        assert found.projects == [
            total_counted(some, whole=True) for _, some in grouped(mine, project_of)
        ], (month, scope, filters)
        shown += len(found.accounts)
    assert shown > 20


def sum_up(connection: db.Connection, days: Sequence[date]) -> None:
    """What a worker does: it forgets days that have changed, and sums up those that are due."""
    with connection.transaction():
        rating_store.forget_changed_days(connection)
    for day in days:
        with connection.transaction():
            rating_store.sum_day(connection, day)


def read_as_sums(connection: db.Connection) -> set[date]:
    """The days of which no call is read."""
    query = """
        SELECT day FROM provisioner.summed_days
         WHERE accounts AND day NOT IN (SELECT day FROM provisioner.changed_days)
    """
    return {row["day"] for row in connection.execute(query)}


@pytest.mark.parametrize(
    "summed", [[], DAYS, DAYS[::2], [LONG, SHORT]], ids=["none", "all", "some", "shifted"]
)
def test_days_and_totals_are_those_of_the_calls(
    connection: db.Connection, calls: Calls, summed: Sequence[date]
) -> None:
    """Of accounts, projects, customers and all; of days of 23 and 25 hours, to their edges."""
    sum_up(connection, summed)
    assert read_as_sums(connection) == set(summed)
    assert_days(connection, calls)
    assert_summaries(connection, calls)


# A worker's round, and what it may find.

PAST = TODAY - 5 * ONE


@pytest.fixture
def few(admin: db.Connection) -> Calls:
    """Three calls of a day that is over, two of them one account's."""
    for owner in (FIRST, FIRST, LAST):
        record(admin, owner, midnight(PAST).isoformat())
    return admin.execute("SELECT * FROM provisioner.call_records ORDER BY id").fetchall()


def shown(connection: db.Connection) -> list[int]:
    """How many calls a page shows of the first account, of all, and the month's totals."""
    per_day = (
        rating_store.days(connection, WORKER, "day", PAST, PAST, filters)
        for filters in ({"account": 1}, {})
    )
    totals = call_records.summary(connection, WORKER, PAST.replace(day=1)).accounts
    return [*(one.outgoing for (one,) in per_day), *(one.calls for one in totals)]


def go_round(connection: db.Connection) -> None:
    while call_days.sum_up(connection):
        pass


def test_sums_of_accounts_are_read_where_there_are_some(
    admin: db.Connection, connection: db.Connection, few: Calls
) -> None:
    """So that the tests beside this one show something."""
    go_round(connection)
    assert shown(connection) == [2, 3, 2, 1]
    admin.execute("UPDATE provisioner.account_days SET calls = 77")
    assert shown(connection) == [77, 3, 77, 77]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE provisioner.call_records SET account_id = 1", [3, 3, 3]),
        ("DELETE FROM provisioner.call_records WHERE account_id = 3", [2, 2, 2]),
    ],
)
def test_a_late_change_of_a_day_is_seen_at_once_by_account(
    admin: db.Connection, connection: db.Connection, few: Calls, change: str, expected: list[int]
) -> None:
    """And when the day has been summed up again."""
    go_round(connection)
    admin.execute("UPDATE provisioner.call_records SET project_id = 11, customer_id = 101")
    admin.execute(change.encode())
    assert shown(connection) == expected
    go_round(connection)
    assert shown(connection) == expected
    assert admin.execute("SELECT FROM provisioner.changed_days").fetchone() is None


def test_days_that_the_version_before_has_summed_up_are_summed_up_by_account(
    admin: db.Connection, connection: db.Connection, few: Calls
) -> None:
    """It knows nothing of accounts: not that they have sums, nor that these are true no more."""
    go_round(connection)
    admin.execute("UPDATE provisioner.account_days SET calls = 77")
    admin.execute("DELETE FROM provisioner.summed_days")
    admin.execute("INSERT INTO provisioner.summed_days VALUES (%s)", [PAST])
    assert shown(connection) == [2, 3, 2, 1]
    go_round(connection)
    assert shown(connection) == [2, 3, 2, 1]
    summed = admin.execute("SELECT * FROM provisioner.summed_days").fetchall()
    assert PAST in [row["day"] for row in summed]
    assert all(row["accounts"] for row in summed)
    sums = admin.execute("SELECT * FROM provisioner.account_days ORDER BY account_id").fetchall()
    assert [row["calls"] for row in sums] == [2, 1]
