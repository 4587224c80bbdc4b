"""The operations on rates: import a file of them, remove one that is still to come."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from provisioner import journal, rate_plan, rating_store
from provisioner.access import Actor
from provisioner.bulk.lines import ByteLines
from provisioner.bulk.model import ERRORS_MAX, Fault, Format
from provisioner.bulk.readers import Record, read_records
from provisioner.db import Connection
from provisioner.errors import Conflict, InvalidInput, NotFound
from provisioner.journal import Change
from provisioner.pricing import Rate, Side
from provisioner.rate_rows import COLUMNS, DecimalSign, RateRow, row_of

ROWS_MAX = 250_000  # lines of a file


class RatesInvalid(InvalidInput):
    """The file is not as it must be; nothing of it was imported."""

    code = "rates-invalid"

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("file", "has faults; nothing of it was imported")
        self.faults = faults


class RateInForce(Conflict):
    """The rate is in force or was, so it stays; import one that follows it."""

    code = "rate-in-force"


@dataclass(frozen=True)
class RatesImported:
    """What a file has brought: rates added, rates that end earlier than they did, the rest."""

    added: int
    ended: int
    unchanged: int


def import_file(connection: Connection, actor: Actor, file: ByteLines) -> RatesImported:
    """Import a CSV file of rates: all of it, or nothing.

    Raises:
        RatesInvalid: lines are at fault; the first 1,000 faults are told.
    """
    rows, faults = _read(file)
    now = rating_store.lock_rates(connection)
    wanted = [] if faults else _rates(connection, rows, faults)
    present = rating_store.rates_of(connection, {rate.prefix for _, rate in wanted})
    planned = rate_plan.plan(present, wanted, now)
    faults += [Fault(one.line, "valid_from", one.rule) for one in planned.refusals]
    if faults:
        raise RatesInvalid(sorted(faults, key=lambda fault: fault.line)[:ERRORS_MAX])
    done = RatesImported(len(planned.added), len(planned.ended), planned.unchanged)
    if not planned.added:
        return done
    rating_store.end_rates(connection, planned.ended)
    rating_store.insert_rates(connection, planned.added)
    version = rating_store.next_version(connection)
    change = Change(type="rates.imported", subject="rates", subject_id=version, after=vars(done))
    journal.record(connection, actor, change)
    return done


def _read(file: ByteLines) -> tuple[list[tuple[int, RateRow]], list[Fault]]:
    rows: list[tuple[int, RateRow]] = []
    faults: list[Fault] = []
    sign = DecimalSign()
    for found in read_records(file, Format.CSV, COLUMNS):
        if isinstance(found, Fault):
            faults.append(found)
        else:
            try:
                rows.append((found.line, row_of(found.fields, sign)))
            except ValidationError as error:
                faults += _faults(found, error)
        if len(rows) > ROWS_MAX:
            faults.append(Fault(found.line, None, f"is beyond the {ROWS_MAX} that a file may have"))
        if len(faults) >= ERRORS_MAX or len(rows) > ROWS_MAX:
            break
    return rows, faults


def _faults(record: Record, error: ValidationError) -> Iterator[Fault]:
    for wrong in error.errors(include_url=False, include_input=False, include_context=False):
        name = str(wrong["loc"][0]) if wrong["loc"] else None
        yield Fault(record.line, name, wrong["msg"].removeprefix("Value error, "))


def _rates(
    connection: Connection, rows: list[tuple[int, RateRow]], faults: list[Fault]
) -> list[tuple[int, Rate]]:
    """Make rates of rows; their local times are those of the operator's clocks."""
    local = {
        moment
        for _, row in rows
        for moment in (row.valid_from, row.valid_until)
        if isinstance(moment, str)
    }
    moments = rating_store.moments(connection, local)
    wanted = []
    for line, row in rows:
        rate = _rate(row, moments)
        if rate.stated_until is not None and rate.stated_until <= rate.valid_from:
            faults.append(Fault(line, "valid_until", "must be after valid_from"))
        elif rate.flat and rate.side is Side.OPERATOR:
            faults.append(Fault(line, "flat", "must be false: flat is a tariff of customers"))
        else:
            wanted.append((line, rate))
    return wanted


def _rate(row: RateRow, moments: Mapping[str, datetime]) -> Rate:
    def moment(value: str | datetime) -> datetime:
        return moments[value] if isinstance(value, str) else value

    until = None if row.valid_until is None else moment(row.valid_until)
    given: dict[str, Any] = dict(row) | {
        "valid_from": moment(row.valid_from),
        "valid_until": until,
        "stated_until": until,
    }
    return Rate(id=rate_plan.NEW, **given)


def delete(connection: Connection, actor: Actor, rate_id: int) -> None:
    """Remove a rate that is still to come; the one before it lasts as long as it would have.

    Raises:
        NotFound: there is no such rate.
        RateInForce: it has begun.
    """
    now = rating_store.lock_rates(connection)
    rate = rating_store.lock_rate(connection, rate_id)
    if rate is None:
        raise NotFound("There is no such rate.")
    if rate.valid_from <= now:
        raise RateInForce()
    rating_store.delete_rate(connection, rate_id)
    others = [
        one
        for one in rating_store.rates_of(connection, [rate.prefix])
        if one.side is rate.side and one.id != rate.id
    ]
    before = {one.id: one for one in others}
    ended = [one for one in rate_plan.chained(others) if one != before[one.id]]
    rating_store.end_rates(connection, ended)
    change = Change(type="rate.deleted", subject="rate", subject_id=rate_id, before=rate)
    journal.record(connection, actor, change)
