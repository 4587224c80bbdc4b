"""Sends a mutator's messages as fast as a server reads them, over one of the transports.

Some of them carry the answer to a challenge, so that what comes after the password is met, too.
Nothing is lost: after a few messages the server is asked for a challenge, and none of the next
ones is sent before it has answered.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.sip.attacks.mutator import Mutator
from tests.sip.clients import Wire, digest_authorization
from tests.sip.clients.tls_peer import answer_to

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from tests.sip.clients import Credentials, Message, Registrar

BATCH = 40  # messages without an answer in between; a socket's buffer holds more
NOBODY = "390600000009"  # an account that does not exist
SILENCE = 8.0  # seconds after which a server that does not answer is taken for dead
CLOSING = 3.0  # seconds in which it closes a connection on which nothing more comes
PATIENCE = 0.3  # seconds for the answer to a question, which a message before it may swallow
NONCE_USES = 250  # Kamailio counts up to 255
ANSWERS = [
    "100 Trying", "180 Ringing", "183 Session Progress", "200 OK", "202 Accepted", "302 Moved",
    "401 Unauthorized", "407 Proxy Authentication Required", "481 Gone", "486 Busy Here",
    "500 Server Error", "603 Decline", "699 Nobody Knows",
]  # fmt: skip
_START = re.compile(rb"^([A-Z]+) (\S+) SIP/2\.0\r\n")
_BRANCH = re.compile(rb"branch=z9hG4bK[0-9a-f]+")
_NONCE = re.compile(rb'nonce="([^"]+)"')
_LENGTH = re.compile(rb"\r\nContent-Length: (\d{1,5})\r\n")


class Silent(Exception):
    """The server does not answer any more."""


@dataclass
class Proof:
    """The answer to a challenge, for a message whatever it looks like by now."""

    credentials: Credentials
    challenge: dict[str, str]
    uses: int = 0

    def added_to(self, message: bytes) -> bytes:
        """The message with credentials; as it is where it does not start like a request."""
        start = _START.match(message)
        if start is None:
            return message
        self.uses += 1
        method, uri = (one.decode(errors="replace") for one in start.groups())
        value = digest_authorization(
            self.credentials, self.challenge, method=method, uri=uri, nonce_count=self.uses,
            client_nonce="fuzz",
        )  # fmt: skip
        name = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
        line = f"{name}: {value}\r\n".encode(errors="replace")
        return message[: start.end()] + line + message[start.end() :]


class Peer(Wire):
    """A registered device whose answers are as wrong as the messages."""

    def __init__(self, registrar: Registrar, source: str, credentials: Credentials) -> None:
        super().__init__(registrar, source)
        self.username = credentials.username
        self.met = 0
        self.register(credentials, expires=3600)

    def answer(self, mutator: Mutator) -> None:
        """Answer what has arrived, with a mistake in every second answer."""
        for request in self._requests():
            self.met += 1
            status = mutator.choose(*ANSWERS)
            contact = f"Contact: <sip:{self.username}@{self.host_port}>"
            answer = answer_to(request, status, [contact])
            self.send(answer if self.met % 2 else mutator.changed(answer))

    def _requests(self) -> Iterator[Message]:
        with suppress(ValueError):  # not every message that was passed on can be read
            yield from (one for one in self.arrived() if not one.is_response)


class Fuzzer:
    """One sender; `sent` counts its messages. Every second one shows credentials.

    A context manager. `peer` is somebody whom its messages reach, if they get so far.
    """

    def __init__(
        self,
        registrar: Registrar,
        source: str,
        credentials: Credentials,
        *,
        seed: int,
        peer: Peer | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._registrar, self._source, self._tls = registrar, source, tls
        self._credentials = credentials
        self._wire = self._connect()
        self._peer = peer
        words = {"HERE": self._wire.host_port, "VIA": registrar.transport.upper()}
        words |= {"USER": credentials.username, "REALM": credentials.realm, "NOBODY": NOBODY}
        words["PEER"] = peer.username if peer else NOBODY
        self._mutator = Mutator(seed, words)
        self._proof: Proof | None = None
        self.sent = 0

    def send(self, count: int) -> None:
        """Send so many; raises `Silent` where the server does not answer any more."""
        end = self.sent + count
        while self.sent < end:
            batch = min(BATCH, end - self.sent) if self._registrar.transport == "udp" else 1
            for _ in range(batch):
                message = self._next()
                self._write(message)
            self.sent += batch
            self._wait_until_read(_is_framed(message))
            if self._peer is not None:
                self._peer.answer(self._mutator)

    def _next(self) -> bytes:
        message = self._mutator.message()
        if self._proof is None or self._proof.uses >= NONCE_USES or self._mutator.made % 2:
            return message
        return self._proof.added_to(message)

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # the server may have closed the connection, or be dead
            self._wire.send(data)

    def _wait_until_read(self, framed: bool) -> None:
        """Return when the server has read everything: it challenges what was sent last.

        It may have closed the connection, or wait for more of a message that is not `framed`.
        """
        udp = self._registrar.transport == "udp"
        if (udp or framed) and self._is_challenged(PATIENCE):
            return
        deadline = time.monotonic() + SILENCE
        while True:
            if not udp:
                self._wire.finish()
                with suppress(OSError):
                    self._wire = self._connect()
            if self._is_challenged(PATIENCE):
                return
            if time.monotonic() > deadline:
                raise Silent

    def _is_challenged(self, patience: float) -> bool:
        request = self._wire.register_request(self._credentials)
        branch = _BRANCH.search(request)
        assert branch
        self._write(request)
        deadline = time.monotonic() + patience
        data = b""
        while (left := deadline - time.monotonic()) > 0:
            arrived = self._wire.received(left)
            if not arrived:
                return False
            data += arrived
            answer = data.rpartition(branch.group())[2] if branch.group() in data else b""
            if found := _NONCE.search(answer):
                self._learn(found.group(1).decode())
                return True
        return False

    def _learn(self, nonce: str) -> None:
        """Keep a nonce for as long as it counts, and not for longer."""
        if self._proof is None or self._proof.uses >= NONCE_USES // 5:
            challenge = {"realm": self._credentials.realm, "nonce": nonce, "qop": "auth"}
            self._proof = Proof(self._credentials, challenge)

    def _connect(self) -> Wire:
        return Wire(self._registrar, self._source, timeout=CLOSING, tls=self._tls)

    def close(self) -> None:
        """Close the socket."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _is_framed(message: bytes) -> bool:
    """Whether a stream goes on after the message for whoever reads it strictly."""
    head, blank, body = message.partition(b"\r\n\r\n")
    lengths = _LENGTH.findall(head + b"\r\n")
    return bool(blank) and len(lengths) == 1 and int(lengths[0]) == len(body)
