"""HTTP/1.1 over one kept connection, on which several requests may be under way at once.

A request costs little more than its bytes, and many at once cost one round trip. What is sent must
bear to be sent again, for a kept connection may turn out to be dead.
"""

import socket
from collections.abc import Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import BinaryIO

HEADERS_MAX = 64  # of one answer
LINE_MAX = 8192  # bytes
# Requests that are sent at once, while as many are being answered. Kamailio reads 4 KB at once, and
# more in its socket than that makes each request slower.
FLIGHT = 6

Answer = tuple[int, bytes]  # status, body


class Malformed(OSError):
    """What answers does not speak HTTP."""


class KeptConnection:
    """A connection to one server, opened when it is needed, and again where it is dead."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        """Take the server's address; one wait for it is given up after `timeout` seconds."""
        self._address = host, port
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._answers: BinaryIO | None = None

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._answers is not None:
            with suppress(OSError):
                self._answers.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._answers = None

    def exchange(self, requests: Sequence[bytes]) -> list[Answer]:
        """Send requests and return their answers, in order. There are fewer where the server has
        closed the connection after the last of them.

        Raises:
            OSError: it does not answer.
        """
        if not requests:
            return []
        kept = self._socket is not None
        try:
            return self._attempt(requests)
        except OSError as error:
            self.close()
            if not kept or isinstance(error, TimeoutError):
                raise
        try:
            return self._attempt(requests)
        except OSError:
            self.close()
            raise

    def _attempt(self, requests: Sequence[bytes]) -> list[Answer]:
        connection, reader = self._opened()
        flights = [requests[start : start + FLIGHT] for start in range(0, len(requests), FLIGHT)]
        answers: list[Answer] = []
        connection.sendall(b"".join(flights[0]))
        try:
            for flight, following in zip_longest(flights, flights[1:], fillvalue=()):
                if following:
                    connection.sendall(b"".join(following))
                for _ in flight:
                    answers.append(_answer(reader))
        except ConnectionError:
            if not answers:
                raise
            self.close()
        return answers

    def _opened(self) -> tuple[socket.socket, BinaryIO]:
        if self._socket is None or self._answers is None:
            self._socket = socket.create_connection(self._address, self._timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._answers = self._socket.makefile("rb")
        return self._socket, self._answers


def request(path: str, host: str, headers: dict[str, str], body: bytes) -> bytes:
    """Make a POST request."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _answer(reader: BinaryIO) -> Answer:
    """Read one answer.

    Raises:
        ConnectionError: the server has closed the connection.
        Malformed: it is no answer.
    """
    version, _, rest = _line(reader).partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise Malformed("the answer is not HTTP")
    length = 0
    for _ in range(HEADERS_MAX):
        line = _line(reader)
        if not line:
            break
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = _length(value)
    else:
        raise Malformed("the answer has too many headers")
    body = reader.read(length)
    if len(body) < length:
        raise ConnectionResetError("the answer ends early")
    return int(rest[:3]), body


def _line(reader: BinaryIO) -> bytes:
    line = reader.readline(LINE_MAX)
    if not line:
        raise ConnectionResetError("the connection was closed")
    if not line.endswith(b"\n"):
        raise Malformed("the answer has a line that does not end")
    return line.rstrip(b"\r\n")


def _length(value: bytes) -> int:
    if not value.strip().isdigit():
        raise Malformed("the answer's length is no number")
    return int(value)
