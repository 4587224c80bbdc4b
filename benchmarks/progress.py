"""Says on standard error what is being measured, so that nobody waits in the dark."""

import sys
from collections.abc import Iterator


def say(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)


def rounds(name: str, count: int) -> Iterator[int]:
    """Count the rounds, in each of which every side has its turn."""
    for number in range(count):
        say(f"{name}: round {number + 1} of {count}")
        yield number
