"""REGISTER/s through our configuration against Kamailio's stock configuration.

Both are asked by the same SIPp processes, for the same users with the same passwords, on the same
PostgreSQL cluster, with the same number of children and the same memory. Everybody registers once
before anything is measured, so that what is measured are refreshes. After a round the bindings
are written to the database, so that no side leaves work to the other's round.
"""

import http
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.load import OPEN_CALLS, SOURCES, CallsFailed, Load, Result, user_row
from benchmarks.packaged import STOCK_CONFIG, create_database, stock_kamailio
from benchmarks.population import populate
from benchmarks.processor import used_by
from benchmarks.progress import rounds, say
from benchmarks.table import Figure, Row, aim, ratios
from provisioner.stack.processes import Process
from provisioner.stack.stack import Stack

USERS = 10_000
CHILDREN = 4  # of each Kamailio; suits two processors
SHARED_MEMORY = 512  # MB of each Kamailio
PRIVATE_MEMORY = 32  # MB of each of their processes; ours has it from provisioner.stack
ROUNDS = 10
CALLS = 20_000  # a round and side
FLUSH_TIMEOUT = 60.0  # seconds
AIM = 0.9

ENVIRON = {
    "KAMAILIO_CHILDREN": str(CHILDREN),
    "KAMAILIO_SHARED_MEMORY": str(SHARED_MEMORY),
    # The limit is looked at, and not reached.
    "KAMAILIO_REQUESTS_PER_SECOND": "1000000",
}
STOCK_OPTIONS = [
    *("-n", str(CHILDREN), "-N", str(CHILDREN)),
    *("-m", str(SHARED_MEMORY), "-M", str(PRIVATE_MEMORY)),
]
NOTE = f"""\
{USERS:,} users; REGISTER, 401, REGISTER with MD5 digest, 200; {len(SOURCES)} SIPp processes with \
{OPEN_CALLS} open calls each.
Stock is Debian's {STOCK_CONFIG}, not one line of it changed, with {" ".join(STOCK_OPTIONS)}.
In the kamailio-local.cfg that it imports: WITH_AUTH, WITH_USRLOCDB, DBURL, db_postgres, an alias \
for the realm.
It reads clear-text passwords and offers no qop; ours reads HA1, offers qop, and takes each \
request once. Ours writes bindings every 10 s, stock every 60 s."""


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
    rates: list[float] = field(default_factory=list)
    kamailio_cost: list[float] = field(default_factory=list)  # processor microseconds a REGISTER
    postgres_cost: list[float] = field(default_factory=list)
    retransmissions: int = 0

    def run(self, load: Load, calls: int) -> Result:
        """Have some load, and the bindings that it made written to the database.

        Raises:
            CallsFailed: with the end of Kamailio's log.
        """
        try:
            result = load.run(self.address, self.port, calls)
        except CallsFailed as error:
            raise CallsFailed(f"{error}{self.kamailio.log_tail()}") from error
        self.flush()
        return result

    def measure(self, load: Load) -> None:
        """Have a round of load, and note its figures."""
        before = used_by(self.kamailio.pid), used_by(self.postgres.pid)
        result = self.run(load, CALLS)
        after = used_by(self.kamailio.pid), used_by(self.postgres.pid)
        self.rates.append(result.rate)
        self.kamailio_cost.append((after[0] - before[0]) / result.calls * 1_000_000)
        self.postgres_cost.append((after[1] - before[1]) / result.calls * 1_000_000)
        self.retransmissions += result.retransmissions
        say(f"  {self.kamailio.name}: {result.rate:,.0f}/s")


def run(stack: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows."""
    users = populate(stack, USERS)
    database = create_database(stack.database_admin_url)
    database.fill(users)
    address = stack.sip_address
    with (
        tempfile.TemporaryDirectory(prefix="sipp-") as folder,
        stock_kamailio(database, users[0].realm, address, STOCK_OPTIONS) as stock,
    ):
        load = Load(Path(folder), "register", [user_row(user) for user in users])
        flush = partial(_flush, stack.rpc_url, stack.rpc_token)
        ours = Side(stack.kamailio, stack.postgres, address, stack.sip_port, flush)
        theirs = Side(stock.process, stack.postgres, address, stock.port, stock.flush)
        for side in (ours, theirs):
            side.run(load, USERS)
        for _ in rounds("register", ROUNDS):
            ours.measure(load)
            theirs.measure(load)
    say(f"  retransmissions: {ours.retransmissions} ours, {theirs.retransmissions} theirs")
    yield from _rows(ours, theirs)


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


def _rows(ours: Side, theirs: Side) -> Iterator[Row]:
    ratio = ratios(ours.rates, theirs.rates)
    goal = aim(f"ratio ≥ {AIM:g}", ratio.value >= AIM)
    yield _row("REGISTER (1/s)", ours, theirs, lambda side: side.rates, goal)
    name = "processor time a REGISTER, {} (µs)"
    yield _row(name.format("Kamailio"), ours, theirs, lambda side: side.kamailio_cost)
    yield _row(name.format("PostgreSQL"), ours, theirs, lambda side: side.postgres_cost)


def _row(
    what: str, ours: Side, theirs: Side, pick: Callable[[Side], list[float]], goal: str = ""
) -> Row:
    against = f"stock kamailio.cfg: {Figure.of(pick(theirs))}"
    return Row(what, Figure.of(pick(ours)), against, ratios(pick(ours), pick(theirs)), goal)
