"""REGISTER/s through our configuration, against three others: Kamailio's stock configuration, a
registrar that does nothing but check passwords that it has in memory, and one that checks nothing.

All are asked by the same SIPp processes, for the same users with the same passwords, on the same
PostgreSQL cluster, with the same number of children and the same memory. Everybody registers twice
before anything is measured, so that what is measured are refreshes of what a node remembers. After
a round the bindings are written to the database, so that no side leaves work to another's round.
"""

import http
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.bare import bare_kamailio, show_hashes
from benchmarks.load import OPEN_CALLS, SOURCES, CallsFailed, Load, Result, user_row
from benchmarks.packaged import (
    STOCK_CONFIG,
    PackagedDatabase,
    create_database,
    stock_kamailio,
)
from benchmarks.population import MANY, fill, give_passwords
from benchmarks.processor import used_by
from benchmarks.progress import rounds, say
from benchmarks.table import Figure, Row, aim, ratios
from provisioner.credentials import Secret
from provisioner.stack.processes import Process
from provisioner.stack.registrar import ALLOCATOR
from provisioner.stack.stack import Stack

USERS = 10_000
CHILDREN = 4  # of each Kamailio; suits two processors
SHARED_MEMORY = 512  # MB of each Kamailio
PRIVATE_MEMORY = 32  # MB of each of their processes; ours has it from provisioner.stack
ROUNDS = 6
CALLS = 20_000  # a round and side
FLUSH_TIMEOUT = 60.0  # seconds
AIM_STOCK, AIM_BARE = 1.8, 0.9
STOCK, BARE, OPEN = "stock kamailio.cfg", "bare cache", "no authentication"

ENVIRON = {
    "SYNC_INTERVAL": "3600",  # no comparison meanwhile
    "KAMAILIO_CHILDREN": str(CHILDREN),
    "KAMAILIO_SHARED_MEMORY": str(SHARED_MEMORY),
    # The limit is looked at, and not reached.
    "KAMAILIO_REQUESTS_PER_SECOND": "1000000",
}
STOCK_OPTIONS = [
    *("-n", str(CHILDREN), "-N", str(CHILDREN)),
    *("-m", str(SHARED_MEMORY), "-M", str(PRIVATE_MEMORY)),
]
BARE_OPTIONS = [*STOCK_OPTIONS, "-x", ALLOCATOR]
NOTE = f"""\
{USERS:,} and {MANY:,} accounts, of which {USERS:,} register: REGISTER, 401, REGISTER with MD5 \
digest, 200; {len(SOURCES)} SIPp processes with {OPEN_CALLS} open calls each.
Stock is Debian's {STOCK_CONFIG}, not one line of it changed, with {" ".join(STOCK_OPTIONS)}.
In the kamailio-local.cfg that it imports: WITH_AUTH, WITH_USRLOCDB, DBURL, db_postgres, an alias \
for the realm.
It reads clear-text passwords and offers no qop; ours reads HA1, offers qop, and takes each \
request once. Ours writes bindings every 10 s, stock every 60 s.
The bare cache is benchmarks/bare.cfg: hashes in memory from its start, qop, one-time nonces and \
transactions as ours, and nothing else: no limits, no bans, no checks of messages, no fence.
Without authentication is the same with one request instead of two."""


@dataclass
class Side:
    """One Kamailio under load, and its figures, a value for each round.

    `flush` writes its bindings to the database.
    """

    kamailio: Process
    postgres: Process
    address: str
    port: int
    flush: Callable[[], None]
    load: Load
    rates: list[float] = field(default_factory=list)
    kamailio_cost: list[float] = field(default_factory=list)  # processor microseconds a REGISTER
    postgres_cost: list[float] = field(default_factory=list)
    retransmissions: int = 0

    def run(self, calls: int) -> Result:
        """Have some load, and the bindings that it made written to the database.

        Raises:
            CallsFailed: with the end of Kamailio's log.
        """
        try:
            result = self.load.run(self.address, self.port, calls)
        except CallsFailed as error:
            raise CallsFailed(f"{error}{self.kamailio.log_tail()}") from error
        self.flush()
        return result

    def measure(self) -> None:
        """Have a round of load, and note its figures."""
        before = used_by(self.kamailio.pid), used_by(self.postgres.pid)
        result = self.run(CALLS)
        after = used_by(self.kamailio.pid), used_by(self.postgres.pid)
        self.rates.append(result.rate)
        self.kamailio_cost.append((after[0] - before[0]) / result.calls * 1_000_000)
        self.postgres_cost.append((after[1] - before[1]) / result.calls * 1_000_000)
        self.retransmissions += result.retransmissions
        say(f"  {self.kamailio.name}: {result.rate:,.0f}/s")


def run(stack: Stack, accounts: int = USERS) -> Iterator[Row]:
    """Measure with that many accounts, of which USERS register; give the table's rows."""
    fill(stack, accounts)
    users = give_passwords(stack, USERS)
    database = create_database(stack.database_admin_url)
    database.fill(users, others=accounts - USERS)
    show_hashes(database)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="sipp-")))
        sides = _sides(stack, database, users, folder, running)
        for side in 2 * sides:
            side.run(USERS)
        for _ in rounds("register", ROUNDS):
            for side in sides:
                side.measure()
    say(f"  retransmissions: {', '.join(str(side.retransmissions) for side in sides)}")
    yield from _rows(f"{accounts:,} accounts", *sides)


def _sides(
    stack: Stack,
    database: PackagedDatabase,
    users: Sequence[Secret],
    folder: Path,
    running: ExitStack,
) -> list[Side]:
    """Start the others, and return ours, stock, the bare cache, and the one without passwords."""
    address, realm = stack.sip_address, users[0].realm
    load = Load(folder, "register", [user_row(user) for user in users])
    names = Load(folder, "open", [user_row(user)[:2] for user in users])
    stock = running.enter_context(stock_kamailio(database, realm, address, STOCK_OPTIONS))
    bare, everybody = (
        running.enter_context(
            bare_kamailio(database, realm, address, BARE_OPTIONS, everybody=everybody)
        )
        for everybody in (False, True)
    )
    flush = partial(_flush, stack.rpc_url, stack.rpc_root_token)
    return [
        Side(stack.kamailio, stack.postgres, address, stack.sip_port, flush, load),
        Side(stock.process, stack.postgres, address, stock.port, stock.flush, load),
        Side(bare.process, stack.postgres, address, bare.port, bare.flush, load),
        Side(everybody.process, stack.postgres, address, everybody.port, everybody.flush, names),
    ]


def run_many(stack: Stack) -> Iterator[Row]:
    """Do the same with a million accounts."""
    return run(stack, MANY)


def _flush(rpc_url: str, token: str) -> None:
    """Have our Kamailio write its bindings to the database now, and wait until it has."""
    parts = urlsplit(rpc_url)
    connection = HTTPConnection(parts.netloc, timeout=FLUSH_TIMEOUT)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ul.flush"})
    connection.request("POST", parts.path, body, {"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(f"ul.flush was answered with {answer.status}.")


def _rows(of: str, ours: Side, stock: Side, bare: Side, everybody: Side) -> Iterator[Row]:
    what = f"REGISTER (1/s), {of}"
    for other, name, least in ((stock, STOCK, AIM_STOCK), (bare, BARE, AIM_BARE)):
        ratio = ratios(ours.rates, other.rates)
        goal = aim(f"ratio ≥ {least:g}", ratio.value >= least)
        yield _row(what, ours, other, name, lambda side: side.rates, goal)
    yield _row(what, ours, everybody, OPEN, lambda side: side.rates)
    yield _row(f"{what}, bare cache", bare, everybody, OPEN, lambda side: side.rates)
    what = f"processor time a REGISTER, {{}} (µs), {of}"
    for other, name in ((stock, STOCK), (bare, BARE)):
        yield _row(what.format("Kamailio"), ours, other, name, lambda side: side.kamailio_cost)
    yield _row(what.format("PostgreSQL"), ours, stock, STOCK, lambda side: side.postgres_cost)


def _row(
    what: str,
    ours: Side,
    theirs: Side,
    name: str,
    pick: Callable[[Side], list[float]],
    goal: str = "",
) -> Row:
    against = f"{name}: {Figure.of(pick(theirs))}"
    return Row(what, Figure.of(pick(ours)), against, ratios(pick(ours), pick(theirs)), goal)
