"""Messages with somebody's text in every field that is looked at, one field at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from tests.sip.clients import Credentials, Wire, digest_authorization

# In each of these the text stands alone, or where a value would.
FIELDS = {
    "From": '"{}" <sip:{}@x;p={}>;tag={}',
    "To": "{} <sip:{}@x>",
    "Contact": "<sip:{}@x;p={}>;q={};expires={}",
    "Call-ID": "{}",
    "CSeq": "{} {method}",
    "Via": "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{};rport",
    "User-Agent": "{}",
    "Expires": "{}",
    "Max-Forwards": "{}",
    "Route": "<sip:{}@x;lr>",
    "Record-Route": "<sip:{}@x;lr>",
    "Path": "<sip:{}@x;lr>",
    "Event": "{}",
    "Subject": "{}",
    "Require": "{}",
    "Content-Type": "{}",
    "P-Asserted-Identity": "<sip:{}@x>",
    "Diversion": "<sip:{}@x>;counter={}",
    "Privacy": "{}",
    "Reason": "{}",
    "{}": "x",
}
METHODS = ("REGISTER", "INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS")


def _filled(value: str, text: str, method: str) -> str:
    return value.replace("{method}", method).replace("{}", text)


def anonymous(wire: Wire, text: str, realm: str) -> Iterator[bytes]:
    """Requests without credentials: of a stranger, of a carrier, of Teams."""
    for method in METHODS:
        yield wire.request(method, text, realm, uri=f"sip:{text}@{realm}")
        yield wire.request(method, "1", realm, uri=f"sip:1@{text}")
        yield wire.request(f"{method}{text}", "1", realm)
        for name, value in FIELDS.items():
            headers = {_filled(name, text, method): _filled(value, text, method)}
            yield wire.request(method, "390600000001", realm, headers, uri=f"sip:1@{realm}")


def with_credentials(
    wire: Wire, text: str, credentials: Credentials, callee: str
) -> Iterator[bytes]:
    """Requests of an account, and with a username that is no account's."""
    user, realm = credentials.username, credentials.realm
    for method in ("REGISTER", "INVITE", "MESSAGE"):
        uri = f"sip:{callee}@{realm}"
        for name, value in FIELDS.items():
            headers = {_filled(name, text, method): _filled(value, text, method)}
            yield proven(wire, credentials, method, uri, headers)
        for wrong in (
            Credentials(text, "x", realm),
            Credentials(user + text, credentials.password, realm),
        ):
            yield proven(wire, wrong, method, uri, {})


def proven(
    wire: Wire, credentials: Credentials, method: str, uri: str, headers: dict[str, str]
) -> bytes:
    """A request that answers a challenge made for it."""
    user, realm = credentials.username, credentials.realm
    with Wire(wire.registrar, wire.source) as asking:  # what arrives here is about nothing else
        challenge = asking.exchange(asking.request(method, "1", realm, uri=uri)).challenge
    answer = digest_authorization(credentials, challenge, method=method, uri=uri)
    name = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
    fields = {"To": f"<{uri}>", "Contact": f"<sip:{user}@{wire.host_port}>", **headers}
    if method == "REGISTER":
        fields["To"] = f"<sip:{user}@{realm}>"
    return wire.request(method, user, realm, {**fields, name: answer}, uri=uri)


def send_all(wire: Wire, requests: Iterator[bytes]) -> int:
    """Send them, wait until they have been looked at, and return how many they are."""
    sent = 0
    for request in requests:
        wire.send(request)
        sent += 1
        if sent % 20 == 0:
            settle(wire)
    settle(wire)
    return sent


def settle(wire: Wire) -> None:
    """Let the server answer what came before."""
    wire.exchange(wire.request("OPTIONS", "1", "here"))
    with suppress(ValueError):  # an answer may repeat what is no SIP message
        list(wire.arrived())
