"""Phones stay registered while either node is killed: SIPp keeps them registered with both."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from provisioner.errors import NodeUnavailable, RpcFailed
from provisioner.kamailio import KamailioNode
from provisioner.registrations import aor_of
from provisioner.stack.waiting import wait_until
from tests.figures import Figures
from tests.sip.clients import Credentials
from tests.sip.clients.keeper import Keeper
from tests.sip.cluster.conftest import Cluster
from tests.system import eventually

pytestmark = pytest.mark.native  # kills nodes

EXPIRES = 60


class Watch:
    """Looks all the time which phones some node knows, and for how long the others are lost."""

    def __init__(self, cluster: Cluster, aors: set[str]) -> None:
        self._stack = cluster.stack
        self._aors = aors
        self._seen = dict.fromkeys(aors, time.monotonic())
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.longest = 0.0  # seconds
        self.looks = 0

    def _look(self) -> None:
        nodes = [
            KamailioNode(node.rpc_url, self._stack.rpc_token, timeout=1.0)
            for node in self._stack.nodes
        ]
        while not self._over.wait(0.1):
            began = time.monotonic()
            known = set().union(*map(known_to, nodes))
            now = time.monotonic()
            for aor in self._aors & known:
                self._seen[aor] = now
            lost = (began - since for since in self._seen.values())
            self.longest = max(self.longest, *lost)
            self.looks += 1
        for node in nodes:
            node.close()

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()


def known_to(node: KamailioNode) -> set[str]:
    """The AORs that a node has; nothing where it is away."""
    try:
        return set(node.aors())
    except (NodeUnavailable, RpcFailed):
        return set()


@contextmanager
def kept(cluster: Cluster, phones: list[Credentials], interval: float) -> Iterator[None]:
    """Half of them registered with each node, all the time."""
    half = len(phones) // 2
    place = cluster.system.internet
    registrars = [node.system.internet.registrar for node in cluster.nodes]
    with (
        Keeper(registrars[0], phones[:half], place.client, interval=interval, expires=EXPIRES),
        Keeper(registrars[1], phones[half:], place.client, interval=interval, expires=EXPIRES),
    ):
        yield


@pytest.mark.parametrize(
    ("number", "interval", "away"),
    [(100, 3.0, 1.0), pytest.param(1000, 20.0, 25.0, marks=pytest.mark.chaos)],
)
def test_no_phone_is_lost_for_longer_than_a_registration(
    healthy: Cluster, figures: Figures, number: int, interval: float, away: float
) -> None:
    with ThreadPoolExecutor(8) as pool:
        lines = list(pool.map(lambda _: healthy.system.new_line(), range(number)))
    phones = [line.credentials for line in lines]
    aors = {aor_of(one.username, one.realm) for one in phones}

    def known_everywhere() -> bool:
        return all(aors <= known_to(node.kamailio) for node in healthy.nodes)

    with kept(healthy, phones, interval):
        eventually(known_everywhere, within=3 * interval)
        with Watch(healthy, aors) as watch:
            for node in healthy.nodes:
                node.process.kill()
                assert not wait_until(lambda: watch.longest > interval, away)
                node.restart()
                eventually(healthy.whole)
                eventually(known_everywhere, within=2 * interval)
    figures(f"of {number} phones, longest that one was lost (s)", round(watch.longest, 2))
    assert watch.looks > 10
    assert watch.longest < interval
