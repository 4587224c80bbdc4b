"""Calls as Kamailio places, answers and ends them, without any SIP; rates, and their costing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psycopg

from provisioner import db
from provisioner.costing import Costing
from provisioner.settings import Settings
from provisioner.stack.passwords import load_passwords
from provisioner.stack.stack import Stack
from tests.integration.conftest import Answer, Client

HEADER = (
    "side;prefix;connection_fee;price_per_minute;first_interval;next_interval;flat;valid_from;"
    "valid_until"
)
_RECORDS = count(1)


@dataclass
class Kamailio:
    """The database's functions of calls, as Kamailio's role; and what may only be set from outside:
    when something has happened.
    """

    connection: psycopg.Connection
    admin: db.Connection
    _entries: Iterator[int] = field(default_factory=count)

    def place(self, account: int, called: str, *, emergency: bool = False) -> int:
        """Start a call of an account; return its id."""
        row = self.connection.execute(
            "SELECT (d).call, (d).status, (d).reason FROM (SELECT kamailio.place_call("
            "%s, '', %s, %s, %s, 'node1/a', %s, 0, '00', 1) AS d) AS decided",
            (account, called, called.lstrip("+"), emergency, next(self._entries)),
        ).fetchone()
        assert row
        assert row[1] == 0, row[2]
        return int(row[0])

    def place_from_carrier(self, caller: str, called: str) -> int:
        """Start a call to a number of the service; return its id."""
        row = self.connection.execute(
            "SELECT (d).call, (d).status FROM (SELECT kamailio.place_call("
            "0, %s, %s, %s, false, 'node1/a', %s, 0, '00', 1) AS d) AS decided",
            (caller, called, called.lstrip("+"), next(self._entries)),
        ).fetchone()
        assert row
        assert row[1] == 0
        return int(row[0])

    def answer(self, call: int) -> None:
        """Answer a call now."""
        self.connection.execute("SELECT kamailio.answer_calls(ARRAY[%s::bigint])", (call,))

    def end(self, call: int, status: int = 200) -> None:
        """End a call now."""
        self.connection.execute("SELECT kamailio.end_call(%s, %s)", (call, status))

    def began(self, call: int, moment: str, answered: str | None = None) -> None:
        """Put the beginning of a call in progress at another time."""
        self.admin.execute(
            "UPDATE kamailio.calls SET started_at = %s,"
            " answered_at = CASE WHEN answered_at IS NOT NULL THEN %s::timestamptz END"
            " WHERE call = %s",
            (moment, answered or moment, call),
        )

    def ended(self, call: int, moment: str, status: int = 200) -> None:
        """End a call at another time."""
        self.admin.execute("SELECT kamailio.record_call(%s, %s, %s, false)", (call, moment, status))

    def called(self, account: int, called: str, began: str, ended: str, **more: Any) -> int:
        """Have an account make a call that was answered at once; return its id."""
        call = self.place(account, called, **more)
        self.answer(call)
        self.began(call, began)
        self.ended(call, ended)
        return call


@contextmanager
def kamailio_of(settings: Settings, stack: Stack, admin: db.Connection) -> Iterator[Kamailio]:
    """Kamailio's role in the test's database."""
    password = load_passwords(stack.directory.passwords).kamailio_db
    with psycopg.connect(
        settings.database_url, user="kamailio", password=password, autocommit=True
    ) as connection:
        yield Kamailio(connection, admin)


def record(admin: db.Connection, account: Any, started_at: str, **fields: Any) -> None:
    """Keep a call that has ended."""
    row = {
        "id": next(_RECORDS),
        "call": 1,
        "account_id": account["id"],
        "account_number": account["main_number"],
        "customer_id": account["customer_id"],
        "customer_name": "Bianchi",
        "project_id": account["project_id"],
        "project_name": "Milan",
        "tariff": "pay_per_use",
        "direction": "out",
        "transferred": False,
        "emergency": False,
        "node": "node1",
        "node_lost": False,
        "caller": account["main_number"],
        "called": "+393331234567",
        "started_at": started_at,
        "answered_at": started_at,
        "ended_at": started_at,
        "duration": 90,
        "status": 200,
        "cost_operator": "0.1000",
        "cost_customer": "0.2000",
        "rated_at": started_at,
    } | fields
    columns, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    query = f"INSERT INTO provisioner.call_records ({columns}) VALUES ({places})"  # noqa: S608 - columns that this test names
    admin.execute(query.encode(), row)


def cost_calls(settings: Settings) -> None:
    """Do what a worker does about the costs of calls."""
    with db.connect(settings.database_url, autocommit=True) as connection:
        costing = Costing()
        while costing.step(connection):
            pass


def import_rates(client: Client, *lines: str, header: str = HEADER, **headers: str) -> Answer:
    """Send a file of rates."""
    sent = {"Authorization": f"Bearer {client.token}", "Content-Type": "text/csv", **headers}
    return client.send("POST", "/rates", sent, data="\n".join([header, *lines]) + "\n")


def new_rates(client: Client, *lines: str) -> Any:
    """Import rates, which must be accepted."""
    answer = import_rates(client, *lines)
    assert answer.status_code == 200, answer.text
    return answer.json
