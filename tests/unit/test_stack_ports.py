import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.stack import ports
from provisioner.stack.errors import StackError
from provisioner.stack.ports import Endpoint, PortBook, free_port, is_free, tcp, udp_and_tcp

LOCAL = "127.0.0.1"


@pytest.fixture(params=[socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def taken(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port that another server has, one that lets others reuse it as Kamailio does."""
    with socket.socket(socket.AF_INET, request.param) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((LOCAL, 0))
        if request.param is socket.SOCK_STREAM:
            server.listen()
        yield server.getsockname()[1]


def book(port: int | None = None, address: str = LOCAL) -> PortBook:
    return PortBook({"SIP_PORT": udp_and_tcp([address])}, {"SIP_PORT": port})


def test_a_taken_port_is_refused_with_the_variable_to_change(taken: int) -> None:
    with pytest.raises(StackError, match=rf"port {taken} on {LOCAL} is taken.* set SIP_PORT"):
        book(taken).settle(["SIP_PORT"])


def test_a_taken_port_is_not_chosen(taken: int) -> None:
    assert not is_free(taken, udp_and_tcp([LOCAL]))


@pytest.mark.parametrize("port", [None, 15_060])
def test_an_address_elsewhere_is_refused_with_the_variable_to_change(port: int | None) -> None:
    with pytest.raises(StackError, match=r"192\.0\.2\.1 is not .* set SIP_ADDRESS"):
        book(port, "192.0.2.1").settle(["SIP_PORT"])


def test_a_chosen_port_is_not_one_that_outgoing_connections_take() -> None:
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    assert free_port(tcp(LOCAL)) < int(text.split()[0])


def test_a_chosen_port_stays_while_it_is_free_and_changes_when_it_is_not() -> None:
    ports = book()
    ports.settle(["SIP_PORT"])
    chosen = ports["SIP_PORT"]
    ports.settle(["SIP_PORT"])
    assert ports["SIP_PORT"] == chosen
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOCAL, chosen))
        assert not ports.are_free(["SIP_PORT"])
        ports.settle(["SIP_PORT"])
        assert ports["SIP_PORT"] != chosen


def test_no_two_servers_of_a_stack_get_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them listens yet when all are chosen."""
    monkeypatch.setattr(ports, "first_ephemeral", lambda: ports.FIRST_CHOICE + 3)
    monkeypatch.setattr(Endpoint, "fault", lambda *_: None)
    given = ports.FIRST_CHOICE
    names = ("HTTP_PORT", "SIP_PORT", "DATABASE_PORT")
    chosen = PortBook(dict.fromkeys(names, tcp(LOCAL)), {"HTTP_PORT": given})
    chosen.settle(names)
    assert {chosen[name] for name in names} == {given, given + 1, given + 2}


def test_a_port_is_not_known_before_it_is_chosen() -> None:
    with pytest.raises(StackError, match="SIP_PORT"):
        book()["SIP_PORT"]
