"""Creating accounts: over HTTP, by `kamctl add`, and by a bare INSERT of the same rows.

One after another on one connection each. Numbers are created beforehand. `kamctl` writes one row a
user into Kamailio's own tables, with a process for each, as an operator's script would.
"""

import hashlib
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

import psycopg

from benchmarks.packaged import Kamctl, create_database
from benchmarks.population import numbers, realm_of
from benchmarks.portal import Portal
from benchmarks.progress import rounds
from benchmarks.table import Figure, Row, ratios
from provisioner.stack.stack import Stack

ROUNDS = 10
BATCH = 150  # accounts a round over HTTP, and as many by INSERT
KAMCTL_BATCH = 4  # about 11 a second

NOTE = f"""\
One after another on one kept connection; {BATCH} accounts a round, {KAMCTL_BATCH} by kamctl.
The bare INSERT writes account, number link, both HA1s and subscriber, then commits; it checks \
nothing and reads nothing."""

INSERT_ACCOUNT: LiteralString = """
    INSERT INTO provisioner.sip_accounts
           (project_id, name, main_number, voice_channels, tariff, cloudfire_only)
    SELECT min(id), %s, %s, 2, 'pay_per_use', false FROM provisioner.projects RETURNING id
"""
TAKE_NUMBER: LiteralString = "UPDATE provisioner.numbers SET account_id = %s WHERE number = %s"
INSERT_CREDENTIALS: LiteralString = """
    INSERT INTO provisioner.credentials (account_id, username, realm, ha1, ha1_sha256)
    VALUES (%s, %s, %s, %s, %s)
"""
INSERT_SUBSCRIBER: LiteralString = """
    INSERT INTO kamailio.subscriber
           (account_id, username, domain, ha1, ha1_sha256, registration_allowed, channels)
    VALUES (%s, %s, %s, %s, %s, false, 2)
"""


@dataclass
class Rates:
    """Accounts a second, a value for each round."""

    http: list[float] = field(default_factory=list)
    insert: list[float] = field(default_factory=list)
    kamctl: list[float] = field(default_factory=list)


def run(stack: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows."""
    realm = realm_of(stack)
    fresh = numbers(0, ROUNDS * (2 * BATCH + KAMCTL_BATCH))
    rates = Rates()
    with (
        tempfile.TemporaryDirectory(prefix="kamctl-") as home,
        psycopg.connect(stack.database_url) as connection,
    ):
        kamctl = Kamctl(create_database(stack.database_admin_url), realm, Path(home))
        for _ in rounds("create", ROUNDS):
            ours, bare = _take(fresh, BATCH), _take(fresh, BATCH)
            with Portal(stack) as portal:
                _add_numbers(portal, [*ours, *bare])
                rates.http.append(_rate(ours, lambda number: _over_http(portal, number)))
            rates.insert.append(_rate(bare, lambda number: _insert(connection, realm, number)))
            theirs = _take(fresh, KAMCTL_BATCH)
            rates.kamctl.append(_rate(theirs, lambda number: kamctl.add(number[1:], _password())))
    yield _row("kamctl add", rates.http, rates.kamctl)
    yield _row("bare INSERT + commit", rates.http, rates.insert)


def _row(name: str, ours: Sequence[float], theirs: Sequence[float]) -> Row:
    against = f"{name}: {Figure.of(theirs)}"
    return Row("create accounts over HTTP (1/s)", Figure.of(ours), against, ratios(ours, theirs))


def _rate(batch: Sequence[str], create: Callable[[str], None]) -> float:
    began = time.perf_counter()
    for number in batch:
        create(number)
    return len(batch) / (time.perf_counter() - began)


def _take(fresh: list[str], count: int) -> list[str]:
    taken, fresh[:count] = fresh[:count], []
    return taken


def _add_numbers(portal: Portal, wanted: Sequence[str]) -> None:
    for number in wanted:
        portal.post("/numbers", {"number": number, "state": "active"}, 201)


def _over_http(portal: Portal, number: str) -> None:
    body = {"name": number, "main_number": number, "voice_channels": 2}
    portal.post("/sip-accounts", body, 201)


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
    connection.commit()


def _password() -> str:
    return secrets.token_hex(16)
