"""What all four phones have in common."""

from __future__ import annotations

import tempfile
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from .model import NO_ANSWER, ClientError, Credentials, Registrar, Registration
from .process import Program, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .message import Message


class Phone(ABC):
    """A real SIP client that can register; all of them are made and used in one way.

    `source` is the address that it sends from. `expires` (seconds) is what it asks for.
    `run_in` is put before the program's own command line, for instance
    `("ip", "netns", "exec", "home")`. Leaving the `with` block stops the program.
    """

    name: ClassVar[str]
    """Which program it is; good as a test's parameter id."""
    ports: ClassVar[int] = 1
    """How many it listens on, from `port` on."""

    def __init__(
        self,
        registrar: Registrar,
        credentials: Credentials,
        source: str,
        *,
        expires: int = 300,
        run_in: Sequence[str] = (),
    ) -> None:
        self.registrar = registrar
        self.credentials = credentials
        self.source = source
        self.expires = expires
        self.run_in = tuple(run_in)
        self.port = free_port(source, in_a_row=self.ports)

    @abstractmethod
    def register(self, *, timeout: float = 10.0) -> Registration:
        """Register once and say how it ended; `timeout` in seconds."""

    @abstractmethod
    def unregister(self, *, timeout: float = 10.0) -> Registration:
        """Take this phone's own binding away; `timeout` in seconds."""

    def stop(self) -> None:  # noqa: B027 - two of the four run only while they register
        """End the program, politely if it can; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def contact(self) -> str:
        """The URI at which this phone says that it can be reached."""
        user, transport = self.credentials.username, self.registrar.transport
        return f"sip:{user}@{self.source}:{self.port};transport={transport}"

    @property
    def user_agent(self) -> str:
        """What it writes, or begins, its User-Agent header field with."""
        return self.name

    def _seen(self, answer: Message | None, started: float, otherwise: str = "") -> Registration:
        source, port = (answer and answer.seen_from) or (self.source, self.port)
        return Registration(
            status=answer.status if answer else NO_ANSWER,
            reason=answer.reason if answer else (otherwise or "no final response in time"),
            source=source,
            port=port,
            user_agent=self.user_agent,
            elapsed=time.monotonic() - started,
            message=answer,
        )


class RunningPhone(Phone):
    """A phone whose program runs for as long as the phone is bound."""

    farewell: ClassVar[str]
    """The command by which its program ends, politely."""

    def __init__(
        self,
        registrar: Registrar,
        credentials: Credentials,
        source: str,
        *,
        expires: int = 300,
        run_in: Sequence[str] = (),
    ) -> None:
        super().__init__(registrar, credentials, source, expires=expires, run_in=run_in)
        self._folder = tempfile.TemporaryDirectory(prefix=f"{self.name}-")
        self._program: Program | None = None

    @property
    def log(self) -> str:
        """Everything that it printed, SIP messages included."""
        return self._program.output() if self._program else ""

    def stop(self) -> None:
        """Hang up, unregister, end, and forget the configuration."""
        self._halt()
        self._folder.cleanup()

    def _running(self) -> Program:
        if self._program is None:
            raise ClientError(f"{self.name} is not running")
        return self._program

    def _halt(self) -> None:
        if self._program is not None:
            self._program.stop(self.farewell)
            self._program = None
