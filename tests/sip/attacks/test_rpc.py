"""JSON-RPC is for the service alone: on a port of its own, away from the phones, and by token."""

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from provisioner.errors import RpcFailed
from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.clients import Wire
from tests.system import Place, System, eventually

HARNESS_PORT = 8090  # of JSON-RPC in docker-compose.yml
TIMEOUT = 5.0  # seconds for an answer
SILENT = 1.0  # seconds after which there is none: Kamailio does not answer what is not JSON
COMMAND = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "core.uptime", "params": []})
WHERE = ["cloudfire", "internet", "carriers"]
OPTIONS = (
    "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKstranger\r\n"
    "From: <sip:stranger@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: stranger\r\n"
    "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
HEALTHZ = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"

# What weakens a node: patterns of its configuration, and what stands there instead.
RPC_EVERYWHERE = {r"\tif \(\$Rp != KAMAILIO_RPC_PORT\) \{": "\tif ($Rp == 0) {"}
ANY_TOKEN = {r"\tif \(!strempty\(\$var\(token\)\) && [^\n]* \{": "\tif (1 == 1) {"}
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


# With the service's token nothing is carried out but what the service asks: whoever has stolen it
# reads no hash. The control is the token that opens everything, which no system has by itself.


def root(stack: Stack) -> dict[str, str]:
    return {"Authorization": f"Bearer {stack.rpc_root_token}"}


def say(
    node: Stack | Node, headers: Mapping[str, str], body: bytes, *, patience: float = TIMEOUT
) -> tuple[int, bytes]:
    """Send a body as it is; returns the answer's status and body, 0 where there is none."""
    connection = http.client.HTTPConnection(*rpc_port(node), timeout=patience)
    try:
        connection.request("POST", "/rpc", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (TimeoutError, http.client.HTTPException, ConnectionError):
        return 0, b""
    finally:
        connection.close()


def command(method: str, *parameters: object) -> bytes:
    """Write a command as the service does."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
    return json.dumps(body).encode()


@pytest.fixture
def hashed(system: System, kamailio: KamailioNode) -> tuple[str, bytes]:
    """The name of an account that the node remembers, and its hash there."""
    line = system.new_line()
    name, place = line.credentials.username, system.internet
    headers = {"Contact": f"<sip:{name}@{place.client}:5999>"}  # one binding, however often

    def is_remembered() -> bool:
        with Wire(place.registrar, place.client) as phone:
            assert phone.register(line.credentials, headers=headers).status == 200
        with suppress(RpcFailed):
            return bool(kamailio.call("htable.get", "cached", name))
        return False

    eventually(is_remembered)
    value = kamailio.call("htable.get", "cached", name)["item"]["value"]
    return name, value.split("|")[1].encode()


HEAD = '{"jsonrpc": "2.0", "id": 1, '
READ = '"method": "htable.get", "params": ["cached", "NAME"]'
HARMLESS = '"method": "core.uptime", "params": []'
LOOKUP = '"method": "ul.lookup", "params": ["location", "'
# Ways to write it. `True`: Kamailio understands it, which the control shows.
TRICKS = {
    "plainly": (f"{HEAD}{READ}}}", True),
    "all of them": (f'{HEAD}"method": "htable.dump", "params": ["cached"]}}', True),
    "an escape in the method": (f"{HEAD}{READ}}}".replace("htable", "\\u0068table"), True),
    "an escape in the table": (f"{HEAD}{READ}}}".replace("cached", "\\u0063ached"), True),
    "an escape in a name": (f"{HEAD}{READ}}}".replace("method", "\\u006dethod"), True),
    "a backslash too many": (f"{HEAD}{READ}}}".replace("htable", "\\htable"), True),
    "names in capitals": (f"{HEAD}{READ}}}".replace("method", "METHOD"), True),
    "a method in capitals": (f"{HEAD}{READ}}}".replace("htable", "HTABLE"), False),
    "the method twice": (f"{HEAD}{READ}, {HARMLESS}}}", True),
    "the method twice, the other way round": (f"{HEAD}{HARMLESS}, {READ}}}", False),
    "the method before all": (f'{{{READ}, {HARMLESS}, "jsonrpc": "2.0", "id": 1}}', True),
    "parameters twice": (
        f'{HEAD}"method": "htable.get", "params": ["ban", "x"], "params": ["cached", "NAME"]}}',
        False,
    ),
    "parameters by name": (
        f'{HEAD}"method": "htable.get", "params": {{"ban": "cached", "key": "NAME"}}}}',
        True,
    ),
    "too many parameters": (f"{HEAD}{READ}}}".replace('"NAME"', '"NAME", "ban"'), True),
    "without spaces": (f"{HEAD}{READ}}}".replace(" ", ""), True),
    "with more space": (f"\t{HEAD}{READ}}}".replace(" ", "\n"), True),
    "space at the end": (f"{HEAD}{READ}}} ", True),
    "another number": (f"{HEAD}{READ}}}".replace("1, ", '"core.uptime", '), True),
    "more beside it": (f'{{"x": {{{HARMLESS}}}, {HEAD[1:]}{READ}}}', True),
    "many at once": (f"[{HEAD}{READ}}}, {HEAD}{HARMLESS}}}]", False),
    "one after the other": (f"{HEAD}{HARMLESS}}}{HEAD}{READ}}}", False),
    "the other after the one": (f"{HEAD}{READ}}}\n{HEAD}{HARMLESS}}}", True),
    "a line first": (f"\n{HEAD}{READ}}}\n", True),
    "the end before the end": (f"{HEAD}{READ}}}\0{HEAD}{HARMLESS}}}", False),
    "an end in the middle": (f"{HEAD}{HARMLESS}}}\0{HEAD}{READ}}}", False),
    "out of a string": (f'{HEAD}{LOOKUP}x"], {READ}}}', False),
    "out of a string by a backslash": (f'{HEAD}{LOOKUP}\\\\"], {READ}, "x": ["\\"]}}', False),
    "a string that does not end": (f"{HEAD}{READ[:-2]}", False),
    "a list within": (f'{HEAD}{LOOKUP}x", [{{{READ}}}]]}}', False),
}


@pytest.mark.native
@pytest.mark.parametrize("trick", TRICKS)
def test_the_services_token_reads_no_hash(
    stack: Stack, hashed: tuple[str, bytes], trick: str
) -> None:
    name, ha1 = hashed
    written, understood = TRICKS[trick]
    body = written.replace("NAME", name).encode()
    assert ha1 not in say(stack, bearer(stack), body)[1]
    patience = TIMEOUT if understood else SILENT
    assert (ha1 in say(stack, root(stack), body, patience=patience)[1]) is understood


REQUESTS = {
    "GET": "GET /rpc HTTP/1.1\r\n{token}Content-Length: {length}\r\n\r\n{body}",
    "PUT": "PUT /rpc HTTP/1.1\r\n{token}Content-Length: {length}\r\n\r\n{body}",
    "a query": "POST /rpc?/rpc HTTP/1.1\r\n{token}Content-Length: {length}\r\n\r\n{body}",
    "no length": "POST /rpc HTTP/1.1\r\n{token}\r\n{body}",
    "two lengths": "POST /rpc HTTP/1.1\r\n{token}Content-Length: 0\r\n"
    "Content-Length: {length}\r\n\r\n{body}",
    "chunks": "POST /rpc HTTP/1.1\r\n{token}Transfer-Encoding: chunked\r\n\r\n"
    "{length:x}\r\n{body}\r\n0\r\n\r\n",
    "a body behind the body": "POST /rpc HTTP/1.1\r\n{token}Content-Length: {first}\r\n\r\n"
    "{harmless}{body}",
    "two bodies in one": "POST /rpc HTTP/1.1\r\n{token}Content-Length: {both}\r\n\r\n"
    "{harmless}{body}",
}


def read_by(stack: Stack, token: str, name: str, written: str) -> bytes:
    """Ask for an account's hash in a request as it is written; returns all that comes back."""
    body, harmless = f"{HEAD}{READ}}}".replace("NAME", name), f"{HEAD}{HARMLESS}}}"
    sent = written.format(
        token=f"Authorization: Bearer {token}\r\n",
        length=len(body),
        body=body,
        harmless=harmless,
        first=len(harmless),
        both=len(harmless) + len(body),
    )
    answer = b""
    with socket.create_connection(rpc_port(stack), SILENT) as connection:
        connection.sendall(sent.encode() + HEALTHZ.encode())
        with suppress(TimeoutError, ConnectionError):
            while not answer.endswith(b"OK") and (more := connection.recv(65536)):
                answer += more
    return answer


@pytest.mark.native
@pytest.mark.parametrize("written", REQUESTS)
def test_nor_does_it_in_another_kind_of_request(
    stack: Stack, hashed: tuple[str, bytes], written: str
) -> None:
    name, ha1 = hashed
    assert ha1 not in read_by(stack, stack.rpc_token, name, REQUESTS[written])
    plain = REQUESTS["PUT"].replace("PUT", "POST")
    assert ha1 in read_by(stack, stack.rpc_root_token, name, plain)  # the control


@pytest.mark.native
def test_nor_the_secret_of_nonces(stack: Stack) -> None:
    asked = command("htable.get", "node", "secret")
    secret = json.loads(say(stack, root(stack), asked)[1])["result"]["item"]["value"].encode()
    assert secret not in say(stack, bearer(stack), asked)[1]
    asked = command("htable.get", "node", "incarnation")
    assert say(stack, bearer(stack), asked)[0] == 200


ALLOWED = {
    *("core.uptime", "dispatcher.list", "dispatcher.reload", "dlg.briefing", "dlg.end_dlg"),
    *("dlg.stats_active", "htable.delete", "htable.dump", "htable.flush", "htable.get"),
    *("htable.seti", "permissions.addressDump", "permissions.addressReload"),
    *("permissions.subnetDump", "tls.reload", "ul.dump", "ul.lookup", "ul.rm", "ul.rm_contact"),
}


@pytest.mark.native
def test_no_other_command_is_carried_out(
    stack: Stack, kamailio: KamailioNode, figures: Figures
) -> None:
    """Each of the rest with several kinds of parameters."""
    methods = set(kamailio.call("system.listMethods"))
    assert methods > ALLOWED
    others = sorted(methods - ALLOWED)
    assert len(others) > 100
    lists: list[tuple[object, ...]] = [
        (),
        ("brief",),
        ("location", "x"),
        ("node", "draining"),
        (1, 1),
    ]
    answers = [
        say(stack, bearer(stack), command(method, *parameters))
        for method in others
        for parameters in lists
    ]
    figures("commands refused to the service's token", f"{len(others)} of {len(methods)}")
    assert {status for status, _ in answers} == {403}


@pytest.mark.native
@pytest.mark.parametrize(
    "parameters",
    [
        ("htable.get", "cached", "1"),
        ("htable.get", "node", "secret"),
        ("htable.get", "asked", "0000"),
        ("htable.dump", "node"),
        ("htable.dump", "page"),
        ("htable.seti", "cached", "1", 1),
        ("htable.seti", "node", "secret", 1),
        ("htable.seti", "ban", "192.0.2.1", 1),
        ("htable.seti", "ready", "node", 2),
        ("htable.delete", "cached", "1"),
        ("htable.delete", "node", "secret"),
        ("htable.delete", "fence", "1"),
        ("htable.flush", "fence"),
        ("htable.flush", "ban"),
        ("ul.dump",),
        ("ul.rm", "other", "1@x"),
        ("dlg.briefing", "ftcFT"),
        ("core.uptime", "x"),
    ],
)
def test_of_a_command_that_is_used_the_rest_is_not_allowed(
    stack: Stack, parameters: tuple[str, ...]
) -> None:
    assert say(stack, bearer(stack), command(*parameters))[0] == 403


@pytest.mark.native
@pytest.mark.parametrize(
    "name", ['"', "\\", '\\"', "\x01\n\t", "\udce9\udcff", "é", "]}", '", "', ""]
)
def test_devices_may_be_called_anything(stack: Stack, name: str) -> None:
    """The service has to be able to name them."""
    with closing(KamailioNode(stack.rpc_url, stack.rpc_token)) as node:
        assert node.bindings(f"{name}@nowhere.test") == []
        node.drop_binding(f"{name}@nowhere.test", name)
        assert node.bans_of(["192.0.2.1"], name) == []


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
