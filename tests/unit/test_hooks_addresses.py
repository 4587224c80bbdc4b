"""Where webhooks may go: nowhere inside the operator's network, by whatever spelling."""

import socket
import threading
from ipaddress import ip_address, ip_network

import pytest

from provisioner.errors import InvalidInput
from provisioner.hooks.addresses import AddressRefused, checked, is_public, parse, resolve

LOOPBACK = [ip_network("127.0.30.0/24")]


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "203.0.112.1", "2606:4700:4700::1111"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(ip_address(address))
    target, addresses = checked(f"https://{f'[{address}]' if ':' in address else address}/x", [])
    assert [str(one) for one in addresses] == [address]
    assert (target.port, target.path) == (443, "/x")


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.31.255.255",
        "192.0.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "3fff::1",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_special_addresses_are_refused(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "127.1", "[::1]", "[::ffff:7f00:1]"]
)
def test_loopback_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(AddressRefused):
        checked(f"https://{host}/", [])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://1.1.1.1/", "https"),
        ("https://1.1.1.1:22/", "port"),
        ("https://no-such-host.invalid/", "address"),
    ],
)
def test_the_public_is_reached_by_https_on_a_web_servers_port(url: str, reason: str) -> None:
    with pytest.raises(AddressRefused, match=reason):
        checked(url, [])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://example.com/",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:pw@example.com/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://[::1/",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "https://exämple.com/",
        "https://example.com/#fragment",
        "https://example.com/" + "x" * 2000,
    ],
)
def test_what_is_not_a_plain_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        parse(url)


def test_the_operator_can_allow_networks_of_his_own() -> None:
    target, _ = checked("http://127.0.30.1:81/x?y=z", LOOPBACK)
    assert (target.authority, target.path) == ("127.0.30.1:81", "/x?y=z")
    with pytest.raises(AddressRefused):
        checked("http://127.0.0.1:81/", LOOPBACK)


def test_a_resolver_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(10) and [])
    with pytest.raises(AddressRefused):
        resolve(parse("https://portal.example/"), timeout=0.05)
    answered.set()
