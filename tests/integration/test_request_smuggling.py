"""Requests that a proxy and a server could take apart differently: no second one is found in them.

The control is a server that reads Content-Length and nothing else, as careless ones do.
"""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from provisioner.stack.stack import Stack
from tests.integration.databases import Databases
from tests.integration.serving import HOST, Server, served

pytestmark = pytest.mark.native

HIDDEN = "/livez/hidden"
SECOND = f"GET {HIDDEN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SECOND), SECOND)
END = b"0\r\n\r\n"
LENGTH = b"Content-Length: 4\r\n"  # of what says how long the chunk is


def post(headers: bytes, body: bytes) -> bytes:
    return b"POST /livez HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n" + body


SMUGGLED = {
    "length and chunks": post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", END + SECOND),
    "chunks and length": post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", CHUNK),
    "two lengths": post(b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(SECOND), SECOND),
    "a list of lengths": post(b"Content-Length: 0, %d\r\n" % len(SECOND), SECOND),
    "a length with a sign": post(b"Content-Length: +0\r\n", SECOND),
    "a length in hexadecimal": post(b"Content-Length: 0x0\r\n", SECOND),
    "a length with an underscore": post(b"Content_Length: %d\r\n" % len(SECOND), SECOND),
    "a length after a blank": post(b"Content-Length : %d\r\n" % len(SECOND), SECOND),
    "a folded length": post(b"Content-Length:\r\n %d\r\n" % len(SECOND), SECOND),
    "chunks after a blank": post(b"Transfer-Encoding : chunked\r\n" + LENGTH, CHUNK),
    "chunks by another name": post(b"Transfer-Encoding: xchunked\r\n" + LENGTH, CHUNK),
    "chunks twice": post(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + LENGTH, CHUNK
    ),
    "chunks and identity": post(b"Transfer-Encoding: chunked, identity\r\n" + LENGTH, CHUNK),
    "folded chunks": post(b"Transfer-Encoding:\r\n chunked\r\n" + LENGTH, CHUNK),
    "chunks after a bare line feed": post(b"X: y\nTransfer-Encoding: chunked\r\n" + LENGTH, CHUNK),
    "chunks with a NUL": post(b"Transfer-Encoding: chunked\x00\r\n" + LENGTH, CHUNK),
    "a chunk with a sign": post(b"Transfer-Encoding: chunked\r\n", b"+0\r\n\r\n" + SECOND),
    "a chunk with a prefix": post(b"Transfer-Encoding: chunked\r\n", b"0x0\r\n\r\n" + SECOND),
    "a chunk beyond 64 bits": post(b"Transfer-Encoding: chunked\r\n", b"f" * 17 + CHUNK),
    "a chunk that ends early": post(
        b"Transfer-Encoding: chunked\r\n", b"1\r\nxy\r\n" + END + SECOND
    ),
    "a request line with a second": b"GET /livez HTTP/1.1\rHost: x\r" + SECOND,
}


@pytest.fixture(scope="module")
def server(
    databases: Databases, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with databases.lent() as settings:
        log = tmp_path_factory.mktemp("smuggling") / "serve.log"
        with served(settings, stack, log) as server:
            yield server


@contextmanager
def careless() -> Iterator[tuple[int, list[str]]]:
    """A server that believes the length that it can read; its port, and what it is asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            asked.append(self.path)
            length = self.headers.get("Content-Length", "0")
            self.rfile.read(int(length) if length.isdigit() else 0)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()


def exchanged(port: int, sent: bytes) -> bytes:
    """Send bytes and nothing more; return all that is answered."""
    answer = b""
    with socket.create_connection((HOST, port), timeout=10) as client, suppress(OSError):
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        while piece := client.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize("attack", SMUGGLED)
def test_no_second_request_is_found_in_one(server: Server, attack: str) -> None:
    answer = exchanged(server.port, SMUGGLED[attack])
    statuses = re.findall(rb"HTTP/1\.1 (\d{3})", answer)
    assert len(statuses) <= 1, answer
    assert f'"GET {HIDDEN}"' not in server.logged()


def test_a_careless_server_would_find_it() -> None:
    found = set()
    for attack, sent in SMUGGLED.items():
        with careless() as (port, asked):
            exchanged(port, sent)
            if HIDDEN in asked:
                found.add(attack)
    assert len(found) > len(SMUGGLED) / 2, found
