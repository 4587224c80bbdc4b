"""Phones that go on registering while the nodes of a cluster are replaced, one after the other.

    python -m tests.upgrade     in the harness's client container, until SIGTERM

Says `ready` when every phone has registered, and in the end what they have seen. It fails if one
REGISTER of a phone that knows both nodes was taken by neither, or if a phone is bound nowhere; and
also if none of those that know one node only have failed, because then nothing has been replaced.
"""

import os
import signal
import sys
import threading
from collections import Counter

from tests.sip.clients import Fleet, Registrar, Tally
from tests.system import Line, harness_system

PHONES = 60
LOYAL = 6  # phones that know the first node only: the control
PERIOD = 0.5  # seconds between two registrations of a phone
NAMES = {0: "no answer"}


def main() -> int:
    """Run the phones; 0 if the upgrade was what it ought to be."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    system = harness_system(os.environ)
    place = system.internet
    lines = [system.new_line() for _ in range(PHONES + LOYAL)]
    credentials = [line.credentials for line in lines]
    nodes = [place.registrar, second(os.environ["TEST_INTERNET_REGISTRAR_2"])]
    roving = Fleet(nodes, place.client, credentials[:PHONES], PERIOD)
    loyal = Fleet(nodes[:1], place.client, credentials[PHONES:], PERIOD)
    with roving, loyal:
        say("ready")
        over.wait()
    tell("phones that know both nodes", roving.tally)
    tell("phones that know one", loyal.tally)
    return verdict(roving.tally, loyal.tally, unbound(lines[:PHONES]))


def second(address: str) -> Registrar:
    """Where the other node is."""
    host, _, port = address.rpartition(":")
    return Registrar(host, int(port))


def unbound(lines: list[Line]) -> int:
    """How many phones can be reached nowhere."""
    return sum(not line.bindings() for line in lines)


def tell(whose: str, tally: Tally) -> None:
    """Say what they have seen, one figure a line."""
    say(f"{whose}: {tally.accepted.total()} registrations accepted, {len(tally.failed)} failed")
    for node, number in sorted(tally.accepted.items()):
        say(f"  by {node}: {number}")
    for status, number in sorted(tally.passed_over.items()):
        say(f"  went to the next node after {NAMES.get(status, status)}: {number}")
    for outcome, number in Counter(tally.failed).most_common():
        say(f"  failed with {outcome}: {number}")
    say(f"  slowest {tally.slowest:.2f} s, longest without one {tally.gap:.2f} s")


def verdict(roving: Tally, loyal: Tally, unbound: int) -> int:
    """Say what was wrong; 0 if nothing was."""
    wrong = {
        "a REGISTER was taken by no node": bool(roving.failed),
        "no node was away: this has tested nothing": not loyal.failed,
        "a node took no phone": len(roving.accepted) < 2,
        f"{unbound} phones are bound nowhere": bool(unbound),
    }
    for what in (what for what, so in wrong.items() if so):
        say(f"WRONG: {what}")
    return int(any(wrong.values()))


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
