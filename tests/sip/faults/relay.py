"""A relay between the worker and what it speaks to: it sees each message, and may let none pass."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

NAME = b"application_name\0"  # in PostgreSQL's startup message, before a session's name


@dataclass(frozen=True)
class Message:
    """What one side has sent at once. With one request at a time that is a request or its answer.

    `session` is the name of a session of PostgreSQL's; empty until it is known, and for others.
    """

    session: str
    from_client: bool
    data: bytes


class Relay:
    """Takes connections at a free port of 127.0.0.1, and relays them to another, in a block.

    `passes` is asked about each message before it goes on; where it says no, the connection ends.
    While the relay is `deaf` nothing goes on, as if no packet arrived.
    """

    def __init__(self, target: int, passes: Callable[[Message], bool] = lambda _: True) -> None:
        self._target = ("127.0.0.1", target)
        self._passes = passes
        self._hears = threading.Event()
        self._hears.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def deaf(self) -> bool:
        """Whether nothing arrives at the moment."""
        return not self._hears.is_set()

    @deaf.setter
    def deaf(self, value: bool) -> None:
        self._hears.clear() if value else self._hears.set()

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._hears.set()
        for one in (self._listener, *self._sockets):
            _hang_up(one)
        for thread in self._threads:
            thread.join()

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target, timeout=5)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                self._sockets += [client, server]
                session: list[str] = []
                self._spawn(self._pump, client, server, session, True)
                self._spawn(self._pump, server, client, session, False)

    def _pump(
        self, source: socket.socket, sink: socket.socket, session: list[str], from_client: bool
    ) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 20):
                if not session and NAME in data:
                    session.append(data.partition(NAME)[2].partition(b"\0")[0].decode())
                self._hears.wait()
                if not self._passes(Message("".join(session), from_client, data)):
                    break
                sink.sendall(data)
        _hang_up(source)
        _hang_up(sink)


def _hang_up(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
