"""Call records: the console's page of them, and the API's, among 1,000,000.

Half of them are one account's. What is measured is the server's own time, in one process and
without a network between.
"""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from benchmarks.console import P99_MAX, REQUESTS, ROUNDS, Side, console_of
from benchmarks.population import analyze
from benchmarks.progress import rounds, say
from benchmarks.table import Figure, Row, aim
from provisioner import call_days, db, rating_store
from provisioner.stack.stack import Stack

RECORDS, ACCOUNTS, DAYS = 1_000_000, 1_000, 30

NOTE = f"""\
{REQUESTS} requests of each kind a round, one after another; {RECORDS:,} call records of the last \
{DAYS} days, half of them one account's, the rest shared by {ACCOUNTS:,}. Pages are of these days, \
of the last one, or of a year; of a CSV file it is the time to its first 1,000 lines; the month is \
that of {DAYS // 2} days ago."""

_CALLS = """
    INSERT INTO provisioner.call_records
           (id, call, account_id, account_number, customer_id, customer_name, project_id,
            project_name, tariff, direction, transferred, emergency, caller, called, node,
            started_at, answered_at, ended_at, duration, status, node_lost, cost_operator,
            cost_customer, rated_at)
    SELECT 1000000 + i, i, account.id, main_number, customer_id, 'Bench', project_id, 'Bench',
           'pay_per_use', CASE i %% 3 WHEN 0 THEN 'in' ELSE 'out' END, false, false, main_number,
           '+393331234567', 'node1', moment, moment, moment, 60, 200, false, 0.01, 0.02, moment
      FROM generate_series(1, %(count)s) AS i
      JOIN (SELECT *, row_number() OVER (ORDER BY id) AS place FROM provisioner.sip_accounts)
           AS account ON place = CASE i %% 2 WHEN 0 THEN 1 ELSE 1 + i / 2 %% %(accounts)s END,
           LATERAL (SELECT now() - %(days)s * interval '1 day' * i / %(count)s AS moment) AS spread
"""
_CHANGED = "SELECT FROM provisioner.changed_days LIMIT 1"
_OWNERS = "SELECT id, project_id FROM provisioner.sip_accounts ORDER BY id LIMIT 2"
# Before the last page of an account's records, the latest of which come first.
_LATE = """
    SELECT id, started_at FROM provisioner.call_records
     WHERE account_id = %s AND started_at >= %s ORDER BY started_at, id OFFSET 25 LIMIT 1
"""


@dataclass(frozen=True)
class Request:
    """What is asked for: a path, of the API with its token; of a file only the beginning."""

    path: str
    headers: Mapping[str, str]

    def take(self, console: Side) -> float:
        """Return the milliseconds that it takes."""
        began = time.perf_counter()
        answer = console.get(self.path, headers=dict(self.headers), buffered=False)
        pieces = answer.iter_encoded()
        for _ in range(2):  # a file's are its heading, and its first lines
            next(pieces, None)
        taken = 1000 * (time.perf_counter() - began)
        answer.close()
        return taken


def run(stack: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows."""
    with console_of(stack, ACCOUNTS) as console:
        _fill(stack)
        requests = _requests(stack)
        for request in requests.values():
            request.take(console)
        taken: dict[str, list[list[float]]] = {kind: [] for kind in requests}
        for _ in rounds("records", ROUNDS):
            for kind, request in requests.items():
                taken[kind].append([request.take(console) for _ in range(REQUESTS)])
    for kind, samples in taken.items():
        figure = Figure.percentile(samples, 0.99)
        met = aim(f"≤ {P99_MAX:g}", figure.value <= P99_MAX)
        yield Row(f"{RECORDS:,} call records, {kind}, p99 (ms)", figure, aim=met)


def _fill(stack: Stack) -> None:
    say(f"records: filling in {RECORDS:,} call records")
    with psycopg.connect(stack.database_admin_url) as connection:
        count = RECORDS - ACCOUNTS  # each account has one already
        connection.execute(_CALLS, {"count": count, "accounts": ACCOUNTS, "days": DAYS})
    say("records: summing up their days")
    with db.connect(stack.database_url, autocommit=True) as connection:
        # The stack's worker may be at it, too.
        while connection.execute(_CHANGED).fetchone() or rating_store.day_due(connection):
            call_days.sum_up(connection)
    analyze(stack.database_admin_url)


def _requests(stack: Stack) -> dict[str, Request]:
    """Return what to ask for, by kind."""
    with db.connect(stack.database_admin_url) as connection:
        busy, quiet = connection.execute(_OWNERS).fetchall()
        today = rating_store.today(connection)
        first, year = today - timedelta(days=DAYS - 1), today - timedelta(days=364)
        since, until = rating_store.bounds(connection, first, today)
        late = connection.execute(_LATE, [busy["id"], since]).fetchone()
    assert late is not None  # noqa: S101 - it has just been filled
    filters = {
        "all": "",
        "of an account": f"&account={busy['id']}",
        "of an account with few": f"&account={quiet['id']}",
        "of a project": f"&project={busy['project_id']}",
        "in one direction": "&direction=in",
        "the last page of an account": f"&account={busy['id']}&cursor={_cursor(late)}",
    }
    console = f"/console/calls?last={today}&first="
    token = stack.admin_token_file.read_text(encoding="ascii").strip()
    api = "/api/v1/call-records"
    days = f"since={since:%Y-%m-%dT%H:%M:%SZ}&until={until:%Y-%m-%dT%H:%M:%SZ}"
    month = f"{today - timedelta(days=DAYS // 2):%Y-%m}"
    paths = {
        **{f"console, {DAYS} days, {kind}": f"{console}{first}{filters[kind]}" for kind in filters},
        **{
            f"console, a day, {kind}": f"{console}{today}{filters[kind]}"
            for kind in list(filters)[:2]
        },
        **{f"console, a year, {kind}": f"{console}{year}{filters[kind]}" for kind in filters},
        **{f"API, {kind}": f"{api}?{days}{filters[kind]}" for kind in filters},
        **{
            f"API, CSV, {kind}": f"{api}?format=csv&{days}{filters[kind]}"
            for kind in list(filters)[:2]
        },
        **{
            f"API, a month's totals, {kind}": f"{api}/summary?month={month}{filters[kind]}"
            for kind in list(filters)[:4]
        },
    }
    headers = {"Authorization": f"Bearer {token}"}
    return {
        kind: Request(path, {} if path.startswith("/console/") else headers)
        for kind, path in paths.items()
    }


def _cursor(row: Mapping[str, Any]) -> str:
    """Return where the page after a record starts, as the API tells it."""
    place = ["-started_at", row["started_at"].isoformat(), row["id"]]
    return urlsafe_b64encode(json.dumps(place).encode()).decode()
