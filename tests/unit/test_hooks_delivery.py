"""One attempt at one endpoint, against servers that behave badly."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from provisioner.hooks import addresses, delivery
from provisioner.hooks.addresses import Target
from provisioner.hooks.delivery import Outcome, deliver

HOST = "127.0.30.1"
ALLOWED = [ip_network("127.0.30.0/24")]
Serve = Callable[[socket.socket], object]


def attempt(serve: Serve, scheme: str = "http") -> Outcome:
    """Make one attempt at a server that serves one connection."""
    with socket.create_server((HOST, 0)) as server:

        def run() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                with suppress(OSError):
                    serve(connection)
                    # What has not been read when it closes would reset the connection.
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=run)
        thread.start()
        url = f"{scheme}://{HOST}:{server.getsockname()[1]}/x"
        outcome = deliver(url, {"webhook-id": "msg_1"}, b"{}", ALLOWED)
        thread.join()
    return outcome


def answer(head: str, body: bytes = b"") -> Serve:
    return lambda connection: connection.sendall(f"HTTP/1.1 {head}\r\n\r\n".encode() + body)


def test_an_answer_of_2xx_is_a_delivery() -> None:
    outcome = attempt(answer("202 Accepted\r\nContent-Length: 2", b"ok"))
    assert (outcome.delivered, outcome.status, outcome.response) == (True, 202, "ok")


def test_a_redirect_is_not_followed() -> None:
    outcome = attempt(answer("307 Over there\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0"))
    assert (outcome.delivered, outcome.error) == (False, "redirects are not followed")


def test_a_long_answer_is_read_in_part() -> None:
    outcome = attempt(answer("500 Sorry", b"x" * 100_000))
    assert outcome.response == "x" * 4096


def test_an_answer_that_is_not_text_can_be_stored() -> None:
    assert attempt(answer("500 Sorry", b"\x00\xff")).response == "\ufffd\ufffd"


def test_an_answer_that_drips_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT", 0.5)

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(100):
            connection.sendall(b"X: y\r\n")
            time.sleep(0.05)

    began = time.monotonic()
    outcome = attempt(drip)
    assert (outcome.delivered, outcome.error) == (False, "timeout")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("serve", [lambda _: None, lambda connection: connection.sendall(b"?\n")])
def test_what_is_not_http_is_a_failure(serve: Serve) -> None:
    outcome = attempt(serve)
    assert outcome.status is None
    assert outcome.error


def test_what_is_not_tls_is_a_failure() -> None:
    outcome = attempt(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n"), "https")
    assert outcome.status is None
    assert outcome.error
    assert outcome.error.startswith("tls: ")


def test_an_address_that_is_not_allowed_is_not_connected_to() -> None:
    outcome = deliver("http://127.0.0.1:1/", {}, b"{}", ALLOWED)
    assert outcome.error == (
        "address-refused: url must lead to public addresses only, not to 127.0.0.1."
    )


def test_all_of_an_attempt_has_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    judged, spent = addresses.checked, [0.0]

    def slow_resolver(*given: Any) -> Any:
        spent[0] = 1.8
        return judged(*given)

    monkeypatch.setattr(delivery, "checked", slow_resolver)
    monkeypatch.setattr(delivery, "monotonic", lambda: time.monotonic() + spent[0])
    monkeypatch.setattr(delivery, "TIMEOUT", 2.0)
    began = time.monotonic()
    outcome = attempt(lambda connection: list(iter(lambda: connection.recv(100), b"")))
    assert outcome.error == "timeout"
    assert time.monotonic() - began < 1.8


def test_no_more_than_four_addresses_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = [ip_address(f"127.0.30.{last}") for last in range(2, 6)]
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        target = Target("http", "portal.example", port, "/")
        monkeypatch.setattr(delivery, "checked", lambda *_: (target, [*dead, ip_address(HOST)]))
        outcome = deliver(f"http://portal.example:{port}/", {}, b"{}", ALLOWED)
    assert outcome.error is not None
    assert outcome.error.startswith("ConnectionRefusedError")
