"""PostgreSQL restarts, dies and hangs while 50 changes a second are made: none is lost."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from time import monotonic

import psycopg
import pytest

from provisioner.stack.probes import answers_ok
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.faults.outages import frozen
from tests.sip.faults.repeating import Ledger, Outcome, Repeating, registering
from tests.system import System, eventually

pytestmark = pytest.mark.native

LINES = 10  # accounts that are changed, each by a client of its own
RATE = 50.0  # changes a second, of all clients together
RECOVERY = 10.0  # seconds after which all must be as before
REFUSAL = 20.0  # seconds in which a request is answered, whatever PostgreSQL does
INTRUDER = "127.0.20.66"

Fault = Callable[[Stack, float], None]


def restart(stack: Stack, seconds: float) -> None:
    stack.postgres.stop()
    bring_back(stack, seconds)


def kill(stack: Stack, seconds: float) -> None:
    stack.postgres.kill()
    bring_back(stack, seconds)


def bring_back(stack: Stack, seconds: float) -> None:
    time.sleep(seconds)
    stack.postgres.start()
    stack.postgres.wait_ready()


def pause(stack: Stack, seconds: float) -> None:
    with frozen(stack.postgres):
        time.sleep(seconds)


SHORT: list[tuple[Fault, float]] = [(restart, 1.5), (kill, 1.5)]
HANGING: list[tuple[Fault, float]] = [(pause, 5.0)]
LONG: list[tuple[Fault, float]] = [*SHORT, (pause, 30.0)]


@dataclass
class Load:
    """What goes on: changes by portals, and phones that register, where they may and may not."""

    ledgers: list[Ledger]
    changes: list[Repeating]
    phone: Repeating
    intruders: list[Repeating]

    @classmethod
    def of(cls, system: System) -> "Load":
        """Prepare it."""
        ledgers = [Ledger(system.new_line()) for _ in range(LINES)]
        line, disabled = system.new_line(), system.new_line(enabled=False)
        guess = replace(line.credentials, password="guessed")
        place = system.internet
        return cls(
            ledgers,
            [Repeating(ledger.change, every=LINES / RATE) for ledger in ledgers],
            Repeating(registering(place, line.credentials), every=0.2),
            [
                Repeating(registering(place, wrong, source=INTRUDER), every=0.5)
                for wrong in (disabled.credentials, guess)
            ],
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it go on."""
        with ExitStack() as stack:
            for one in (*self.changes, self.phone, *self.intruders):
                stack.enter_context(one)
            yield

    def waiting(self, moment: float) -> list[list[Outcome]]:
        """Tell what became lately of those that have not been accepted since."""
        honest = (*self.changes, self.phone)
        return [one.outcomes[-3:] for one in honest if not one.accepted_since(moment)]

    def losses(self) -> list[str]:
        """Tell which acknowledged changes do not hold."""
        return [loss for ledger in self.ledgers if (loss := ledger.loss())]

    def outcomes(self) -> list[Outcome]:
        """Return what came of the changes."""
        return [outcome for one in self.changes for outcome in one.outcomes]


@pytest.mark.parametrize(
    "faults",
    [SHORT, HANGING, pytest.param(LONG * 7, marks=pytest.mark.chaos)],
    ids=["restarted and killed", "paused", "over and over"],
)
def test_nothing_acknowledged_is_lost_and_nobody_gets_in(
    system: System,
    stack: Stack,
    figures: Figures,
    faults: Sequence[tuple[Fault, float]],
) -> None:
    load = Load.of(system)
    with load.running():
        broken = [break_once(stack, load, fault, seconds) for fault, seconds in faults]
    rates, recoveries = zip(*broken, strict=True)
    outcomes = load.outcomes()
    statuses = {one.status for one in outcomes}
    refusals = [one.seconds for one in outcomes if one.status == 503]
    slowest = max(refusals, default=0.0)
    figures("changes a second before each fault", [round(rate) for rate in rates])
    figures("changes acknowledged", sum(one.status == 200 for one in outcomes))
    figures("changes answered 503, the slowest (s)", (len(refusals), round(slowest, 1)))
    figures("slowest recovery (s)", round(max(recoveries), 1))
    figures("changes lost", len(load.losses()))
    assert load.losses() == []
    assert statuses - {503} == {200}
    # Who is served late enough need not be refused.
    assert 503 in statuses or max(seconds for _, seconds in faults) < REFUSAL
    assert slowest < REFUSAL
    assert max(recoveries) < RECOVERY
    # It may go on with what its node remembers.
    assert load.phone.statuses <= {200, 503}
    assert not any(200 in one.statuses for one in load.intruders)
    spoil(load.ledgers[0], stack.database_admin_url)
    assert len(load.losses()) == 1  # the control: a loss shows


def break_once(stack: Stack, load: Load, fault: Fault, seconds: float) -> tuple[float, float]:
    """Break it while changes are made: how many a second there were before (of RATE), and after
    how long all of it works again (s).
    """
    began, before = monotonic(), len(load.outcomes())
    eventually(lambda: not load.waiting(began), within=RECOVERY)
    eventually(lambda: len(load.outcomes()) - before >= RATE, within=RECOVERY)
    rate = RATE / (monotonic() - began)
    fault(stack, seconds)
    back = monotonic()
    eventually(lambda: not load.waiting(back), within=2 * RECOVERY)
    eventually(lambda: answers_ok(stack.http_port, "/readyz"), within=RECOVERY)
    return rate, monotonic() - back


def spoil(ledger: Ledger, url: str) -> None:
    """Undo an acknowledged change behind everybody's back."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE provisioner.sip_accounts SET voice_channels = 1000 WHERE id = %s",
            [ledger.line.id],
        )
