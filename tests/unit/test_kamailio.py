from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provisioner.kamailio import Binding
from provisioner.sources import is_inside

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONTACT = {
    "Address": "sip:390612345678@192.168.1.7:5062;transport=tcp",
    "Expires": 300,
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
