"""Disabling 10,000 accounts at once, until their bindings are gone, against as many bare RPCs.

At once is one transaction that leaves the rows which 10,000 changes leave: states, Kamailio's rows,
pending work. By hand is one `ul.rm` after the other on a kept connection, and no database.
"""

import time
from collections.abc import Iterator, Sequence
from typing import LiteralString

import psycopg

from benchmarks.population import realm_of, some_accounts
from benchmarks.progress import rounds
from benchmarks.table import Figure, Row, aim, ratios
from provisioner.kamailio import TABLE, KamailioNode
from provisioner.registrations import aor_of
from provisioner.stack.stack import Stack

COUNT = 10_000
ROUNDS = 3
TIMES = 1.5  # times the bare RPCs that it may take
PAUSE = 0.005  # seconds between two looks
PATIENCE = 120.0  # seconds

NOTE = f"""\
{COUNT:,} accounts with a binding each, on one node: from the COMMIT that disables them to when \
each is confirmed; then there are no bindings. The bare RPCs are ul.rm."""

DISABLE: tuple[LiteralString, ...] = (
    """
    UPDATE provisioner.sip_accounts
       SET state = 'disabled', generation = nextval('provisioner.generation'), changed_at = now(),
           converged_at = now()
     WHERE id = ANY (%(ids)s)
    """,
    "UPDATE kamailio.subscriber SET registration_allowed = false WHERE account_id = ANY (%(ids)s)",
    """
    INSERT INTO provisioner.pending_kicks (node_id, username, generation, drop_all)
    SELECT nodes.id, account.username, account.generation, true
      FROM provisioner.nodes, provisioner.account_status AS account
     WHERE account.id = ANY (%(ids)s)
    """,
)
UNCONFIRMED = "SELECT EXISTS (SELECT FROM provisioner.pending_kicks WHERE confirmed_at IS NULL)"
PENDING = "SELECT EXISTS (SELECT FROM provisioner.pending_kicks)"  # a second look is due


def run(stack: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows."""
    ours: list[float] = []
    bare: list[float] = []
    realm = realm_of(stack)
    node = KamailioNode(stack.rpc_url, stack.rpc_root_token)
    for _ in rounds("disable many at once", ROUNDS):
        accounts = some_accounts(stack, 2 * COUNT)
        mine = dict(list(accounts.items())[:COUNT])
        theirs = [username for username in accounts if username not in mine]
        for usernames in (list(mine), theirs):
            _bind(node, realm, usernames)
        ours.append(_disable(stack, list(mine.values())))
        bare.append(_remove(node, realm, theirs))
        left = sum(aor.partition("@")[0] in accounts for aor in _bound(node))
        if left:
            raise RuntimeError(f"{left} bindings are left.")
    node.close()
    ratio = ratios(ours, bare)
    goal = aim(f"≤ {TIMES:g}", ratio.value <= TIMES)
    against = f"{COUNT:,} bare RPCs: {Figure.of(bare)}"
    yield Row(f"disable {COUNT:,} accounts at once (s)", Figure.of(ours), against, ratio, goal)


def _bind(node: KamailioNode, realm: str, usernames: Sequence[str]) -> None:
    for one in usernames:
        contact = f"sip:{one}@127.0.20.1:5062"
        node.call("ul.add", TABLE, aor_of(one, realm), contact, 3600, 1.0, "", 0, 0, 0)


def _bound(node: KamailioNode) -> Iterator[str]:
    """Ask for what is bound; an AOR without bindings stays for a moment."""
    return (aor for aor in node.aors() if node.bindings(aor))


def _disable(stack: Stack, ids: Sequence[int]) -> float:
    with psycopg.connect(stack.database_url) as connection:
        for statement in DISABLE:
            connection.execute(statement, {"ids": ids})
        began = time.perf_counter()
        connection.commit()
        connection.autocommit = True
        _until_not(connection, UNCONFIRMED)
        took = time.perf_counter() - began
        _until_not(connection, PENDING)
    return took


def _until_not(connection: psycopg.Connection, question: LiteralString) -> None:
    deadline = time.perf_counter() + PATIENCE
    while connection.execute(question).fetchone() != (False,):
        if time.perf_counter() > deadline:
            raise RuntimeError(f"Not all bindings were gone within {PATIENCE:g} s.")
        time.sleep(PAUSE)


def _remove(node: KamailioNode, realm: str, usernames: Sequence[str]) -> float:
    began = time.perf_counter()
    for one in usernames:
        node.drop_bindings(aor_of(one, realm))
    return time.perf_counter() - began
