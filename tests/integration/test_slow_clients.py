"""Clients that send slowly, or nothing, or do not read: everybody else is served meanwhile.

The control is the same server with gunicorn's own workers, which give a thread to each connection.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from provisioner import server
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.integration.databases import Databases
from tests.integration.serving import HOST, Server, served

pytestmark = pytest.mark.native

CLIENTS = 4 * server.WORKERS * server.THREADS
REQUESTS = 20  # of an honest client, because processes take connections as they like
Served = Iterator[Server]
PATIENCE = 2.0  # seconds in which an honest request is answered
WEAKENED = "import provisioner.server; provisioner.server.WORKER_CLASS = 'gthread'"

WHOLE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
BEGUN = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "
LOGIN = (
    b"POST /console/login HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
)
ATTACKS = {
    "nothing at all": b"",
    "blank lines": b"\r\n\r\n",
    "half a head": BEGUN,
    "half a body": LOGIN + b"Content-Length: 1000\r\n\r\ncsrf_token=",
    "half a chunk": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n100\r\ncsrf_token=",
    "half a second request": WHOLE + BEGUN,
    "an answer left unread": b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
}
SHORT = ("half a head", "half a body")  # of the controls, which take as long as one has patience


@contextmanager
def slow_clients(port: int, sent: bytes, count: int = CLIENTS) -> Iterator[list[socket.socket]]:
    """Clients that have sent just this much, and keep their connections."""
    with ExitStack() as held:
        clients = []
        for _ in range(count):
            client = held.enter_context(socket.create_connection((HOST, port), timeout=5))
            client.sendall(sent)
            clients.append(client)
        if sent == WHOLE + BEGUN:
            with suppress(TimeoutError):  # those that no thread is left for
                assert all(client.recv(12) == b"HTTP/1.1 200" for client in clients)
        yield clients


def longest_wait(port: int) -> float:
    """How long an honest client waits for one of his requests; he has some patience."""
    longest = 0.0
    for _ in range(REQUESTS):
        longest = max(longest, seconds_of_request(port))
        if longest >= PATIENCE:
            break
    return longest


def seconds_of_request(port: int) -> float:
    began = time.monotonic()
    connection = HTTPConnection(HOST, port, timeout=PATIENCE)
    try:
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
    except TimeoutError:
        return PATIENCE
    finally:
        connection.close()
    return time.monotonic() - began


@pytest.fixture(scope="module")
def ours(databases: Databases, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Served:
    with databases.lent() as settings:
        log = tmp_path_factory.mktemp("ours") / "serve.log"
        with served(settings, stack, log) as server:
            yield server


@pytest.fixture(scope="module")
def weakened(
    databases: Databases, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Served:
    """The same with gunicorn's own workers."""
    with databases.lent() as settings:
        log = tmp_path_factory.mktemp("weakened") / "serve.log"
        with served(settings, stack, log, weakened=WEAKENED) as server:
            yield server


@pytest.mark.parametrize("attack", ATTACKS)
def test_slow_clients_keep_nobody_waiting(ours: Server, attack: str) -> None:
    with slow_clients(ours.port, ATTACKS[attack]):
        assert longest_wait(ours.port) < PATIENCE
    assert "Traceback" not in ours.logged()


@pytest.mark.parametrize(
    "attack",
    [one if one in SHORT else pytest.param(one, marks=pytest.mark.attack) for one in ATTACKS],
)
def test_a_server_that_gives_each_a_thread_would_keep_them_waiting(
    weakened: Server, attack: str
) -> None:
    with slow_clients(weakened.port, ATTACKS[attack]):
        assert longest_wait(weakened.port) == PATIENCE


def test_what_does_not_come_in_time_or_without_end_is_refused(
    settings: Settings, stack: Stack, tmp_path: Path
) -> None:
    hasty = "from provisioner import reception; reception.ARRIVAL_SECONDS = 2"
    with served(settings, stack, tmp_path / "serve.log", weakened=hasty) as server:
        for sent, status in ((BEGUN, b"408"), (BEGUN + b"x" * 70_000, b"431"), (b"", b"")):
            with slow_clients(server.port, sent, count=1) as (client,):
                assert client.recv(12)[9:] == status
