"""Calls a second with everything on, against the same files with less, and the stock configuration.

Accounts call accounts: a SIPp for the callers, and one that is everybody's registered device, the
same for all sides. "Off" is our configuration with route[PLACE] in benchmarks/calls.py instead of
its own: no channel limit, no caller ID, no call records, hence no dialogs. All sides use the same
PostgreSQL cluster; stock asks it for the caller's password at each call, ours remembers the callers
after their first one.
"""

import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.load import CallsFailed, Load, Result, scenario, start_sipp, user_row
from benchmarks.packaged import STOCK_CONFIG, answers_options, create_database, stock_kamailio
from benchmarks.population import populate
from benchmarks.processor import used_by
from benchmarks.progress import rounds, say
from benchmarks.table import Figure, Row, aim, ratios
from provisioner.credentials import Secret
from provisioner.stack.ports import free_port, tcp, udp_and_tcp
from provisioner.stack.processes import Process
from provisioner.stack.registrar import CONFIG, kamailio, listeners
from provisioner.stack.stack import Stack
from provisioner.stack.waiting import wait_until

CALLERS = 200  # accounts; as many are called
CHANNELS = 100  # of each account, more than are ever used at once
CHILDREN = 8  # of each Kamailio: more than processors, for many wait for the database
SHARED_MEMORY = 512  # MB of each Kamailio
PRIVATE_MEMORY = 32  # MB of each of their processes; ours has it from provisioner.stack
ROUNDS = 5
CALLS = 1_500  # a round and side
DEVICES = "127.0.20.3"  # where everybody is registered
LEGS = 2  # of each call: the caller's and the called account's
END_TIMEOUT = 10.0  # seconds until the last calls have become records
AIM = 0.9  # of the stock configuration's rate

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
{CALLERS} accounts call {CALLERS} others: INVITE, 407, INVITE with MD5 digest, 200, ACK, BYE, 200; \
{CHILDREN} children of each Kamailio.
On: channel limit, caller ID and two call records a call, which were counted after each round.
Off: the same files but for route[PLACE] and what it is for; it authenticates, and looks up the \
device. Ours remembers the callers, on and off.
Stock is Debian's {STOCK_CONFIG} with WITH_AUTH and WITH_USRLOCDB; its accounting writes to the \
log."""

# What the database would decide for a call to a device, without it.
PLACE = """\
route[PLACE] {
	$xavp(route=>status) = 0;
	$xavp(route[0]=>target) = "devices";
	$xavp(route[0]=>username) = $var(dialled);
	$xavp(route[0]=>number) = $var(called);
	$xavp(route[0]=>ring_seconds) = 0;
	$xavp(route[0]=>history) = "";
}
"""
# Patterns in calls.cfg, each found once, and what stands there instead.
OFF = {
    r"^route\[PLACE\] \{\n.*?^\}\n": PLACE,
    r"^\tif \(!dlg_manage\(\)\) \{\n.*?^\t\}\n": "",
    r'^\tdlg_set_property\("ka-src"\);\n': "",
    r'^\tdlg_set_property\("ka-dst"\);\n': "",
    # The other half of route[IDENTITY]: the caller's device behind its NAT.
    r"^\troute\(IDENTITY\);\n": "\tif (is_first_hop()) route(NATMANAGE);\n",
}


@dataclass
class Side:
    """One Kamailio under load, and its figures, a value for each round.

    `check` is told how many calls a round had, and raises where they left other traces than due.
    """

    kamailio: Process
    postgres: Process
    address: str
    port: int
    check: Callable[[int], None] = lambda _: None
    rates: list[float] = field(default_factory=list)
    kamailio_cost: list[float] = field(default_factory=list)  # processor microseconds a call
    postgres_cost: list[float] = field(default_factory=list)
    retransmissions: int = 0

    def run(self, load: Load, calls: int) -> Result:
        """Have some load.

        Raises:
            CallsFailed: with the end of Kamailio's log.
        """
        try:
            return load.run(self.address, self.port, calls)
        except CallsFailed as error:
            raise CallsFailed(f"{error}{self.kamailio.log_tail()}") from error

    def measure(self, load: Load) -> None:
        """Have a round of calls, and note its figures."""
        before = used_by(self.kamailio.pid), used_by(self.postgres.pid)
        result = self.run(load, CALLS)
        self.check(result.calls)
        after = used_by(self.kamailio.pid), used_by(self.postgres.pid)
        self.rates.append(result.rate)
        self.kamailio_cost.append((after[0] - before[0]) / result.calls * 1_000_000)
        self.postgres_cost.append((after[1] - before[1]) / result.calls * 1_000_000)
        self.retransmissions += result.retransmissions
        say(f"  {self.kamailio.name}: {result.rate:,.0f}/s")


class Records:
    """What calls leave in the database: a record for each leg, and no channel."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.database_admin_url
        self._before = 0

    def grew(self, calls: int) -> None:
        """Wait until there are that many calls more, answered, and no channel is in use.

        Raises:
            CallsFailed: it does not come to that.
        """
        expected = (self._before + calls * LEGS, 0)
        if not wait_until(lambda: self._count() == expected, END_TIMEOUT):
            raise CallsFailed(f"records and channels are {self._count()}, not {expected}.")
        self._before = expected[0]

    def _count(self) -> tuple[int, int]:
        query = """
            SELECT (SELECT count(*) FROM provisioner.call_records
                     WHERE answered_at IS NOT NULL AND status = 200),
                   (SELECT count(*) FROM kamailio.calls)
        """
        with psycopg.connect(self._url) as connection:
            row = connection.execute(query).fetchone()
        return (-1, -1) if row is None else (int(row[0]), int(row[1]))


def run(stack: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows."""
    users = populate(stack, 2 * CALLERS, CHANNELS)
    with psycopg.connect(stack.database_admin_url) as connection:
        connection.execute("UPDATE provisioner.projects SET calls_per_second = 1000")
    database = create_database(stack.database_admin_url)
    database.fill(users)
    address = stack.sip_address
    with (
        tempfile.TemporaryDirectory(prefix="sipp-") as folder,
        stock_kamailio(database, users[0].realm, address, STOCK_OPTIONS) as stock,
        _off(stack) as (off, off_port),
    ):
        sides = (
            Side(stack.kamailio, stack.postgres, address, stack.sip_port, Records(stack).grew),
            Side(off, stack.postgres, address, off_port),
            Side(stock.process, stack.postgres, address, stock.port),
        )
        _measure(sides, users, Path(folder))
    yield from _rows(*sides)


def _measure(sides: Sequence[Side], users: Sequence[Secret], folder: Path) -> None:
    callers, called = users[:CALLERS], users[CALLERS:]
    port = free_port(udp_and_tcp([DEVICES]))
    rows = [user_row(user) for user in called]
    devices = Load(folder, "register", rows, sources=[DEVICES], source_port=port)
    for side in sides:
        side.run(devices, CALLERS)
    pairs = [(*user_row(one), other.username) for one, other in zip(callers, called, strict=True)]
    load = Load(folder, "calls", pairs)
    with _answering(folder, port):
        for _ in rounds("calls", ROUNDS):
            for side in sides:
                side.measure(load)
    counts = ", ".join(f"{side.retransmissions} {side.kamailio.name}" for side in sides)
    say(f"  retransmissions: {counts}")


@contextmanager
def _answering(folder: Path, port: int) -> Iterator[None]:
    """Have everybody's device take calls."""
    argv = ["sipp", *scenario("answer"), "-i", DEVICES, "-bind_local", "-p", str(port)]
    process = start_sipp([*argv, "-deadcall_wait", "0", "-nostdin"], folder)
    try:
        if not wait_until(lambda: bool(udp_and_tcp([DEVICES])[0].fault(port)), END_TIMEOUT):
            raise CallsFailed(f"SIPp does not listen on {DEVICES}.")
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@contextmanager
def _off(stack: Stack) -> Iterator[tuple[Process, int]]:
    """Run our configuration without limit, caller ID and records; give it and its SIP port."""
    with tempfile.TemporaryDirectory(prefix="off-kamailio-") as name:
        folder = Path(name)
        shutil.copytree(CONFIG.parent, folder / "config")
        file = folder / "config" / "calls.cfg"
        file.write_text(_without_database(file.read_text(encoding="utf-8")), encoding="utf-8")
        port = free_port(udp_and_tcp([stack.sip_address]))
        rpc_port = free_port(tcp("127.0.0.1"))
        environ = stack.kamailio_environ | {
            "KAMAILIO_NODE": "off",
            "KAMAILIO_SERVER_ID": "2",
            "KAMAILIO_RPC_PORT": str(rpc_port),
        }
        config = folder / "config" / CONFIG.name
        process = Process(
            "off",
            folder / "kamailio.log",
            lambda: kamailio(
                folder / "run",
                listeners([stack.sip_address], port, rpc_port),
                environ,
                config=config,
            ),
            lambda: answers_options(stack.sip_address, port),
        )
        try:
            process.start()
            process.wait_ready()
            yield process, port
        finally:
            process.stop()


def _without_database(text: str) -> str:
    """Return calls.cfg with what is off replaced.

    Raises:
        CallsFailed: it has changed so that this no longer fits.
    """
    for pattern, other in OFF.items():
        found = re.findall(pattern, text, re.MULTILINE | re.DOTALL)
        if len(found) != 1:
            raise CallsFailed(f"calls.cfg has {len(found)} of {pattern!r}, which should be one.")
        text = text.replace(found[0], other)
    return text


def _rows(on: Side, off: Side, stock: Side) -> Iterator[Row]:
    ratio = ratios(on.rates, stock.rates)
    goal = aim(f"ratio ≥ {AIM:g}", ratio.value >= AIM)
    for other, name, rule in ((off, "all of it off", ""), (stock, "stock `kamailio.cfg`", goal)):
        yield _row("calls (1/s)", on, other, name, lambda side: side.rates, rule)
        what = "processor time a call, {} (µs)"
        yield _row(what.format("Kamailio"), on, other, name, lambda side: side.kamailio_cost)
        yield _row(what.format("PostgreSQL"), on, other, name, lambda side: side.postgres_cost)


def _row(
    what: str,
    ours: Side,
    other: Side,
    name: str,
    pick: Callable[[Side], list[float]],
    goal: str = "",
) -> Row:
    against = f"{name}: {Figure.of(pick(other))}"
    return Row(what, Figure.of(pick(ours)), against, ratios(pick(ours), pick(other)), goal)
