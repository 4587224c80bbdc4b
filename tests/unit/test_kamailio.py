import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from provisioner.errors import NodeUnavailable, RpcFailed
from provisioner.kamailio import Binding, Destination, Drop, KamailioNode
from provisioner.sources import is_inside

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONTACT = {
    "Address": "sip:390612345678@192.168.1.7:5062;transport=tcp",
    "Expires": 300,
    "Last-Modified": 1767225600,
    "User-Agent": "Desk phone",
    "Received": "sip:203.0.113.7:41000;transport=TCP",
    "Ruid": "uloc-1-2-3",
}


def binding(**fields: Any) -> Binding:
    return Binding.from_rpc(CONTACT | fields, NOW)


def test_a_bindings_source_is_where_it_came_from() -> None:
    seen = binding()
    assert (seen.source, seen.source_address) == ("203.0.113.7:41000", "203.0.113.7")
    assert seen.transport == "tcp"
    assert seen.contact == CONTACT["Address"]
    assert seen.expires_at == NOW + timedelta(seconds=300)


def test_without_a_source_the_contact_stands_for_it() -> None:
    assert binding(Received="[not set]").source == "192.168.1.7:5062"


def test_without_a_transport_it_is_udp() -> None:
    assert binding(Received="sip:203.0.113.7:41000").transport == "udp"


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sip:[2001:db8::7]:5060", "2001:db8::7"),
        ("sip:[2001:db8::7]", "2001:db8::7"),
        ("sip:203.0.113.7", "203.0.113.7"),
        ("sip:phone.example", "phone.example"),
    ],
)
def test_a_source_without_its_port_is_an_address(uri: str, address: str) -> None:
    assert binding(Received=uri).source_address == address


@pytest.mark.parametrize("word", ["expired", "deleted"])
def test_a_binding_that_is_over_expires_now(word: str) -> None:
    assert binding(Expires=word).expires_at == NOW


@pytest.mark.parametrize(
    ("source", "inside"),
    [
        ("127.0.10.1", True),
        ("127.0.11.1", False),
        ("2001:db8::1", True),
        ("::1", False),
        ("phone.example", False),
        ("", False),
    ],
)
def test_a_source_is_inside_one_of_the_networks_or_not(source: str, inside: bool) -> None:
    assert is_inside(source, ["127.0.10.0/24", "2001:db8::/32"]) is inside


@contextmanager
def node(answer: Callable[[str, dict[str, str], Any], tuple[int, Any]]) -> Iterator[KamailioNode]:
    """A node that answers a path, headers and a command as told."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            command = json.loads(body) if body.startswith(b"{") else body.decode() or None
            status, content = answer(self.path, dict(self.headers), command)
            sent = b"" if content is None else json.dumps(content).encode()
            sent = content.encode() if isinstance(content, str) else sent
            self.send_response(status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        one = KamailioNode(f"http://127.0.0.1:{server.server_port}/rpc", "the token")
        try:
            yield one
        finally:
            one.close()
            server.shutdown()
            thread.join()


@contextmanager
def answering(result: Any = None, error: str = "") -> Iterator[KamailioNode]:
    """A node that answers every command alike."""
    content = {"error": {"code": 500, "message": error}} if error else {"result": result}
    with node(lambda *_: (500 if error else 200, content)) as one:
        yield one


def test_a_trunk_is_asked_where_its_flags_say_so() -> None:
    item = {"URI": "sip:203.0.113.5:5060", "FLAGS": "IP", "PRIORITY": 3}
    assert Destination.from_rpc(1, item) == Destination(1, "sip:203.0.113.5:5060", 3, True, "")
    teams = {"URI": "sip:t:5061", "FLAGS": "AX", "PRIORITY": 0, "ATTRS": {"BODY": "fqdn=a"}}
    assert Destination.from_rpc(1001, teams) == Destination(1001, "sip:t:5061", 0, False, "fqdn=a")


def test_the_trunks_of_all_sets_are_one_list() -> None:
    target = {"DEST": {"URI": "sip:203.0.113.5:5060", "FLAGS": "AX", "PRIORITY": 0}}
    sets = [{"SET": {"ID": number, "TARGETS": [target]}} for number in (1, 1001)]
    with answering({"NRSETS": 2, "RECORDS": sets}) as one:
        assert {(found.set_id, found.uri) for found in one.trunks() or ()} == {
            (1, "sip:203.0.113.5:5060"),
            (1001, "sip:203.0.113.5:5060"),
        }


def test_a_node_without_trunks_has_an_empty_list() -> None:
    with answering(error="No Destination Sets") as one:
        assert one.trunks() == set()


def test_a_node_without_the_modules_has_neither_trunks_nor_calls() -> None:
    with answering(error="Method Not Found") as one:
        assert one.trunks() is None
        assert one.dialogs() is None
        one.reload_trunks()


def test_a_reload_that_is_refused_is_an_error() -> None:
    with answering(error="Ongoing reload") as one, pytest.raises(RpcFailed, match="Ongoing"):
        one.reload_trunks()


def test_a_dialog_is_named_by_numbers_without_sign() -> None:
    with answering([{"h_entry": 7, "h_id": -1}, {"h_entry": 8, "h_id": 2}]) as one:
        assert one.dialogs() == {(7, 2**32 - 1), (8, 2)}


def test_a_call_that_has_ended_is_not_ended_again() -> None:
    with answering(error="Dialog not found") as one:
        one.end_call(7, 8, "61")


def test_a_process_names_itself_or_does_not() -> None:
    with answering({"item": {"name": "incarnation", "value": "node1/uuid"}}) as one:
        assert one.incarnation() == "node1/uuid"
    with answering(error="Key name doesn't exist in htable.") as one:
        assert one.incarnation() is None


@pytest.mark.parametrize(("status", "refused"), [(204, True), (404, False)])
def test_a_call_that_rings_is_refused_by_its_invite(status: int, refused: bool) -> None:
    seen = []

    def answer(path: str, headers: dict[str, str], _: Any) -> tuple[int, Any]:
        seen.append((path, headers["X-Call-ID"], headers["X-CSeq"], headers["Authorization"]))
        return status, None

    with node(answer) as one:
        assert one.refuse_call("6162", 7) is refused
    assert seen == [("/refuse", "6162", "7", "Bearer the token")]


def test_a_refusal_with_a_wrong_token_is_an_error() -> None:
    with node(lambda *_: (401, None)) as one, pytest.raises(RpcFailed, match="401"):
        one.refuse_call("6162", 7)


def test_of_many_accounts_a_node_is_told_in_one_request() -> None:
    seen = []

    def answer(path: str, _: dict[str, str], body: Any) -> tuple[int, Any]:
        seen.append((path, body))
        return 200, "2;"

    with node(answer) as one:
        assert one.drop_all([Drop("1", "1@realm", 7), Drop("2", None, None)]) == [None, None]
    assert seen == [("/drop", "1|8|1@realm;2|-|-;")]


def test_more_accounts_than_fit_into_a_request_are_several() -> None:
    seen = []

    def answer(_: str, __: dict[str, str], body: Any) -> tuple[int, Any]:
        seen.append(body)
        return 200, f"{body.count(';')};"

    many = [Drop(f"{n:015}", f"{n:015}@{'r' * 64}", 2**31 - 3) for n in range(100)]
    with node(answer) as one:
        assert one.drop_all(many) == [None] * 100
    assert "".join(seen) == b"".join(each.line() for each in many).decode()
    assert max(map(len, seen)) < 4096 - 512  # with the headers in one read of Kamailio's


@pytest.mark.parametrize(
    ("status", "content"), [(404, None), (200, "1;"), (200, ""), (200, "OK"), (500, "2;")]
)
def test_a_node_that_did_not_do_all_at_once_is_told_one_by_one(status: int, content: Any) -> None:
    """One of an older configuration, for instance."""
    seen = []

    def answer(path: str, _: dict[str, str], command: Any) -> tuple[int, Any]:
        if path == "/drop":
            return status, content
        seen.append((command["method"], command["params"][1]))
        return 200, {"result": "ok"}

    dropped = [Drop("1", "1@realm", 7), Drop("2", "2@realm", None)]
    with node(answer) as one:
        assert one.drop_all(dropped) == [None, None]
    assert seen == [("htable.seti", "1"), ("ul.rm", "1@realm"), ("ul.rm", "2@realm")]


def test_of_many_accounts_those_are_named_that_the_node_refused() -> None:
    def answer(path: str, _: dict[str, str], command: Any) -> tuple[int, Any]:
        if path == "/drop":
            return 200, "3;1;2;"
        errors = {"1@realm": "AOR not found", "2@realm": "no memory"}
        message = errors.get(command["params"][1])
        if message:
            return 500, {"error": {"code": 500, "message": message}}
        raise AssertionError("the third was done")

    with node(answer) as one:
        first, second, third = one.drop_all([Drop(n, f"{n}@realm", None) for n in "123"])
    assert (first, third) == (None, None)
    assert second is not None
    assert second.message == "no memory"


def test_a_node_that_refuses_the_token_has_done_nothing_for_anybody() -> None:
    with node(lambda *_: (401, None)) as one:
        failures = one.drop_all([Drop(n, f"{n}@realm", 7) for n in "12"])
    assert all(failures)


def test_a_node_that_goes_away_halfway_has_not_done_the_rest() -> None:
    seen = 0

    def answer(*_: Any) -> tuple[int, Any]:
        nonlocal seen
        seen += 1
        if seen > 1:
            raise ConnectionAbortedError
        return 200, {"result": "ok"}

    with node(answer) as one, pytest.raises(NodeUnavailable):
        one.drop_all([Drop(n, f"{n}@realm", None) for n in "12"])


def test_nothing_to_drop_is_nothing_to_tell() -> None:
    with node(lambda *_: (500, None)) as one:
        assert one.drop_all([]) == []
