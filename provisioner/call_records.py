"""Call records as a file, and what the calls of a month cost.

The columns are the operator's manual's, in its order and language.
"""

import csv
import io
import re
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from provisioner import listings, rating_store
from provisioner.access import Actor
from provisioner.bulk.spreadsheet import harmless
from provisioner.db import Connection
from provisioner.listing import Order
from provisioner.pricing import billed

COLUMNS = (
    "cliente",
    "id_cliente",
    "nome_progetto",
    "id_progetto",
    "nome_account",
    "data_inizio",
    "data_fine",
    "durata",
    "numero_chiamante",
    "numero_chiamato",
    "direzione",
    "costo_sp",
    "costo_cliente",
)
_NUMBER = re.compile(r"\+?[0-9]+", re.ASCII)  # no formula, though it may begin like one


class Convention(StrEnum):
    """How spreadsheets expect a file: `;` and decimal commas, or `,` and decimal points."""

    ITALIAN = "italian"
    INTERNATIONAL = "international"


def export(
    connection: Connection,
    actor: Actor,
    convention: Convention,
    order: Order,
    filters: Mapping[str, Any],
) -> Iterator[bytes]:
    """Give the records that the actor sees, as a CSV file in pieces (filters: CALL_RECORDS)."""
    yield _csv([COLUMNS], convention)
    for rows in listings.CALL_RECORDS.whole(connection, actor, filters, order):
        yield _csv([_cells(row, convention) for row in rows], convention)


def _cells(row: Mapping[str, Any], convention: Convention) -> list[str]:
    return [
        harmless(row["customer_name"]),
        str(row["customer_id"]),
        harmless(row["project_name"]),
        str(row["project_id"]),
        row["account_number"],
        row["local_start"],
        row["local_end"],
        str(row["duration"]),
        _number(row["caller"]),
        _number(row["called"]),
        row["direction"],
        _money(row["cost_operator"], convention),
        _money(row["cost_customer"], convention),
    ]


def _number(text: str) -> str:
    """Write a number as it is; what a caller has put in its place may be anything."""
    return text if _NUMBER.fullmatch(text) else harmless(text)


def _money(amount: Decimal | None, convention: Convention) -> str:
    if amount is None:
        return ""
    text = f"{amount:.4f}"
    return text.replace(".", ",") if convention is Convention.ITALIAN else text


def _csv(lines: Iterable[Sequence[str]], convention: Convention) -> bytes:
    text = io.StringIO()
    delimiter = ";" if convention is Convention.ITALIAN else ","
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()


@dataclass(frozen=True)
class Total:
    """The calls of an account or a project: their number, seconds and costs (euro).

    `account_id` and `account_number` are None for a project; `unrated` calls lack a cost.
    """

    customer_id: int
    customer_name: str
    project_id: int
    project_name: str
    account_id: int | None
    account_number: str | None
    calls: int
    seconds: int
    unrated: int
    cost_operator: Decimal
    cost_customer: Decimal


@dataclass(frozen=True)
class Summary:
    """The calls that began within a month of the operator's calendar.

    Each total is rounded once, so that a project's may differ by cents from the sum of its
    accounts'.
    """

    month: str
    since: datetime
    until: datetime
    accounts: list[Total]
    projects: list[Total]


def summary(
    connection: Connection,
    actor: Actor,
    first: date,
    *,
    customer: int | None = None,
    project: int | None = None,
    account: int | None = None,
) -> Summary:
    """Sum up the calls that the actor sees of the month with this first day."""
    since, until = rating_store.month(connection, first)
    last = first.replace(day=monthrange(first.year, first.month)[1])
    found = rating_store.summary(
        connection, actor, first, last, customer=customer, project=project, account=account
    )
    return Summary(
        month=f"{first:%Y-%m}",
        since=since,
        until=until,
        accounts=[_total([row]) for row in found],
        projects=[_total(rows, whole=True) for rows in _by_project(found)],
    )


def _by_project(rows: Sequence[Mapping[str, Any]]) -> Iterable[list[Mapping[str, Any]]]:
    projects: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        projects.setdefault((row["customer_id"], row["project_id"]), []).append(row)
    return projects.values()


def _total(rows: Sequence[Mapping[str, Any]], *, whole: bool = False) -> Total:
    """Add up the sums of accounts; of a whole project if that is so."""
    named = dict(rows[0])
    if whole:
        named |= {"account_id": None, "account_number": None}
    for name in ("calls", "seconds", "unrated"):
        named[name] = int(sum(row[name] for row in rows))
    for name in ("cost_operator", "cost_customer"):
        named[name] = billed(sum((row[name] for row in rows), Decimal(0)))
    return Total(**named)
