"""100 changes of the allowlists in a second: loaded one at a time, and the last one holds."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from provisioner.errors import RpcFailed
from provisioner.kamailio import KamailioNode
from provisioner.stack.processes import family
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.faults.changing import Subject
from tests.sip.faults.relay import Message
from tests.sip.faults.workshop import Workshop
from tests.system import System, eventually

pytestmark = pytest.mark.native

CHANGES = 100
CLIENTS = 4
INTERNET = "127.0.20.0/24"
EFFECTIVE = 5.0  # seconds until the node holds the last change


class Reloads:
    """How often the node was told to load its allowlists, and how often before it had answered."""

    def __init__(self) -> None:
        self.count = 0
        self.overlaps = 0
        self.refused = 0
        self._running = False

    def see(self, message: Message) -> None:
        """Take note of a message between the worker and the node."""
        if not message.from_client:
            self._running = False
            self.refused += b"ngoing reload" in message.data
        elif b"permissions.addressReload" in message.data:
            self.count += 1
            self.overlaps += self._running
            self._running = True


@pytest.fixture
def opened(system: System) -> Iterator[None]:
    """The internet's phones count as CloudFire's for a while."""
    allow(system, INTERNET)
    yield
    allow(system)


def allow(system: System, *others: str) -> None:
    cidrs = [system.cloudfire_cidr, *others]
    answer = system.api.put("/networks/cloudfire", {"cidrs": cidrs}, wait=0)
    assert answer.status in (200, 202), answer.json  # 202: not loaded yet


def test_a_hundred_changes_in_a_second(
    system: System, stack: Stack, kamailio: KamailioNode, opened: None, figures: Figures
) -> None:
    reloads = Reloads()
    processes = set(family(stack.kamailio.pid))
    subject = Subject.new(system, cloudfire_only=True)
    with Workshop(stack, reloads.see).open() as workshop, workshop.worker():
        eventually(lambda: subject.register() == 200)
        began = monotonic()
        with ThreadPoolExecutor(CLIENTS) as pool:
            for _ in pool.map(
                lambda n: allow(system, INTERNET, f"192.0.2.{n}"), range(CHANGES - 1)
            ):
                pass
        allow(system)
        changed = monotonic()
        eventually(lambda: subject.register() == 403)
        eventually(lambda: not kamailio.bindings(subject.aor))
        effective = monotonic() - changed
        wanted = {system.cloudfire_cidr}
        assert {cidr for group, cidr in kamailio.allowlist() if group == 1} == wanted
    figures("allowlist changes a second", round(CHANGES / (changed - began)))
    figures("reloads for 100 changes", reloads.count)
    figures("reloads at a time, and refused by the node", (1 + reloads.overlaps, reloads.refused))
    figures("the last change in force after (s)", round(effective, 2))
    assert (reloads.overlaps, reloads.refused) == (0, 0)
    assert 0 < reloads.count < CHANGES
    assert effective < EFFECTIVE
    assert set(family(stack.kamailio.pid)) == processes


def test_reloads_that_follow_each_other_at_once_are_refused(kamailio: KamailioNode) -> None:
    """The control: what the node would do if each change were told it."""

    def twice() -> None:
        kamailio.reload_allowlists()
        kamailio.reload_allowlists()

    with pytest.raises(RpcFailed, match=r"(?i)ongoing reload"):
        twice()
