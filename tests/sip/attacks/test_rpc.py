"""JSON-RPC is for the service alone: on a port of its own, away from the phones, and by token."""

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from provisioner.stack.stack import Stack
from tests.sip.attacks.nodes import Node, another_node
from tests.system import Place, System

HARNESS_PORT = 8090  # of JSON-RPC in docker-compose.yml
TIMEOUT = 5.0  # seconds for an answer
COMMAND = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "core.uptime"})
WHERE = ["cloudfire", "internet", "carriers"]
OPTIONS = (
    "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKstranger\r\n"
    "From: <sip:stranger@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: stranger\r\n"
    "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
HEALTHZ = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"

# What weakens a node: patterns of its configuration, and what stands there instead.
RPC_EVERYWHERE = {r"\tif \(\$Rp != KAMAILIO_RPC_PORT\) \{": "\tif ($Rp == 0) {"}
ANY_TOKEN = {r"\tif \(!strempty\(\$var\(token\)\) && [^\n]*return;\n": "\treturn;\n"}
SIP_ON_THE_RPC_PORT = {r"\tif \(\$Rp == KAMAILIO_RPC_PORT && \$proto == \"tcp\"\) exit;\n": ""}


def ask(
    address: tuple[str, int],
    headers: Mapping[str, str],
    *,
    path: str = "/rpc",
    method: str = "POST",
    source: str = "127.0.0.1",
) -> tuple[int, bytes]:
    """Ask for how long Kamailio runs; returns the answer's status and body."""
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT, source_address=(source, 0))
    try:
        connection.request(method, path, COMMAND, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def sip_port(place: Place) -> tuple[str, int]:
    return place.registrar.host, place.registrar.port


def rpc_port(node: Stack | Node) -> tuple[str, int]:
    parts = urlsplit(node.rpc_url)
    return str(parts.hostname), int(parts.port or 0)


def bearer(stack: Stack) -> dict[str, str]:
    return {"Authorization": f"Bearer {stack.rpc_token}"}


# Where phones are


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("path", ["/rpc", "/refuse", "/drop", "/healthz", "/metrics"])
def test_the_port_for_phones_knows_no_rpc(system: System, where: str, path: str) -> None:
    place: Place = getattr(system, where)
    answer = ask(sip_port(place), {"Authorization": "Bearer x"}, path=path, source=place.client)
    assert answer == (404, b"")


@pytest.mark.parametrize("where", WHERE)
def test_the_port_for_rpc_is_not_where_phones_are(
    request: pytest.FixtureRequest, system: System, where: str
) -> None:
    place: Place = getattr(system, where)
    if "TEST_API_URL" in os.environ:
        closed = (place.registrar.host, HARNESS_PORT)
    else:
        # It is on 127.0.0.1 alone, and the places are other addresses of the loopback.
        closed = (place.client, rpc_port(request.getfixturevalue("stack"))[1])
    with socket.create_connection(sip_port(place), TIMEOUT, (place.client, 0)):
        pass  # the control: there is a way
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(closed, TIMEOUT, (place.client, 0))


@pytest.mark.native
def test_the_port_for_phones_takes_no_token(system: System, stack: Stack) -> None:
    assert ask(sip_port(system.internet), bearer(stack)) == (404, b"")


# On the port for JSON-RPC


@pytest.mark.native
@pytest.mark.parametrize(
    "shown",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic {token}",
        "bearer {token}",
        "{token}",
        "Bearer {token}x",
        "Bearer {half}",
        "Bearer  {token}",
        "Bearer x, Bearer {token}",
    ],
)
@pytest.mark.parametrize("path", ["/rpc", "/refuse", "/drop"])
def test_without_the_token_nothing_is_done(stack: Stack, shown: str | None, path: str) -> None:
    token = stack.rpc_token
    headers = {}
    if shown is not None:
        headers = {"Authorization": shown.format(token=token, half=token[: len(token) // 2])}
    assert ask(rpc_port(stack), headers, path=path) == (401, b"")


@pytest.mark.native
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/rpc"), ("PUT", "/rpc"), ("POST", "/"), ("POST", "/RPC"), ("POST", "/rpc/x")],
)
def test_there_is_one_way_to_ask(stack: Stack, method: str, path: str) -> None:
    assert ask(rpc_port(stack), bearer(stack), method=method, path=path) == (404, b"")


@pytest.mark.native
def test_with_the_token_it_answers(stack: Stack) -> None:
    status, body = ask(rpc_port(stack), bearer(stack))
    assert status == 200
    assert "uptime" in json.loads(body)["result"]


def first_answer(address: tuple[str, int]) -> bytes:
    """Send SIP and then HTTP over one connection; return the first line that comes back."""
    with socket.create_connection(address, TIMEOUT) as connection:
        connection.sendall((OPTIONS + HEALTHZ).encode())
        return connection.makefile("rb").readline().rstrip()


@pytest.mark.native
def test_it_takes_no_sip(stack: Stack) -> None:
    assert first_answer(rpc_port(stack)) == b"HTTP/1.1 200 OK"


# Controls: the same against a node that is weak.


@pytest.fixture
def weak(
    request: pytest.FixtureRequest, stack: Stack, system: System, tmp_path: Path
) -> Iterator[Node]:
    """A node with the test's changes."""
    with another_node(stack, system, tmp_path, changes=request.param) as node:
        yield node


@pytest.mark.native
@pytest.mark.parametrize("weak", [RPC_EVERYWHERE], indirect=True)
def test_a_port_for_both_is_found(weak: Node, stack: Stack) -> None:
    status, body = ask(sip_port(weak.system.internet), bearer(stack))
    assert (status, "result" in json.loads(body)) == (200, True)


@pytest.mark.native
@pytest.mark.parametrize("weak", [ANY_TOKEN], indirect=True)
def test_a_token_that_is_not_asked_for_is_found(weak: Node) -> None:
    status, body = ask(rpc_port(weak), {})
    assert (status, "result" in json.loads(body)) == (200, True)


@pytest.mark.native
@pytest.mark.parametrize("weak", [SIP_ON_THE_RPC_PORT], indirect=True)
def test_sip_on_the_port_for_rpc_is_found(weak: Node) -> None:
    assert first_answer(rpc_port(weak)) == b"SIP/2.0 200 OK"
