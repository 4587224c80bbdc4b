"""What goes on while something breaks: acts that are repeated, and what came of each."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Self

from provisioner.model import CHANNELS_MAX
from tests.sip.clients import Credentials, Wire, free_port
from tests.system import Line, Place

PATIENCE = 30.0  # seconds after which a phone gives up


@dataclass(frozen=True)
class Outcome:
    """What an act was answered, when it began (by the monotonic clock) and how long it took (s)."""

    began: float
    seconds: float
    status: int


class Repeating:
    """An act that a thread of its own repeats every so many seconds, as long as the block lasts.

    `act` returns the status that it was answered; what it raises is raised at the block's end.
    """

    def __init__(self, act: Callable[[], int], *, every: float) -> None:
        self.outcomes: list[Outcome] = []
        self._act = act
        self._every = every
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    @property
    def statuses(self) -> set[int]:
        """All statuses so far."""
        return {outcome.status for outcome in self.outcomes}

    def accepted_since(self, moment: float) -> bool:
        """Say whether an act that began after `moment` was answered 200."""
        return any(one.status == 200 and one.began > moment for one in self.outcomes[-20:])

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                began = monotonic()
                status = self._act()
                taken = monotonic() - began
                self.outcomes.append(Outcome(began, taken, status))
                self._stopping.wait(max(0.0, self._every - taken))
        except Exception as error:
            self._error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self._error is not None:
            raise self._error


@dataclass
class Ledger:
    """The changes of one account: which was acknowledged last, and which may hold instead.

    A change that was answered with an error after the one acknowledged last may have been made.
    """

    line: Line
    acknowledged: int = 2
    possible: set[int] = field(default_factory=lambda: {2})
    _next: int = 2

    def change(self) -> int:
        """Change how many voice channels it has; the answer's status."""
        self._next = self._next % CHANNELS_MAX + 1
        self.possible.add(self._next)
        status = self.line.api.patch(self.line.path, {"voice_channels": self._next}).status
        if status == 200:
            self.acknowledged, self.possible = self._next, {self._next}
        return status

    def loss(self) -> str | None:
        """Say what was acknowledged and does not hold; None where all of it does."""
        found = self.line.read()["voice_channels"]
        if found in self.possible:
            return None
        return f"account {self.line.id} has {found} channels, acknowledged: {self.acknowledged}"


def registering(place: Place, credentials: Credentials, *, source: str = "") -> Callable[[], int]:
    """Return the act of registering a phone once, always the same one, with the status that it was
    told (0: none).
    """
    own = source or place.client
    port = free_port(own)

    def register() -> int:
        with Wire(place.registrar, own, port=port, timeout=PATIENCE) as wire:
            return wire.register(credentials).status

    return register
