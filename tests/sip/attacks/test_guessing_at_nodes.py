"""Whoever guesses at several nodes has no more guesses than at one."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from provisioner.stack.ports import udp
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.ports import new_port
from tests.sip.attacks.guessing import HASTE, Guesses, for_seconds, guess, new_address
from tests.sip.attacks.nodes import Node, another_node
from tests.system import System, eventually

pytestmark = pytest.mark.native  # starts nodes of its own

PAIR_LIMIT, ADDRESS_LIMIT = 10, 60  # guesses in any minute that nobody may exceed
LIMITS = {"KAMAILIO_ADDRESS_GUESSES": "25"}  # the default; the stack's own node has none
# The control: each node allows what it would alone.
UNSHARED = {r"^\t\t\$var\(nodes\) = \$var\(nodes\) \+ 1;$": "\t\t$var(nodes) = 1;"}

Pair = tuple[Node, Node]


@contextmanager
def pair(
    stack: Stack, system: System, folder: Path, changes: dict[str, str] | None = None
) -> Iterator[Pair]:
    """Two nodes that tell each other of bans."""
    ports = [new_port(udp("127.0.0.1")) for _ in range(2)]
    with ExitStack() as running:
        nodes = []
        for own, other in (ports, ports[::-1]):
            environ = LIMITS | {
                "KAMAILIO_DMQ_ADDRESS": f"127.0.0.1:{own}",
                "KAMAILIO_DMQ_PEERS": f"127.0.0.1:{other}",
                "KAMAILIO_DMQ_PEER_1": f"127.0.0.1:{other}",
            }
            one = another_node(stack, system, folder / str(own), changes=changes, environ=environ)
            nodes.append(running.enter_context(one))
        first, second = nodes
        eventually(
            lambda: all(len(node.kamailio.call("htable.dump", "nodes")) == 2 for node in nodes)
        )
        yield first, second


@pytest.fixture(scope="module")
def sharing(stack: Stack, system: System, tmp_path_factory: Any) -> Iterator[Pair]:
    with pair(stack, system, tmp_path_factory.mktemp("sharing")) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def unshared(stack: Stack, system: System, tmp_path_factory: Any) -> Iterator[Pair]:
    with pair(stack, system, tmp_path_factory.mktemp("unshared"), UNSHARED) as nodes:
        yield nodes


def together(guesses: Sequence[Guesses]) -> Guesses:
    """What was guessed at several nodes."""
    return Guesses(
        sorted(at for one in guesses for at in one.looked_at),
        sum(one.refused for one in guesses),
        sum(one.dropped for one in guesses),
    )


def in_turns(nodes: Pair, names: Sequence[str]) -> Guesses:
    """Guess at one node and at the other, one after the other, from one address."""
    source = new_address()
    return together(
        [
            guess(node.system.internet.registrar, source, node.system.realm, [name], patience=HASTE)
            for name in names
            for node in nodes
        ]
    )


def at_once(nodes: Pair, username: str, seconds: float) -> Guesses:
    """Guess at both at the same time, from one address."""
    source = new_address()
    with ThreadPoolExecutor(len(nodes)) as pool:
        both = [
            pool.submit(
                guess,
                node.system.internet.registrar,
                source,
                node.system.realm,
                for_seconds(seconds, username),
            )
            for node in nodes
        ]
        return together([one.result() for one in both])


@pytest.mark.parametrize("seconds", [3, pytest.param(130, marks=pytest.mark.attack)])
def test_an_account_is_guessed_at_as_often_as_at_one_node(
    sharing: Pair, system: System, figures: Figures, seconds: int
) -> None:
    guesses = at_once(sharing, system.new_line().credentials.username, seconds)
    figures(f"guesses a minute at two nodes at once ({seconds} s)", guesses.most_in_a_minute)
    assert 0 < guesses.most_in_a_minute <= PAIR_LIMIT
    assert guesses.refused > 0
    guesses = in_turns(sharing, [system.new_line().credentials.username] * PAIR_LIMIT)
    figures("guesses a minute at two nodes in turns", guesses.most_in_a_minute)
    assert 0 < guesses.most_in_a_minute <= PAIR_LIMIT


def test_so_are_all_accounts_together(sharing: Pair, system: System, figures: Figures) -> None:
    """A minute may have the end of one count and the beginning of the next."""
    guesses = in_turns(sharing, [f"39099{one:07d}" for one in range(40)])
    figures("guesses at all accounts at two nodes in turns, before a ban", guesses.number)
    assert 0 < 2 * guesses.number <= ADDRESS_LIMIT
    assert guesses.dropped > 0


def test_where_each_allows_all_of_it_there_are_more(
    unshared: Pair, system: System, figures: Figures
) -> None:
    guesses = at_once(unshared, system.new_line().credentials.username, 3)
    figures("the same where each node allows ten, at once", guesses.number)
    assert guesses.number > PAIR_LIMIT
    guesses = in_turns(unshared, [system.new_line().credentials.username] * PAIR_LIMIT)
    figures("the same, in turns", guesses.number)
    assert guesses.number > PAIR_LIMIT
    guesses = in_turns(unshared, [f"39099{one:07d}" for one in range(100, 140)])
    figures("the same at all accounts, before a ban", guesses.number)
    assert 2 * guesses.number > ADDRESS_LIMIT
