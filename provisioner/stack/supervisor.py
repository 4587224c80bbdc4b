"""Starts again what died, more slowly each time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol

from provisioner.stack.errors import StackError

FIRST_DELAY = 0.5  # seconds before the first new start
LONGEST_DELAY = 30.0
STEADY = 60.0  # seconds of life after which a death counts as the first
LOOK_INTERVAL = 0.2  # seconds between two looks at the processes


class Supervised(Protocol):
    """What a supervisor needs to know of a process."""

    name: str
    wanted: bool
    ending: str
    log: Path

    @property
    def running(self) -> bool:
        """Whether it is alive."""

    def start(self) -> None:
        """Start it."""


@dataclass
class Watch:
    """One process's deaths and its next start, by a clock that the caller reads."""

    process: Supervised
    started: float
    delay: float = field(default=0.0, init=False)
    due: float | None = field(default=None, init=False)

    def look(self, now: float) -> str | None:
        """Start the process if it is time to; return what there is to tell, if anything."""
        if self.process.running or not self.process.wanted:
            self.due = None
            return None
        if self.due is None:
            return self._plan(now)
        return self._start(now) if now >= self.due else None

    def _plan(self, now: float) -> str:
        steady = now - self.started >= STEADY
        self.delay = FIRST_DELAY if steady or not self.delay else min(2 * self.delay, LONGEST_DELAY)
        self.due = now + self.delay
        return (
            f"{self.process.name} died ({self.process.ending}), a new start follows in "
            f"{self.delay:g} s; its log: {self.process.log}"
        )

    def _start(self, now: float) -> str:
        self.started, self.due = now, None
        try:
            self.process.start()
        except (OSError, StackError) as error:
            return f"{self.process.name} could not be started: {error}"
        return f"{self.process.name} started again"


def supervise(processes: Sequence[Supervised], report: Callable[[str], None]) -> NoReturn:
    """Keep the processes alive until a signal's handler raises."""
    watches = [Watch(process, time.monotonic()) for process in processes]
    while True:
        for watch in watches:
            if event := watch.look(time.monotonic()):
                report(event)
        time.sleep(LOOK_INTERVAL)
