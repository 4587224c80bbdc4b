"""A flood of REGISTERs is dropped before it costs anything; others do not notice."""

import hashlib
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.errors import RpcFailed
from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.attacks.flood import Flood
from tests.sip.attacks.health import Health
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.clients import Credentials, Wire
from tests.system import System, eventually

RATE = 5000  # messages a second
SOURCE = "127.0.20.66"
# Seconds, and requests a second that an address may send. The long ones have the default; the last
# one has a million names.
SHORT = (3, 50)
FLOODS = [
    SHORT,
    pytest.param(60, 500, marks=pytest.mark.attack),
    pytest.param(200, 500, marks=pytest.mark.attack),
]
P99 = 0.5  # seconds
RETRANSMISSION = 0.5  # seconds (RFC 3261, timer E)
GIVEN_UP = 8.0  # seconds
# A quarter of the default, so that what is kept of each request soon fills it.
ENVIRON = {"KAMAILIO_SHARED_MEMORY": "128"}
UNGUARDED = {"KAMAILIO_REQUESTS_PER_SECOND": "0", "KAMAILIO_GUESSES_PER_MINUTE": "0"}
SLOTS = 65536  # of the largest table

pytestmark = [pytest.mark.native, pytest.mark.timeout(900)]


@dataclass
class Outcome:
    """What the others saw of a flood: seconds that each registration took, how many of them failed,
    and the server's memory at its fullest, as a part of all of it. `passed` were not dropped.
    """

    rate: float
    times: list[float]
    failed: int
    memory: float
    passed: int

    @property
    def p99(self) -> float:
        """The time that 99 of 100 did not exceed."""
        return statistics.quantiles(self.times, n=100, method="inclusive")[98]


def registers(wire: Wire, credentials: Credentials) -> bool:
    """Register as phones do over UDP, who send again what is not answered."""
    request = wire.register_request(credentials)
    deadline = time.monotonic() + GIVEN_UP
    while time.monotonic() < deadline:
        exchange = wire.exchange(request)
        if exchange.status == 200:
            return True
        if exchange.status == 401:
            request = wire.register_request(credentials, challenge=exchange.challenge)
        elif exchange.status != 0:
            return False
    return False


def flooded(node: Node, seconds: float, sources: list[str]) -> Outcome:
    """Flood a node, and register somebody honest again and again meanwhile."""
    system = node.system
    line, place = system.new_line(), system.internet
    times: list[float] = []
    failed = 0
    with (
        Flood(place.registrar, system.realm, sources, RATE, seconds) as flood,
        Wire(place.registrar, place.client, timeout=RETRANSMISSION) as wire,
    ):
        while not flood.is_over:
            began = time.monotonic()
            if not registers(wire, line.credentials):
                failed += 1
            times.append(time.monotonic() - began)
            time.sleep(0.02)  # a pace, not a wait
        rate = flood.rate()
    memory = node.kamailio.call("core.shmmem")
    passed = node.kamailio.call("tm.stats")["4xx"]
    return Outcome(rate, times, failed, memory["max_used"] / memory["total"], passed)


def allowed(seconds: int, limit: int) -> int:
    """How many may pass: twice the limit in two seconds, which may begin before and end after."""
    return (seconds // 2 + 2) * 2 * limit


@pytest.mark.parametrize(("seconds", "limit"), FLOODS)
def test_a_flood_from_one_address_is_not_noticed_elsewhere(
    stack: Stack, system: System, tmp_path: Path, figures: Figures, seconds: int, limit: int
) -> None:
    environ = ENVIRON | {"KAMAILIO_REQUESTS_PER_SECOND": str(limit)}
    with another_node(stack, system, tmp_path, environ=environ) as node:
        before = Health.of(node.kamailio)
        outcome = flooded(node, seconds, [SOURCE])
        tables = {one["name"]: one["all"] for one in node.kamailio.call("htable.stats")}
        assert Health.of(node.kamailio).processes == before.processes
    tell(figures, "flood from one address", outcome)
    figures("largest table after the flood", f"{max(tables.values())} entries")
    assert outcome.rate > 0.5 * RATE  # a flood also where the machine is busy
    assert outcome.passed <= allowed(seconds, limit)
    assert outcome.failed == 0
    assert outcome.memory < 0.9
    # Of a few registrations one that had to wait for the machine is more than one of a hundred.
    assert len(outcome.times) < 1000 or outcome.p99 < P99
    assert max(tables.values()) <= SLOTS


def test_a_flood_passes_where_nobody_guards(
    stack: Stack, system: System, tmp_path: Path, figures: Figures
) -> None:
    with another_node(stack, system, tmp_path, environ=ENVIRON | UNGUARDED) as weak:
        outcome = flooded(weak, SHORT[0], [SOURCE])
    tell(figures, "flood without a guard", outcome)
    assert outcome.passed > 2 * allowed(*SHORT)


def tell(figures: Figures, name: str, outcome: Outcome) -> None:
    """Print an outcome's figures."""
    figures(f"{name}, messages a second", round(outcome.rate))
    figures(f"{name}, passed", outcome.passed)
    figures(f"{name}, registrations elsewhere", f"{len(outcome.times)}, failed {outcome.failed}")
    figures(f"{name}, their p99", f"{outcome.p99 * 1000:.0f} ms")
    figures(f"{name}, most shared memory", f"{outcome.memory:.0%}")


def test_nobody_can_tell_with_whom_he_shares_a_slot(system: System, kamailio: KamailioNode) -> None:
    """Or he would send from where it is another's, whose requests are then dropped with his."""
    secret = kamailio.call("htable.get", "node", "secret")["item"]["value"]
    assert eventually(lambda: is_counted(system, kamailio, f"{secret}{SOURCE}"))
    for guess in ("", "0", "<null>"):
        assert not is_counted(system, kamailio, f"{guess}{SOURCE}")


def is_counted(system: System, kamailio: KamailioNode, subject: str) -> bool:
    """Ask from an address; say whether that is counted in the slot of this subject."""
    with Wire(system.internet.registrar, SOURCE) as wire:
        wire.exchange(wire.request("OPTIONS", "nobody", system.realm))
    slot = hashlib.md5(subject.encode(), usedforsecurity=False).hexdigest()[:4]
    try:
        return bool(kamailio.call("htable.get", "asked", slot))
    except RpcFailed:
        return False
