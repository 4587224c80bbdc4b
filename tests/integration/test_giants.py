"""Requests of any size: refused early, and in bounded memory.

The control is the same server without its bounds.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, repeat

import pytest

from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.integration.databases import Databases
from tests.integration.serving import HOST, Server, served

pytestmark = pytest.mark.native

MEGABYTE = 1024 * 1024
SENT_MAX = 64 * MEGABYTE  # bytes of one request
GROWTH_MAX = 40 * MEGABYTE  # bytes of memory that the server takes for it
PIECE = b"x" * 65536
HEAD = b"POST /console/login HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n"
FORM = HEAD + b"Content-Type: application/x-www-form-urlencoded\r\n"
HOOK = b"POST /hooks/v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

# How each begins, and goes on for ever.
GIANTS = {
    "a request line": (b"GET /", PIECE),
    "a header": (HEAD + b"X: ", PIECE),
    "headers": (HEAD, b"X-Header: something\r\n" * 3000),
    "blank lines": (b"", b"\r\n" * 32768),
    "a form by its length": (FORM + b"Content-Length: 99999999999\r\n\r\n", PIECE),
    "a form in chunks": (
        FORM + b"Transfer-Encoding: chunked\r\n\r\n",
        b"10000\r\n" + PIECE + b"\r\n",
    ),
    "a line of a chunk": (FORM + b"Transfer-Encoding: chunked\r\n\r\n1;", PIECE),
    "an event by its length": (HOOK + b"Content-Length: 99999999999\r\n\r\n", PIECE),
    "an event in chunks": (
        HOOK + b"Transfer-Encoding: chunked\r\n\r\n",
        b"10000\r\n" + PIECE + b"\r\n",
    ),
    "trailers": (FORM + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 10000),
}
UNBOUNDED = """
from provisioner import app, arrival, reception
from provisioner.api import hooks
app.BODY_MAX = hooks.BODY_MAX = arrival.HEAD_MAX = arrival.WHOLE_MAX = 1 << 40
reception.HELD_MAX = 1 << 40
"""


@pytest.fixture(scope="module")
def server(
    databases: Databases, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with databases.lent() as settings:
        log = tmp_path_factory.mktemp("giants") / "serve.log"
        with served(settings, stack, log) as server:
            yield server


@pytest.fixture(scope="module")
def unbounded(
    databases: Databases, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with databases.lent() as settings:
        log = tmp_path_factory.mktemp("unbounded") / "serve.log"
        with served(settings, stack, log, weakened=UNBOUNDED) as server:
            yield server


def status_of(server: Server, giant: str) -> int | None:
    """Send a giant until the server ends it; the status, None where the connection was cut."""
    begin, more = GIANTS[giant]
    sent = 0
    with socket.create_connection((HOST, server.port), timeout=10) as client:
        with suppress(OSError):
            for piece in chain([begin], repeat(more)):
                client.sendall(piece)
                sent += len(piece)
                if sent > SENT_MAX:
                    break
        with suppress(OSError):
            if found := re.match(rb"HTTP/1\.1 (\d{3})", client.recv(4096)):
                return int(found[1])
    return None


def test_giants_take_no_memory(server: Server, figures: Figures) -> None:
    before = server.memory()
    statuses = {giant: status_of(server, giant) for giant in GIANTS}
    assert all(one is None or 400 <= one < 500 for one in statuses.values()), statuses
    assert statuses["a form by its length"] == statuses["an event by its length"] == 413
    grown = server.memory() - before
    assert grown < GROWTH_MAX
    assert "Traceback" not in server.logged()
    figures(f"memory for {len(GIANTS)} requests of 64 MiB", f"{grown / MEGABYTE:.1f} MiB")


def test_without_bounds_one_would(unbounded: Server) -> None:
    before = unbounded.memory()
    status_of(unbounded, "a form in chunks")
    assert unbounded.memory() - before > GROWTH_MAX
