"""A change of an allowlist, until a node's memory has it, against Kamailio's own reload by hand.

By hand is one INSERT into `address` and its commit, then `permissions.addressReload`. In force is
what the node itself lists. Kamailio takes a reload a second at the most, so the ways take turns.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg

from benchmarks.population import FEW, MANY
from benchmarks.portal import Portal
from benchmarks.progress import rounds
from benchmarks.table import Figure, Row, aim, ratios
from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack

ROUNDS = 10
GROUP = 99  # of by hand: none of ours
NETWORKS = 100  # that are there
PAUSE = 1.2  # seconds between two reloads of a node
DEADLINE = 10.0  # seconds until a change must be in force
TIMES = 1.2  # times the reload by hand that it may take

NOTE = f"""\
{NETWORKS} networks are there, and one is added; from sending the request to the first \
permissions.subnetDump that has it, on one node. By hand among {MANY:,} accounts."""


@dataclass
class Side:
    """A system, and how long changes of its allowlist took (milliseconds)."""

    stack: Stack
    node: KamailioNode
    samples: list[float] = field(default_factory=list)

    def change(self, number: int) -> None:
        """Add a network over HTTP."""
        with Portal(self.stack) as portal:
            wanted = [*_cidrs(), f"10.255.{number}.0/24"]
            began = time.perf_counter()
            portal.send("PUT", "/networks/cloudfire", {"cidrs": wanted})
            self.samples.append(_milliseconds(began, self._loaded(1, wanted[-1])))
            portal.receive(200)

    def by_hand(self, connection: psycopg.Connection, number: int) -> float:
        """Add one by SQL and JSON-RPC."""
        began = time.perf_counter()
        insert = "INSERT INTO kamailio.address (grp, ip_addr, mask) VALUES (%s, %s, 24)"
        connection.execute(insert, (GROUP, f"10.254.{number}.0"))
        connection.commit()
        self.node.reload_allowlists()
        return _milliseconds(began, self._loaded(GROUP, f"10.254.{number}.0/24"))

    def _loaded(self, group: int, cidr: str) -> Callable[[], bool]:
        return lambda: (group, cidr) in self.node.allowlist()


def run(small: Stack, large: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows."""
    by_hand: list[float] = []
    few, many = (
        Side(stack, KamailioNode(stack.rpc_url, stack.rpc_token)) for stack in (small, large)
    )
    for side in (few, many):
        with Portal(side.stack) as portal:
            portal.send("PUT", "/networks/cloudfire", {"cidrs": _cidrs()}, prefer="wait=30")
            portal.receive(200)
    with psycopg.connect(large.database_url) as connection:
        for number in rounds("allowlist", ROUNDS):
            for side in (few, many):
                time.sleep(PAUSE)
                side.change(number)
            time.sleep(PAUSE)
            by_hand.append(many.by_hand(connection, number))
    for side in (few, many):
        side.node.close()
    what = f"allowlist changed → in force, among {MANY:,} accounts (ms)"
    ours = Figure.of(many.samples)
    for name, samples in (
        ("INSERT + addressReload by hand", by_hand),
        (f"among {FEW:,}", few.samples),
    ):
        ratio = ratios(many.samples, samples)
        rule = aim(f"≤ {TIMES:g}", ratio.value <= TIMES)
        yield Row(what, ours, f"{name}: {Figure.of(samples)}", ratio, rule)


def _cidrs() -> list[str]:
    return [f"10.{i // 250}.{i % 250}.0/24" for i in range(NETWORKS)]


def _milliseconds(began: float, loaded: Callable[[], bool]) -> float:
    while not loaded():
        if time.perf_counter() - began > DEADLINE:
            raise RuntimeError(f"An allowlist was not loaded within {DEADLINE:g} s.")
    return 1000 * (time.perf_counter() - began)
