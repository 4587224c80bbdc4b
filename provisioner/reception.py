"""Receives requests: a thread is given to a request that has come, not to one that is coming.

gunicorn gives a thread to a connection, so that as many clients as there are threads keep everybody
else out by sending slowly, or nothing. Here the loop of a process reads what comes, without
waiting, and passes on what is complete. Where there is no room for more of what is coming, the
oldest goes: a request that is meant is there within moments, one that is not takes its time.
"""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import TConn, ThreadWorker

from provisioner.arrival import Arrival

ARRIVAL_SECONDS = 20.0  # in which a request has to come; also how long a peer may stay silent
ARRIVALS_MAX = 500  # connections of a process on which no request has come yet, or is coming
HELD_MAX = 32 * 1024 * 1024  # bytes of what has come of them
IO_TIMEOUT = 10.0  # seconds that a thread waits for its client to send or take more
LEAVING_SECONDS = 2.0  # in which a client may still read an answer, after the last of them
SEND_BUFFER = 256 * 1024  # bytes of an answer that the kernel takes, however slowly they are read
PIECE = 64 * 1024  # bytes that are read at once

_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n"
_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
_NOTHING_MORE = b"Connection: close\r\nContent-Length: 0\r\n\r\n"


class Connection(TConn):  # type: ignore[misc] # gunicorn ships no type information
    """A client's connection."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.arrival = Arrival()
        self.surplus = False
        self.encouraged = False
        self.deadline = 0.0  # of the monotonic clock

    def expect(self) -> None:
        """Begin to wait for a request."""
        self.sock.setblocking(False)
        self.arrival = Arrival()
        self.encouraged = False
        self.deadline = time.monotonic() + ARRIVAL_SECONDS

    def init(self) -> None:
        """Make the parser; called before each request, after the socket was told to wait."""
        super().init()
        self.sock.settimeout(IO_TIMEOUT)

    def hand_over(self) -> None:
        """Give the parser what has come."""
        self.init()
        self.parser.unreader.unread(self.arrival.request)
        self.surplus = self.arrival.surplus
        self.arrival = Arrival()
        self.data_ready = True

    def encourage(self) -> None:
        """Ask once for the body that a client keeps back."""
        if not self.encouraged:
            self.encouraged = True
            self.sock.send(_GO_ON)

    def refuse(self, status: bytes) -> None:
        """Answer by one line, if the client takes it at once."""
        with suppress(OSError):
            self.sock.setblocking(False)
            self.sock.send(status + _NOTHING_MORE)


class Receiver(ThreadWorker):  # type: ignore[misc] # gunicorn ships no type information
    """A process of gunicorn that receives requests so."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._arriving: dict[Connection, None] = {}  # the oldest first
        self._leaving: dict[Connection, None] = {}
        self._held = 0  # bytes

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection."""
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.nr_conns += 1
        self._expect(Connection(self.cfg, client, address, listener.getsockname()))

    def on_client_socket_readable(self, connection: Connection, client: socket.socket) -> None:
        """Receive another request on a connection."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(connection)
        self._expect(connection)
        if connection in self._arriving:
            self._receive(connection)  # most come whole

    def _expect(self, connection: Connection) -> None:
        connection.expect()
        self._arriving[connection] = None
        self._watch(connection, self._receive)
        if len(self._arriving) > ARRIVALS_MAX:
            self._drop(next(iter(self._arriving)))

    def _watch(self, connection: Connection, read: Callable[[Connection], None]) -> None:
        # One that was closed meanwhile may have been reported with the same look.
        def call(_: object) -> None:
            if connection in self._arriving or connection in self._leaving:
                read(connection)

        self.poller.register(connection.sock, EVENT_READ, call)

    def _receive(self, connection: Connection) -> None:
        piece = _read(connection.sock)
        if piece is None:
            return
        held = len(connection.arrival)
        connection.arrival.add(piece)
        self._held += len(connection.arrival) - held
        if connection.arrival.too_long:
            self._forget(connection)
            connection.refuse(_TOO_LONG)
            self._leave(connection)
        elif connection.arrival.complete:
            self._forget(connection)
            connection.hand_over()
            self.enqueue_req(connection)
        elif not piece:
            self._drop(connection)
        elif connection.arrival.hesitates:
            connection.encourage()
        elif self._held > HELD_MAX:
            self._drop(next(one for one in self._arriving if len(one.arrival)))

    def _forget(self, connection: Connection) -> None:
        self.poller.unregister(connection.sock)
        del self._arriving[connection]
        self._held -= len(connection.arrival)

    def _drop(self, connection: Connection, answer: bytes = b"") -> None:
        """Close a connection on which no whole request has come."""
        self._forget(connection)
        if answer and len(connection.arrival):
            connection.refuse(answer)
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        self.nr_conns -= 1
        connection.close()

    def _keepalive_after(self, connection: Connection, keepalive: bool) -> bool:
        """Go on with a connection, unless nobody can say where the next request on it begins.

        An answer has been sent: whatever is wrong with the rest of a body, there is no second one.
        """
        try:
            kept = super()._keepalive_after(connection, keepalive)
        except ParseException:
            return False
        return bool(kept) and not connection.surplus

    def finish_request(self, connection: Connection, outcome: Any) -> None:
        """Keep the connection, or let the client read the answer's end before it is closed."""
        if outcome.cancelled() or outcome.exception() or outcome.result():
            super().finish_request(connection, outcome)
        else:
            self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        """Close a connection once the client has read what it was sent, or takes too long.

        As RFC 9112 section 9.6 has it: to close at once would have the kernel throw away what the
        client has not read, where it has sent more than was read.
        """
        try:
            connection.sock.setblocking(False)
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client is gone
            self._close(connection)
            return
        connection.deadline = time.monotonic() + LEAVING_SECONDS
        self._leaving[connection] = None
        self._watch(connection, self._ignore)

    def _ignore(self, connection: Connection) -> None:
        if _read(connection.sock) == b"":
            self._part(connection)

    def _part(self, connection: Connection) -> None:
        self.poller.unregister(connection.sock)
        del self._leaving[connection]
        self._close(connection)

    def murder_pending(self) -> None:
        """Close what has taken too long; called at least once a second."""
        now = time.monotonic()
        for waiting, end in (
            (self._arriving, partial(self._drop, answer=_TOO_SLOW)),
            (self._leaving, self._part),
        ):
            for connection in list(waiting):
                if self.alive and connection.deadline > now:
                    break
                end(connection)


def _read(client: socket.socket) -> bytes | None:
    """Read what there is: None for nothing yet, nothing where there will be no more."""
    try:
        return client.recv(PIECE)
    except BlockingIOError:
        return None
    except OSError:
        return b""
