"""Phones that know several servers, each registering again and again, and what became of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from .model import NO_ANSWER
from .wire import Exchange, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .message import Message
    from .model import Credentials, Registrar

_SENDINGS = (0.5, 1.0, 1.0)
"""Seconds to wait after each sending of a request, as over UDP, before a server is given up."""
_CHALLENGES = 3


@dataclass
class Tally:
    """What the phones of a fleet have seen.

    `accepted` counts registrations by server, `passed_over` what made a phone go to the next server
    by status (0: no answer), `failed` says of each REGISTER that no server took what every server
    said. `slowest` and `gap` are seconds: the longest that a registration took, and that a phone
    was between two that were accepted.
    """

    accepted: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[int] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    slowest: float = 0.0
    gap: float = 0.0


class RovingPhone(Wire):
    """A phone with one socket that goes to the next server where one is away or too busy (RFC 3263,
    section 4.3), and stays with the one that has taken it.
    """

    def __init__(
        self, registrars: Sequence[Registrar], source: str, credentials: Credentials
    ) -> None:
        super().__init__(registrars[0], source)
        self._registrars = list(registrars)
        self._credentials = credentials

    def register_somewhere(self) -> list[int]:
        """Register, and return the status that each server gave: the last is the outcome."""
        statuses = []
        for _ in range(len(self._registrars)):
            statuses.append(self._register())
            if statuses[-1] not in (NO_ANSWER, 503):
                break
            self._registrars.append(self._registrars.pop(0))
            self.registrar = self._registrars[0]
            self._socket.connect((self.registrar.host, self.registrar.port))
        return statuses

    def _register(self) -> int:
        answered = self._ask(None)
        for _ in range(_CHALLENGES):
            if answered.status != 401:
                break
            answered = self._ask(answered.challenge)
        return answered.status

    def _ask(self, challenge: Mapping[str, str] | None) -> Exchange:
        request = self.register_request(self._credentials, challenge=challenge, expires=60)
        for seconds in _SENDINGS:
            try:
                self.send(request)
                answer = self._answer(seconds)
            except OSError:  # nobody there, as the network says
                break
            if answer is not None:
                return Exchange(request, answer)
        return Exchange(request, None)

    def _answer(self, seconds: float) -> Message | None:
        """The final answer to the latest request, none to one before it."""
        deadline = time.monotonic() + seconds
        while (message := self.receive(deadline - time.monotonic())) is not None:
            if message.status >= 200 and message.cseq[0] == self._cseq:
                return message
        return None


class Fleet:
    """Phones at one source address; each registers every `period` seconds until `stop`."""

    def __init__(
        self,
        registrars: Sequence[Registrar],
        source: str,
        credentials: Sequence[Credentials],
        period: float,
    ) -> None:
        self.tally = Tally()
        self._period = period
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._stack = ExitStack()
        phones = [
            # half of them begin with another server
            RovingPhone([*registrars[at % len(registrars) :], *registrars[: at % len(registrars)]],
                        source, one)
            for at, one in enumerate(credentials)
        ]  # fmt: skip
        self._threads = [
            threading.Thread(target=self._use, args=[self._stack.enter_context(phone)], daemon=True)
            for phone in phones
        ]

    def start(self) -> None:
        """Switch them on, one after the other within a period."""
        for thread in self._threads:
            thread.start()
            time.sleep(self._period / len(self._threads))

    def stop(self) -> None:
        """Let each finish what it does."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._stack.close()

    def _use(self, phone: RovingPhone) -> None:
        accepted = time.monotonic()
        while not self._stopping.is_set():
            began = time.monotonic()
            statuses = phone.register_somewhere()
            ended = time.monotonic()
            with self._lock:
                self._count(phone, statuses, ended - began, ended - accepted)
            if statuses[-1] == 200:
                accepted = ended
            self._stopping.wait(max(0.0, began + self._period - ended))

    def _count(
        self, phone: RovingPhone, statuses: Sequence[int], seconds: float, gap: float
    ) -> None:
        tally = self.tally
        if statuses[-1] != 200:
            tally.failed.append(" then ".join(str(status or "no answer") for status in statuses))
            return
        tally.passed_over.update(statuses[:-1])
        tally.accepted[phone.registrar.host] += 1
        tally.slowest = max(tally.slowest, seconds)
        tally.gap = max(tally.gap, gap)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
