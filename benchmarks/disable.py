"""From `POST …/disable` to the binding's absence, against doing the same two steps by hand.

By hand is one UPDATE and its commit, then `ul.rm`, both on kept connections: no HTTP request, no
worker, no record that would survive a crash. Its users are rows of the operator's own, which the
worker leaves alone. Absence is what Kamailio itself says, asked over JSON-RPC without pause.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import psycopg

from benchmarks.population import (
    FEW,
    MANY,
    account_ids,
    numbers,
    populate,
    realm_of,
    some_accounts,
)
from benchmarks.portal import Portal
from benchmarks.progress import rounds
from benchmarks.table import Figure, Row, aim, percentile, ratios
from provisioner.kamailio import TABLE, KamailioNode
from provisioner.registrations import aor_of
from provisioner.stack.stack import Stack

ROUNDS = 10
BATCH = 20  # accounts a round and way
DEADLINE = 5.0  # seconds until a binding must be gone
EXPIRES = 3600  # seconds
AIM = 10.0  # ms at p99, on one node
BY_HAND = 4.0  # times by hand that it may take at p99
TOLERANCE = 1.2  # how much slower it may be among many accounts

NOTE = f"""\
{ROUNDS * BATCH} accounts each way, in turns, on one node; from sending the request to the first \
ul.lookup that finds nothing.
By hand is no HTTP request, no worker, and nothing that a crash would not lose."""

INSERT_OWN_ROWS = """
    INSERT INTO kamailio.subscriber (username, domain, ha1)
    SELECT username, %s, md5(username) FROM unnest(%s::text[]) AS own (username)
"""
DISABLE_BY_HAND = """
    UPDATE kamailio.subscriber SET registration_allowed = false
     WHERE username = %s AND domain = %s
"""

Samples = list[list[float]]  # milliseconds, a list for each round


@dataclass
class Times:
    """How long each way took."""

    ours: Samples = field(default_factory=list)
    asked: Samples = field(default_factory=list)
    by_hand: Samples = field(default_factory=list)
    answers: Samples = field(default_factory=list)


class Bench:
    """A stack with accounts to disable, and the connections that both ways keep."""

    def __init__(
        self, stack: Stack, connection: psycopg.Connection, accounts: Mapping[str, int]
    ) -> None:
        self._connection = connection
        self._realm = realm_of(stack)
        self._node = KamailioNode(stack.rpc_url, stack.rpc_root_token)
        self._ids = dict(accounts)
        self.ours = list(accounts)
        self.own_rows = [number[1:] for number in numbers(len(accounts), ROUNDS * BATCH)]
        connection.execute(INSERT_OWN_ROWS, (self._realm, self.own_rows))
        connection.commit()

    def close(self) -> None:
        """Close the connection to Kamailio."""
        self._node.close()

    def bind(self, usernames: Sequence[str]) -> None:
        """Give each a binding.

        Raises:
            RuntimeError: Kamailio does not show it.
        """
        for username in usernames:
            contact = f"sip:{username}@127.0.20.1:5062"
            aor = aor_of(username, self._realm)
            self._node.call("ul.add", TABLE, aor, contact, EXPIRES, 1.0, "", 0, 0, 0)
            if not self._node.bindings(aor):
                raise RuntimeError("There is no binding to lose.")

    def until_gone(self, portal: Portal, username: str) -> float:
        """Disable over HTTP; return the milliseconds until the binding is gone."""
        began = time.perf_counter()
        portal.send("POST", self._disable(username))
        gone = self._gone(username)
        portal.receive(200)
        return (gone - began) * 1000

    def until_answered(self, portal: Portal, username: str) -> float:
        """Disable and wait for convergence; return the milliseconds until the API's answer."""
        began = time.perf_counter()
        portal.send("POST", self._disable(username), prefer=f"wait={DEADLINE:g}")
        portal.receive(200)
        return (time.perf_counter() - began) * 1000

    def by_hand(self, username: str) -> float:
        """Disable by SQL and JSON-RPC; return the milliseconds until the binding is gone."""
        began = time.perf_counter()
        self._connection.execute(DISABLE_BY_HAND, (username, self._realm))
        self._connection.commit()
        self._node.drop_bindings(aor_of(username, self._realm))
        return (self._gone(username) - began) * 1000

    def round_trip(self) -> float:
        """Ask Kamailio for something that costs nothing; return the milliseconds."""
        began = time.perf_counter()
        self._node.incarnation()
        return (time.perf_counter() - began) * 1000

    def _disable(self, username: str) -> str:
        return f"/sip-accounts/{self._ids[username]}/disable"

    def _gone(self, username: str) -> float:
        """Return the time when the binding was seen to be gone."""
        aor = aor_of(username, self._realm)
        deadline = time.perf_counter() + DEADLINE
        while self._node.bindings(aor):
            if time.perf_counter() > deadline:
                raise RuntimeError(f"A binding was not gone within {DEADLINE:g} s.")
        return time.perf_counter()


def run(stack: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows."""
    times = Times()
    accounts = account_ids(stack, populate(stack, 2 * ROUNDS * BATCH))
    with psycopg.connect(stack.database_url) as connection:
        bench = Bench(stack, connection, accounts)
        for number in rounds("disable", ROUNDS):
            _round(bench, stack, number, times)
        bench.close()
    yield from _rows(times)


def compare(small: Stack, large: Stack) -> Iterator[Row]:
    """Measure among few and among many accounts, and give the table's rows."""
    taken: dict[Stack, Samples] = {small: [], large: []}
    with ExitStack() as held:
        benches = {}
        for stack in taken:
            connection = held.enter_context(psycopg.connect(stack.database_url))
            benches[stack] = Bench(stack, connection, some_accounts(stack, ROUNDS * BATCH))
        for number in rounds("disable among few and many", ROUNDS):
            for stack, bench in benches.items():
                usernames = bench.ours[number * BATCH :][:BATCH]
                bench.bind(usernames)
                with Portal(stack) as portal:
                    taken[stack].append([bench.until_gone(portal, one) for one in usernames])
        for bench in benches.values():
            bench.close()
    for share in (0.5, 0.99):
        ratio = _ratio(taken[large], taken[small], share)
        yield Row(
            f"disable → binding gone among {MANY:,} accounts, {_name(share)} (ms)",
            Figure.percentile(taken[large], share),
            f"among {FEW:,}: {Figure.percentile(taken[small], share)}",
            ratio,
            aim(f"ratio ≤ {TOLERANCE:g}", ratio.value <= TOLERANCE),
        )


def _round(bench: Bench, stack: Stack, number: int, times: Times) -> None:
    """Take turns account by account, so that all three ways meet the same machine."""
    own = slice(number * BATCH, (number + 1) * BATCH)
    polled = bench.ours[own]
    waited = bench.ours[ROUNDS * BATCH :][own]
    by_hand = bench.own_rows[own]
    bench.bind([*polled, *waited, *by_hand])
    for samples in (times.ours, times.asked, times.by_hand, times.answers):
        samples.append([])
    with Portal(stack) as portal:
        for one, two, three in zip(polled, by_hand, waited, strict=True):
            times.ours[-1].append(bench.until_gone(portal, one))
            times.by_hand[-1].append(bench.by_hand(two))
            times.asked[-1].append(bench.round_trip())
            times.answers[-1].append(bench.until_answered(portal, three))


def _rows(times: Times) -> Iterator[Row]:
    for share in (0.5, 0.99, 1.0):
        ours = Figure.percentile(times.ours, share)
        name = f"disable → binding gone, {_name(share)} (ms)"
        by_hand = _ratio(times.ours, times.by_hand, share)
        rule = f"≤ {AIM:g} ms and ≤ {BY_HAND:g} times"
        met = ours.value <= AIM and by_hand.value <= BY_HAND
        for against, theirs, ratio, goal in (
            ("UPDATE + ul.rm by hand", times.by_hand, by_hand, aim(rule, met)),
            ("one JSON-RPC round trip", times.asked, _ratio(times.ours, times.asked, share), ""),
        ):
            other = f"{against}: {Figure.percentile(theirs, share)}"
            yield Row(name, ours, other, ratio, goal if share == 0.99 else "")
    for share in (0.5, 0.99, 1.0):
        answers = Figure.percentile(times.answers, share)
        yield Row(f"disable with Prefer: wait=5 → answer, {_name(share)} (ms)", answers)


def _ratio(ours: Samples, theirs: Samples, share: float) -> Figure:
    return ratios(*([percentile(own, share) for own in side] for side in (ours, theirs)))


def _name(share: float) -> str:
    return "max" if share == 1 else f"p{share * 100:g}"
