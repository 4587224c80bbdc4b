"""The console's pages: as fast among 100,000 accounts as among 1,000, few bytes, few queries.

Two systems at once, in turns. What is measured is the server's own time for a page, in one process
and without a network between; the nodes are asked as ever.
"""

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
from flask import Flask
from flask.testing import FlaskClient

from benchmarks.population import analyze, fill
from benchmarks.progress import rounds, say
from benchmarks.table import Figure, Row, aim, percentile, ratios
from provisioner import passwords
from provisioner.app import create_app
from provisioner.settings import load_settings
from provisioner.stack.stack import Stack

FEW, MANY = 1_000, 100_000
ROUNDS, REQUESTS = 5, 20  # requests of each page a round, on either side
P99_MAX, RATIO_MAX = 100.0, 1.3  # milliseconds; how much slower the many may be
FIRST_MAX, NEXT_MAX = 150.0, 20.0  # kB of the first page with all that it loads; of each page
HOST = "https://localhost"
PASSWORD = "correct horse battery"  # noqa: S105 - of a database that lives as long as this
ENVIRON = {"SYNC_INTERVAL": "3600"}  # no comparison meanwhile

NOTE = f"""\
{REQUESTS} requests of each page a round, one after another; {MANY:,} accounts and as many calls \
of this month in one database, {FEW:,} in another. Bytes are those of bodies and header lines, \
nothing is compressed. Queries are all that a page sends, those of its session among them."""

_OTHERS = re.compile(r"/static/|<path:rest>|<text>|<token>|^/console/$|/login|/file$|/provisioning")
_PERSON = """
    INSERT INTO provisioner.users (email, name, role, password_hash)
    VALUES ('bench@example.org', 'Bench', 'admin', %s)
"""
_CALLS = """
    INSERT INTO provisioner.call_records
           (id, call, account_id, account_number, customer_id, customer_name, project_id,
            project_name, tariff, direction, transferred, emergency, caller, called, node,
            started_at, answered_at, ended_at, duration, status, node_lost, cost_operator,
            cost_customer, rated_at)
    SELECT id, id, id, main_number, customer_id, 'Bench', project_id, 'Bench', 'pay_per_use', 'out',
           false, false, main_number, '+393331234567', 'node1', moment, moment, moment, 60, 200,
           false, 0.01, 0.02, moment
      FROM provisioner.sip_accounts,
           LATERAL (SELECT date_trunc('month', now()) + (now() - date_trunc('month', now()))
                           * ((id % 1000) / 1000.0) AS moment) AS spread
"""


@dataclass
class Side:
    """One system's console, in this process, and somebody who has logged in."""

    app: Flask
    browser: FlaskClient
    values: dict[str, str]
    taken: dict[str, list[list[float]]] = field(default_factory=dict)

    def pages(self) -> dict[str, str]:
        """Return the address of every page that the values can fill, by its rule."""
        found = {}
        for rule in sorted(map(str, self.app.url_map.iter_rules())):
            parameters = re.findall(r"<(?:\w+:)?(\w+)>", rule)
            if rule in _readable(self.app) and set(parameters) <= set(self.values):
                found[rule] = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: self.values[match[1]], rule)
        number = self.values["number"][-6:]
        return {**found, "/console/accounts?q=…": f"/console/accounts?q={number}"}

    def get(self, path: str, **options: Any) -> Any:
        """Open a page."""
        answer = self.browser.get(path, base_url=HOST, **options)
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code}")
        return answer

    def time(self, path: str) -> list[float]:
        """Return the milliseconds that some requests of a page take."""
        samples = []
        for _ in range(REQUESTS):
            began = time.perf_counter()
            self.get(path)
            samples.append(1000 * (time.perf_counter() - began))
        return samples


def run(stack: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows; the stack given is the one with the many accounts."""
    with ExitStack() as held:
        folder = held.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-few-"))
        small = held.enter_context(Stack(Path(folder) / "stack", environ=ENVIRON))
        few, many = (
            held.enter_context(console_of(each, count))
            for each, count in ((small, FEW), (stack, MANY))
        )
        yield from _bytes(many)
        yield from _queries(many)
        yield from _times(few, many)


@contextmanager
def console_of(stack: Stack, count: int) -> Iterator[Side]:
    """Fill a system with accounts, each with a call of this month, and log in to its console."""
    say(f"console: filling in {count:,} accounts")
    fill(stack, count)
    with psycopg.connect(stack.database_admin_url) as connection:
        connection.execute(_PERSON, [passwords.hashed(PASSWORD)])
        connection.execute(_CALLS.encode())
        row = connection.execute(
            "SELECT id, main_number FROM provisioner.sip_accounts ORDER BY id OFFSET %s LIMIT 1",
            [count // 2],
        ).fetchone()
    assert row is not None  # noqa: S101 - it has just been filled
    analyze(stack.database_admin_url)
    app = create_app(load_settings(stack.environ))
    values = {"account_id": str(row[0]), "number": row[1], "name": "cloudfire"}
    try:
        yield Side(app, _logged_in(app), values)
    finally:
        app.extensions["provisioner"].database.close()


def _logged_in(app: Flask) -> FlaskClient:
    browser = app.test_client()
    page = browser.get("/console/login", base_url=HOST).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token is not None  # noqa: S101 - each form has one
    sent = {"csrf_token": token[1], "email": "bench@example.org", "password": PASSWORD}
    answer = browser.post("/console/login", data=sent, base_url=HOST, headers={"Origin": HOST})
    if answer.status_code != 302:
        raise RuntimeError(f"login: {answer.status_code}")
    return browser


def _readable(app: Flask) -> set[str]:
    """Return the rules of pages that are read; streams, files and data are none."""
    return {
        str(rule)
        for rule in app.url_map.iter_rules()
        if str(rule).startswith("/console/")
        and "GET" in (rule.methods or ())
        and not getattr(app.view_functions[rule.endpoint], "streams", False)
        and not _OTHERS.search(str(rule))
    }


def _weight(answer: Any) -> float:
    """Return the kB of an answer's body and header lines."""
    lines = sum(len(name) + len(value) + 4 for name, value in answer.headers.items())
    return (len(answer.data) + lines) / 1000


def _bytes(side: Side) -> Iterator[Row]:
    pages = {rule: side.get(path) for rule, path in side.pages().items()}
    loaded = re.findall(r'(?:href|src)="(/console/static/[^"]+)"', pages["/console/accounts"].text)
    first = _weight(pages["/console/accounts"]) + sum(_weight(side.get(one)) for one in loaded)
    rule = aim(f"≤ {FIRST_MAX:g}", first <= FIRST_MAX)
    yield Row("console, first load (kB)", Figure.of([first]), aim=rule)
    weights = {rule: _weight(answer) for rule, answer in pages.items()}
    heaviest = max(weights, key=lambda rule: weights[rule])
    yield Row(
        f"console, a page, the median of {len(weights)} (kB)", Figure.of(list(weights.values()))
    )
    rule = aim(f"≤ {NEXT_MAX:g}", weights[heaviest] <= NEXT_MAX)
    yield Row(f"console, the heaviest: {heaviest} (kB)", Figure.of([weights[heaviest]]), aim=rule)


def _queries(side: Side) -> Iterator[Row]:
    for rule, path in side.pages().items():
        with patch.object(
            psycopg.Cursor, "execute", autospec=True, side_effect=psycopg.Cursor.execute
        ) as sent:
            side.get(path)
        yield Row(f"console, queries of {rule}", Figure.of([sent.call_count]))


def _times(few: Side, many: Side) -> Iterator[Row]:
    for _ in rounds("console", ROUNDS):
        for side in (few, many):
            for rule, path in side.pages().items():
                side.taken.setdefault(rule, []).append(side.time(path))
    for rule, samples in many.taken.items():
        theirs = few.taken[rule]
        figures = [Figure.percentile(each, 0.99) for each in (samples, theirs)]
        ratio = ratios(*([percentile(one, 0.99) for one in each] for each in (samples, theirs)))
        met = figures[0].value <= P99_MAX and ratio.value <= RATIO_MAX
        yield Row(
            f"console, {MANY:,} accounts, {rule}, p99 (ms)",
            figures[0],
            f"{FEW:,} accounts: {figures[1]}",
            ratio,
            aim(f"≤ {P99_MAX:g}, ≤ {RATIO_MAX}", met),
        )
