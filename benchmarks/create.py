"""Creating accounts: over HTTP, by `kamctl`, by `kamcli`, and by a bare INSERT of the same rows.

By one client, and by 32 at the same time, each on a kept connection. Numbers are there beforehand.
`kamctl` writes one row a user into Kamailio's own tables, with a process for each, as an operator's
script would.
"""

import hashlib
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg.types.json import Jsonb

from benchmarks.crowd import Timing, work
from benchmarks.packaged import Kamcli, Kamctl, create_database
from benchmarks.population import add_numbers, numbers, realm_of
from benchmarks.portal import Portal
from benchmarks.progress import rounds
from benchmarks.table import Figure, Row, aim, percentile, ratios
from provisioner.stack.stack import Stack

ROUNDS = 5
OF_BARE = 0.5  # of the bare rate, by 32 clients
OF_KAMCTL = 50  # times kamctl's
CROWDS = {1: 150, 32: 480}  # clients at the same time: accounts a round, on either side
OPERATORS_BATCH = 4  # about 11 a second by kamctl

NOTE = f"""\
Each client on one kept connection; accounts a round: {CROWDS[1]} by one client, {CROWDS[32]} by \
32, {OPERATORS_BATCH} by kamctl and kamcli. The clients are threads of one Python process, on both \
sides.
The bare INSERT writes the same rows (account, number link, both HA1s, subscriber, tariff, audit \
event), then commits; it checks nothing and reads nothing."""

INSERT_ACCOUNT: LiteralString = """
    INSERT INTO provisioner.sip_accounts
           (customer_id, project_id, name, main_number, voice_channels, tariff, cloudfire_only)
    SELECT customer_id, id, %s, %s, 2, 'pay_per_use', false
      FROM provisioner.projects ORDER BY id LIMIT 1
    RETURNING id
"""
INSERT_TARIFF: LiteralString = """
    INSERT INTO provisioner.account_tariffs (account_id, tariff, via, actor_name)
    VALUES (%s, 'pay_per_use', 'api', 'Admin')
"""
TAKE_NUMBER: LiteralString = "UPDATE provisioner.numbers SET account_id = %s WHERE number = %s"
INSERT_CREDENTIALS: LiteralString = """
    INSERT INTO provisioner.credentials (account_id, username, realm, ha1, ha1_sha256)
    VALUES (%s, %s, %s, %s, %s)
"""
INSERT_AUDIT_EVENT: LiteralString = """
    INSERT INTO provisioner.audit_events
           (via, actor_id, actor_name, source, request_id, type, subject, subject_id, customer_id,
            project_id, after)
    VALUES ('api', 1, 'Admin', '127.0.0.1', '0123456789abcdef', 'account.created', 'account', %s, 1,
            1, %s)
"""
INSERT_SUBSCRIBER: LiteralString = """
    INSERT INTO kamailio.subscriber
           (account_id, username, domain, ha1, ha1_sha256, registration_allowed, channels)
    VALUES (%s, %s, %s, %s, %s, false, 2)
"""

# What the audit trail tells of an account; as long as ours.
FACTS = {
    "customer_id": 1,
    "project_id": 1,
    "external_id": None,
    "name": "+390000000000",
    "main_number": "+390000000000",
    "voice_channels": 2,
    "tariff": "pay_per_use",
    "cloudfire_only": False,
    "state": "disabled",
}


@dataclass
class Rounds:
    """What each round took, ours and theirs."""

    http: list[Timing] = field(default_factory=list)
    bare: list[Timing] = field(default_factory=list)


def run(stack: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows."""
    fresh = iter(numbers(0, ROUNDS * (2 * sum(CROWDS.values()) + 2 * OPERATORS_BATCH)))
    crowds = {clients: Rounds() for clients in CROWDS}
    kamctl: list[Timing] = []
    kamcli: list[Timing] = []
    with tempfile.TemporaryDirectory(prefix="operators-") as home:
        database, realm = create_database(stack.database_admin_url), realm_of(stack)
        commands: list[tuple[Kamctl | Kamcli, list[Timing]]] = [
            (Kamctl(database, realm, Path(home)), kamctl),
            (Kamcli(database, realm, Path(home)), kamcli),
        ]
        for _ in rounds("create", ROUNDS):
            for clients, batch in CROWDS.items():
                crowds[clients].http.append(_over_http(stack, clients, _take(fresh, batch)))
                crowds[clients].bare.append(_by_insert(stack, clients, _take(fresh, batch)))
            for command, timings in commands:
                add = partial(_add, command)
                timings.append(work([add], _take(fresh, OPERATORS_BATCH)))
    for clients, measured in crowds.items():
        what = f"create over HTTP, {clients} at a time"
        rule = OF_BARE if clients > 1 else 0.0
        yield from _rows(what, measured, rule)
        rates = [timing.rate for timing in measured.http]
        theirs = [timing.rate for timing in kamctl]
        yield _row(f"{what} (1/s)", rates, "kamctl add", theirs, OF_KAMCTL)
        theirs = [timing.rate for timing in kamcli]
        yield _row(f"{what} (1/s)", rates, "kamcli subscriber add", theirs)


def _rows(what: str, measured: Rounds, rule: float) -> Iterator[Row]:
    """Compare the rates, which shall reach `rule`, and the time that one account takes."""
    bare = "bare INSERT + commit"
    rates = [[timing.rate for timing in side] for side in (measured.http, measured.bare)]
    yield _row(f"{what} (1/s)", rates[0], bare, rates[1], rule)
    for share in (0.5, 0.99):
        times = [
            [1000 * percentile(timing.samples, share) for timing in side]
            for side in (measured.http, measured.bare)
        ]
        yield _row(f"{what}, p{share * 100:.0f} (ms)", times[0], bare, times[1])


def _row(
    what: str, ours: Sequence[float], name: str, theirs: Sequence[float], rule: float = 0.0
) -> Row:
    ratio = ratios(ours, theirs)
    goal = aim(f"≥ {rule:g}", ratio.value >= rule) if rule else ""
    return Row(what, Figure.of(ours), f"{name}: {Figure.of(theirs)}", ratio, goal)


def _take(fresh: Iterator[str], count: int) -> list[str]:
    return list(islice(fresh, count))


def _over_http(stack: Stack, clients: int, batch: Sequence[str]) -> Timing:
    add_numbers(stack, batch)
    with ExitStack() as connections:
        portals = [connections.enter_context(Portal(stack)) for _ in range(clients)]
        return work([partial(_create, portal) for portal in portals], batch)


def _create(portal: Portal, number: str) -> None:
    body = {"name": number, "main_number": number, "voice_channels": 2}
    portal.post("/sip-accounts", body, 201)


def _by_insert(stack: Stack, clients: int, batch: Sequence[str]) -> Timing:
    add_numbers(stack, batch)
    realm = realm_of(stack)
    with ExitStack() as connections:
        databases = [
            connections.enter_context(psycopg.connect(stack.database_url)) for _ in range(clients)
        ]
        return work([partial(_insert, database, realm) for database in databases], batch)


def _add(command: Kamctl | Kamcli, number: str) -> None:
    command.add(number[1:], _password())


def _insert(connection: psycopg.Connection, realm: str, number: str) -> None:
    """Write the rows that our transaction writes, and commit: nothing is checked or read."""
    username = number[1:]
    line = f"{username}:{realm}:{_password()}".encode()
    hashes = (
        hashlib.md5(line, usedforsecurity=False).hexdigest(),
        hashlib.sha256(line).hexdigest(),
    )
    row = connection.execute(INSERT_ACCOUNT, (number, number)).fetchone()
    account_id = row[0] if row else None
    connection.execute(TAKE_NUMBER, (account_id, number))
    connection.execute(INSERT_CREDENTIALS, (account_id, username, realm, *hashes))
    connection.execute(INSERT_SUBSCRIBER, (account_id, username, realm, *hashes))
    connection.execute(INSERT_TARIFF, (account_id,))
    connection.execute(INSERT_AUDIT_EVENT, (account_id, Jsonb({"id": account_id, **FACTS})))
    connection.commit()


def _password() -> str:
    return secrets.token_hex(16)
