import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from provisioner.keepalive import FLIGHT, KeptConnection, Malformed, request

TIMEOUT = 2.0  # seconds
ASK = request("/rpc", "node", {"Authorization": "Bearer token"}, b"ask")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def serving(*clients: Callable[[socket.socket], None]) -> Iterator[KeptConnection]:
    """A server that treats each connection as told, one after another."""

    def serve(listener: socket.socket) -> None:
        for treat in clients:
            with listener.accept()[0] as client:
                treat(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=(listener,))
        thread.start()
        connection = KeptConnection("127.0.0.1", listener.getsockname()[1], TIMEOUT)
        try:
            yield connection
        finally:
            connection.close()
            thread.join()


def answering(count: int, answer: bytes = ANSWER) -> Callable[[socket.socket], None]:
    """Answer as many requests, then hang up."""

    def treat(client: socket.socket) -> None:
        reader = client.makefile("rb")
        for _ in range(count):
            assert reader.read(len(ASK)) == ASK
            client.sendall(answer)

    return treat


def test_many_requests_are_answered_in_order() -> None:
    count = FLIGHT * 2 + 1

    def numbered(client: socket.socket) -> None:
        reader = client.makefile("rb")
        for number in range(count):
            reader.read(len(ASK))
            body = str(number).encode()
            client.sendall(b"HTTP/1.1 500 No\r\ncontent-length:%d\r\n\r\n%b" % (len(body), body))

    with serving(numbered) as connection:
        answers = connection.exchange([ASK] * count)
    assert answers == [(500, str(number).encode()) for number in range(count)]


def test_a_dead_connection_is_opened_again() -> None:
    with serving(answering(1), answering(2)) as connection:
        assert connection.exchange([ASK]) == [(200, b"ok")]
        assert connection.exchange([ASK, ASK]) == [(200, b"ok")] * 2


def test_what_was_said_before_hanging_up_is_kept() -> None:
    with serving(answering(1)) as connection:
        assert connection.exchange([ASK] * 3) == [(200, b"ok")]


def test_a_server_that_only_hangs_up_does_not_answer() -> None:
    with serving(answering(0)) as connection, pytest.raises(ConnectionError):
        connection.exchange([ASK])


@pytest.mark.parametrize(
    "answer",
    [
        b"SIP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000 + b"\r\n\r\n",
    ],
)
def test_an_answer_that_is_not_http_is_none(answer: bytes) -> None:
    with serving(answering(1, answer)) as connection, pytest.raises(Malformed):
        connection.exchange([ASK])


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = KeptConnection("127.0.0.1", listener.getsockname()[1], 0.05)
        with pytest.raises(TimeoutError):
            silent.exchange([ASK])
        silent.close()
