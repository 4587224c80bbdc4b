"""A node that cannot be reached, or restarts: what was changed meanwhile holds at its return."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic, sleep

import pytest

from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.conftest import Database
from tests.sip.faults import outages
from tests.sip.faults.changing import Subject
from tests.sip.faults.workshop import Workshop
from tests.system import System, eventually

pytestmark = pytest.mark.native

RETURN = 5.0  # seconds after its return until nothing of the former state is left
NOTICED = 15.0  # seconds until a node that does not answer is told to be away

Outage = Callable[[Stack, Workshop], AbstractContextManager[None]]


@contextmanager
def cut_off(stack: Stack, workshop: Workshop) -> Iterator[None]:
    """Nothing passes between worker and node; phones reach it."""
    workshop.rpc.deaf = True
    try:
        yield
    finally:
        workshop.rpc.deaf = False


@contextmanager
def frozen(stack: Stack, workshop: Workshop) -> Iterator[None]:
    """Nobody reaches it."""
    with outages.frozen(stack.kamailio):
        yield


@contextmanager
def restarted(stack: Stack, workshop: Workshop) -> Iterator[None]:
    """It is gone, with all its memory, and starts again from its table."""
    with outages.stopped(stack.kamailio, kill=True):
        yield


@pytest.mark.parametrize(
    ("outage", "seconds"),
    [
        (cut_off, 0.0),
        *(
            pytest.param(outage, 60.0, marks=pytest.mark.chaos)
            for outage in (cut_off, frozen, restarted)
        ),
    ],
)
def test_a_node_that_returns_refuses_at_once_and_has_no_stale_binding(
    system: System,
    stack: Stack,
    workshop: Workshop,
    database: Database,
    kamailio: KamailioNode,
    figures: Figures,
    outage: Outage,
    seconds: float,
) -> None:
    subject = Subject.new(system)
    with workshop.worker():
        eventually(lambda: node(system)["converged"])
        assert subject.register() == 200
        stored = "SELECT 1 FROM kamailio.location WHERE username = %s"
        username = [subject.credentials.username]
        eventually(lambda: database.execute(stored, username).fetchone(), within=20)
        with outage(stack, workshop):
            began = monotonic()
            subject.disable()
            if outage is cut_off:
                assert subject.register() == 403  # it reads the database itself
                assert kamailio.bindings(subject.aor)
            assert subject.line.read()["convergence"]["pending_nodes"] == ["node1"]
            eventually(lambda: node(system)["state"] == "away", within=NOTICED)
            sleep(max(0.0, seconds - (monotonic() - began)))
            assert subject.line.read()["convergence"]["pending_nodes"] == ["node1"]
        back = monotonic()
        assert subject.register() == 403
        refused = monotonic() - back
        eventually(lambda: not kamailio.bindings(subject.aor), within=4 * RETURN)
        clean = monotonic() - back
        eventually(lambda: node(system)["converged"])
        shown = monotonic() - back
    assert database.execute(stored, username).fetchone() is None
    figures(
        f"{outage.__name__}: refused, binding gone, shown so (s)",
        (round(refused, 1), round(clean, 1), round(shown, 1)),
    )
    assert refused < RETURN
    assert clean < RETURN


def node(system: System) -> dict[str, object]:
    (node,) = system.api.get("/nodes").expect(200)["items"]
    assert isinstance(node, dict)
    return node
