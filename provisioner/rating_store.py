"""One function a query on rates and on the costs of calls."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from provisioner.access import Actor
from provisioner.db import Connection, one, rows, run
from provisioner.model import Tariff
from provisioner.pricing import Rate
from provisioner.queries import RATING

COPIED = 10_000  # rates in one statement
# In the order of the query `rates_copy`.
_RATE_COLUMNS = (
    "side",
    "prefix",
    "description",
    "connection_fee",
    "price_per_minute",
    "first_interval",
    "next_interval",
    "flat",
    "valid_from",
    "valid_until",
    "stated_until",
)

Spend = Mapping[tuple[int, date], Decimal]  # euro, by project and day


@dataclass(frozen=True)
class Uncosted:
    """A call record to be costed; a rate that is None is missing.

    `cost_customer` is what the customer's day has been charged for it so far, if anything.
    """

    id: int
    project_id: int
    day: date
    tariff: Tariff
    duration: int
    cost_customer: Decimal | None
    operator_rate: Rate | None
    customer_rate: Rate | None


@dataclass(frozen=True)
class Running:
    """An answered call in progress, `duration` seconds long so far."""

    project_id: int
    day: date
    tariff: Tariff
    duration: int
    customer_rate: Rate | None


def lock_rates(connection: Connection) -> datetime:
    """Wait for all other changes of rates; return the time after that."""
    run(connection, RATING["rates_lock"])
    row = one(connection, RATING["clock"])
    assert row is not None  # noqa: S101 - it has no condition
    moment: datetime = row["now"]
    return moment


def moments(connection: Connection, local: Collection[str]) -> dict[str, datetime]:
    """Return the moments at which the operator's clocks showed times."""
    found = rows(connection, RATING["moments"], locals=list(local))
    return {row["local"]: row["moment"] for row in found}


def rates_of(connection: Connection, prefixes: Collection[str]) -> list[Rate]:
    """List all rates of some prefixes, of both sides."""
    found = rows(connection, RATING["rates_of_prefixes"], prefixes=list(prefixes))
    return [Rate.from_row(row) for row in found]


def lock_rate(connection: Connection, rate_id: int) -> Rate | None:
    """Find a rate, and wait for all other changes of it."""
    row = one(connection, RATING["rate_lock"], rate_id=rate_id)
    return Rate.from_row(row) if row else None


def end_rates(connection: Connection, rates: Sequence[Rate]) -> None:
    """Write the ends of rates."""
    ids = [rate.id for rate in rates]
    untils = [rate.valid_until for rate in rates]
    run(connection, RATING["rate_end"], ids=ids, untils=untils)


def insert_rates(connection: Connection, rates: Sequence[Rate]) -> None:
    """Add rates, so many in one statement as it has the time for."""
    for start in range(0, len(rates), COPIED):
        with connection.cursor() as cursor, cursor.copy(RATING["rates_copy"]) as copy:
            for rate in rates[start : start + COPIED]:
                copy.write_row([getattr(rate, column) for column in _RATE_COLUMNS])


def delete_rate(connection: Connection, rate_id: int) -> None:
    """Remove a rate."""
    run(connection, RATING["rate_delete"], rate_id=rate_id)


def next_version(connection: Connection) -> int:
    """Have the records for which a rate is missing looked at again."""
    row = one(connection, RATING["version_next"])
    assert row is not None  # noqa: S101 - the migration made the row
    return int(row["version"])


def version(connection: Connection) -> int:
    """Return the version of the rates."""
    row = one(connection, RATING["version"])
    assert row is not None  # noqa: S101 - the migration made the row
    return int(row["version"])


def claim_costing(connection: Connection) -> bool:
    """Cost calls alone until the transaction ends; False where another worker does."""
    row = one(connection, RATING["costing_lock"])
    return bool(row and row["locked"])


def uncosted(connection: Connection, version: int, limit: int) -> list[Uncosted]:
    """Lock and return the next records to be costed with the rates of a version."""
    found = rows(connection, RATING["uncosted"], version=version, limit=limit)
    rates = _rates(connection, found, "operator_rate", "customer_rate")
    return [
        Uncosted(
            id=row["id"],
            project_id=row["project_id"],
            day=row["day"],
            tariff=Tariff(row["tariff"]),
            duration=row["duration"],
            cost_customer=row["cost_customer"],
            operator_rate=rates.get(row["operator_rate"]),
            customer_rate=rates.get(row["customer_rate"]),
        )
        for row in found
    ]


def running(connection: Connection) -> list[Running]:
    """List the answered calls in progress of projects that have a daily cap."""
    found = rows(connection, RATING["running"])
    rates = _rates(connection, found, "customer_rate")
    return [
        Running(
            project_id=row["project_id"],
            day=row["day"],
            tariff=Tariff(row["tariff"]),
            duration=row["duration"],
            customer_rate=rates.get(row["customer_rate"]),
        )
        for row in found
    ]


def _rates(
    connection: Connection, found: Sequence[Mapping[str, Any]], *columns: str
) -> dict[int | None, Rate]:
    """Read the rates that rows name, each once."""
    ids = {row[column] for row in found for column in columns} - {None}
    if not ids:
        return {}
    return {
        row["id"]: Rate.from_row(row)
        for row in rows(connection, RATING["rates_by_id"], ids=list(ids))
    }


def save_costs(
    connection: Connection,
    version: int,
    costs: Mapping[int, tuple[Decimal | None, Decimal | None]],
) -> None:
    """Write the operator's and the customer's cost of records by their ids; None: unknown."""
    run(
        connection,
        RATING["costs_save"],
        version=version,
        ids=list(costs),
        operator=[operator for operator, _ in costs.values()],
        customer=[customer for _, customer in costs.values()],
    )


def add_spend(connection: Connection, spend: Spend) -> None:
    """Add to what projects have spent."""
    run(connection, RATING["spend_add"], **_columns(spend))


def save_running(connection: Connection, spend: Spend) -> None:
    """Make this what calls in progress cost so far, and those of all other projects nothing."""
    columns = _columns(spend)
    days = {name: columns[name] for name in ("projects", "days")}
    run(connection, RATING["running_reset"], **days)
    run(connection, RATING["running_save"], **columns)


def _columns(spend: Spend) -> dict[str, list[Any]]:
    ordered = sorted(spend)
    return {
        "projects": [project for project, _ in ordered],
        "days": [day for _, day in ordered],
        "amounts": [spend[one] for one in ordered],
    }


def month(connection: Connection, first: date) -> tuple[datetime, datetime]:
    """Return where the month with this first day begins and ends."""
    row = one(connection, RATING["month"], first=first)
    assert row is not None  # noqa: S101 - it has no condition
    return row["since"], row["until"]


def summary(
    connection: Connection, actor: Actor, first: date, last: date, **filters: int | None
) -> list[dict[str, Any]]:
    """Sum up the calls of each account that the actor sees of some days; filters that are None do
    not count.
    """
    return rows(connection, RATING["summary"], first=first, last=last, **filters, **actor.scope)


@dataclass(frozen=True)
class Day:
    """The calls of a day, or of a month by its first day: their number, seconds, costs (euro)."""

    day: date
    incoming: int
    outgoing: int
    seconds: int
    cost_operator: Decimal
    cost_customer: Decimal


def today(connection: Connection) -> date:
    """Return the day that it is by the operator's calendar."""
    row = one(connection, RATING["today"])
    assert row is not None  # noqa: S101 - there is one installation
    day: date = row["today"]
    return day


def bounds(connection: Connection, first: date, last: date) -> tuple[datetime, datetime]:
    """Return when the first of some days of the operator's calendar begins, and the last ends."""
    row = one(connection, RATING["bounds"], first=first, last=last)
    assert row is not None  # noqa: S101 - there is one installation
    return row["since"], row["until"]


def days(
    connection: Connection,
    actor: Actor,
    unit: str,
    first: date,
    last: date,
    filters: Mapping[str, Any],
) -> list[Day]:
    """Sum up the calls that the actor sees of some days, by `day` or `month`.

    Filters: `project`, `account` and `direction` of CALL_RECORDS.
    """
    chosen = {name: filters.get(name) for name in ("project", "account", "direction")}
    found = rows(
        connection, RATING["days"], unit=unit, first=first, last=last, **chosen, **actor.scope
    )
    return [Day(**row) for row in found]


def claim_days(connection: Connection) -> bool:
    """Sum up days alone until the transaction ends; False where another worker does."""
    row = one(connection, RATING["days_lock"])
    run(connection, RATING["days_unlimited"])
    return bool(row and row["locked"])


def forget_changed_days(connection: Connection) -> None:
    """Drop the sums that are not true any more."""
    run(connection, RATING["days_forget"])


def day_due(connection: Connection) -> date | None:
    """Find the latest day that is to be summed up."""
    row = one(connection, RATING["day_due"])
    return row["day"] if row else None


def sum_day(connection: Connection, day: date) -> None:
    """Sum up the calls of a day, in place of what may be there of it."""
    run(connection, RATING["day_clear"], day=day)
    run(connection, RATING["day_sum"], day=day)
