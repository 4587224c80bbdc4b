"""Messages that nobody would send on purpose crash nothing and leave nothing behind."""

import os
import ssl
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom

import pytest

from provisioner.errors import NodeUnavailable
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.attacks.fuzzer import Fuzzer, Peer, Silent
from tests.sip.attacks.health import Health, is_calm
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.clients import Authority, Registrar, Transport
from tests.system import Line, System, eventually

# 10,000 messages. Most of TLS is what TCP is.
SHARES: dict[Transport, int] = {"udp": 8000, "tcp": 1800, "tls": 200}
FULL = 100
WARM_UP = 2  # what is made once, at the first message of its kind, is no drift
DRIFT = 0.01
SETTLED = 150.0  # seconds after which nothing is waited for any more; a phone may ring for 120

# Whoever guards also hides from the fuzzer what is behind.
UNGUARDED = {"KAMAILIO_REQUESTS_PER_SECOND": "0", "KAMAILIO_GUESSES_PER_MINUTE": "0"}
CRASHES = {r"route\(REQINIT\);": 'if (!sanity_check("17895", "7")) abort();'}
LEAKS = {
    r'^modparam\("htable", "htable", "(?=node=>)': (
        'modparam("htable", "htable", "seen=>size=10")\nmodparam("htable", "htable", "'
    ),
    r"route\(GUARD\);": "$sht(seen=>$ci) = $mb; route(GUARD);",
}

pytestmark = [pytest.mark.native, pytest.mark.timeout(1800)]


@pytest.fixture
def seed(figures: Figures) -> int:
    """Of all messages; FUZZ_SEED=… sends the same ones again."""
    seed = int(os.environ.get("FUZZ_SEED") or SystemRandom().randrange(2**31))
    figures("fuzz seed", seed)
    return seed


def fuzz(
    node: Node, lines: list[Line], seed: int, size: int, authority: Authority, *, ring: bool = True
) -> int:
    """Send `size` times the shares, and drop the bindings that came of it; how many were sent.

    The first line shows its credentials; the second one's device is reached, if it may `ring`.
    """
    tls = ssl.create_default_context(cafile=str(authority.certificate))
    place, sent = node.system.internet, 0
    sender, callee = (line.credentials for line in lines)
    for transport, share in SHARES.items():
        port = (node.tls_port or 0) if transport == "tls" else place.registrar.port
        registrar = Registrar(place.registrar.host, port, transport)
        with ExitStack() as stack:
            device = Peer(place.registrar, place.client, callee) if ring else None
            if device:
                stack.enter_context(device)
            fuzzer = stack.enter_context(
                Fuzzer(registrar, place.client, sender, seed=seed, peer=device, tls=tls)
            )
            fuzzer.send(size * share)
            sent += fuzzer.sent
    for one in (sender, callee):
        node.kamailio.drop_bindings(f"{one.username}@{one.realm}")
    return sent


@pytest.mark.parametrize("size", [1, pytest.param(FULL, marks=pytest.mark.attack)])
def test_broken_messages_crash_nothing_and_leave_nothing_behind(
    stack: Stack, system: System, tmp_path: Path, authority: Authority, figures: Figures, seed: int,
    size: int,
) -> None:  # fmt: skip
    lines = [system.new_line(voice_channels=30), system.new_line()]
    with another_node(stack, system, tmp_path, environ=UNGUARDED, tls=True) as node:
        if size > 1:
            fuzz(node, lines, seed + 1, WARM_UP, authority)
            eventually(lambda: is_calm(node.kamailio), within=SETTLED)
        before = Health.of(node.kamailio)
        sent = fuzz(node, lines, seed, size, authority)
        figures("broken messages sent", sent)
        assert Health.of(node.kamailio).processes == before.processes

        if size > 1:
            eventually(lambda: is_calm(node.kamailio), within=SETTLED)

        def drift() -> float:
            return Health.of(node.kamailio).growth(before)

        eventually(lambda: drift() < DRIFT, within=SETTLED)
        figures("memory drift", f"{drift():.4%}")


def test_the_fuzzer_finds_a_message_that_crashes(
    stack: Stack, system: System, tmp_path: Path, authority: Authority, seed: int
) -> None:
    lines = [system.new_line(), system.new_line()]
    with another_node(
        stack, system, tmp_path, environ=UNGUARDED, changes=CRASHES, tls=True
    ) as node:
        with pytest.raises(Silent):
            fuzz(node, lines, seed, 1, authority)
        with pytest.raises(NodeUnavailable):
            Health.of(node.kamailio)


def test_the_fuzzer_finds_memory_that_stays_behind(
    stack: Stack, system: System, tmp_path: Path, authority: Authority, seed: int
) -> None:
    lines = [system.new_line(), system.new_line()]
    with another_node(stack, system, tmp_path, environ=UNGUARDED, changes=LEAKS, tls=True) as node:
        before = Health.of(node.kamailio)
        fuzz(node, lines, seed, 1, authority, ring=False)
        eventually(lambda: is_calm(node.kamailio), within=SETTLED)
        assert Health.of(node.kamailio).growth(before) > DRIFT
