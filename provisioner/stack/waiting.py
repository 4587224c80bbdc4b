"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable

POLL_INTERVAL = 0.02  # seconds between two looks at the condition


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Return True as soon as the condition holds, False if it did not for `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_INTERVAL)
    return True
