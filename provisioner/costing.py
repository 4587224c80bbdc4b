"""Costs call records when calls have ended, and says what those in progress cost so far."""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from time import monotonic

from provisioner import pricing, rating_store
from provisioner.db import Connection
from provisioner.model import Tariff
from provisioner.pricing import FREE, Rate

BATCH = 1000  # records of one transaction
RUNNING_INTERVAL = 5.0  # seconds between two looks at calls in progress


class Costing:
    """What a worker does about the costs of calls; several may, one at a time."""

    def __init__(self) -> None:
        self._running_due = 0.0

    def step(self, connection: Connection) -> bool:
        """Cost some of the calls that have ended; True where more of them wait.

        What calls in progress cost is summed up in the transaction that costs those which have
        ended, so that none counts twice towards a cap.
        """
        with connection.transaction():
            if not rating_store.claim_costing(connection):
                return False
            costed = cost_records(connection)
            if costed or monotonic() >= self._running_due:
                rating_store.save_running(connection, _running(connection))
                self._running_due = monotonic() + RUNNING_INTERVAL
        return costed == BATCH


def cost_records(connection: Connection) -> int:
    """Cost a batch of records and add what is new to the days' sums; return how many there were.

    A record that gets its true end later is costed again: the day changes by the difference. One
    without a fitting rate keeps that cost unknown until rates are imported.
    """
    version = rating_store.version(connection)
    records = rating_store.uncosted(connection, version, BATCH)
    if not records:
        return 0
    costs = {}
    spend: defaultdict[tuple[int, date], Decimal] = defaultdict(Decimal)
    for record in records:
        operator = _cost(record.operator_rate, record.duration, record.tariff)
        customer = _cost(record.customer_rate, record.duration, record.tariff)
        costs[record.id] = (operator, customer)
        spend[record.project_id, record.day] += (customer or FREE) - (record.cost_customer or FREE)
    rating_store.save_costs(connection, version, costs)
    rating_store.add_spend(connection, {day: added for day, added in spend.items() if added})
    return len(records)


def _cost(rate: Rate | None, duration: int, tariff: Tariff) -> Decimal | None:
    return None if rate is None else pricing.cost(rate, duration, tariff)


def _running(connection: Connection) -> dict[tuple[int, date], Decimal]:
    spend: defaultdict[tuple[int, date], Decimal] = defaultdict(Decimal)
    for call in rating_store.running(connection):
        cost = _cost(call.customer_rate, call.duration, call.tariff)
        spend[call.project_id, call.day] += cost or FREE
    return spend
