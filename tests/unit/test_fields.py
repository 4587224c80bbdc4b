"""The rules of single fields, at their edges."""

import pytest
from pydantic import TypeAdapter, ValidationError

from provisioner.fields import Host, HostName


@pytest.mark.parametrize(
    ("host", "stored"),
    [
        ("SIP.Carrier.example", "sip.carrier.example"),
        ("203.0.113.5", "203.0.113.5"),
        ("1-2.example", "1-2.example"),
        ("localhost", "localhost"),
    ],
)
def test_a_host_has_one_spelling(host: str, stored: str) -> None:
    assert TypeAdapter(Host).validate_python(host) == stored


@pytest.mark.parametrize(
    "host",
    [
        "",
        " 203.0.113.5",
        "203.0.113.5:5060",
        "203.0.113.5;transport=tcp",
        "sip:203.0.113.5",
        "user@carrier.example",
        "carrier.example;lr",
        "carrier.example\r\nX: y",
        "carrier.example\n",
        "carrier.example.",
        "carrier..example",
        "-carrier.example",
        "carrier_a.example",
        "càrrier.example",
        "１.２.３.４",
        "203.0.113",
        "203.0.113.256",
        "0x7f000001.1",
        "[2001:db8::5]",
        "2001:db8::5",
        "fe80::1%eth0",
        "0.0.0.0",
        "224.0.0.1",
        "::",
        "a" * 64 + ".example",
        "a." * 127 + "example",
        5,
        None,
    ],
)
def test_a_host_cannot_be_anything_else(host: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Host).validate_python(host)


@pytest.mark.parametrize("name", ["203.0.113.5", "2001:db8::5", "a;b", "a\nb", "a b", "", "7"])
def test_a_host_name_is_no_address(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(HostName).validate_python(name)
