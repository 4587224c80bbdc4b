"""Who asks a registrar about names: every request that can be made about one, with a password that
nobody has or without any, and what comes back, to be compared byte for byte.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.sip.clients import (
    ClientError,
    Credentials,
    Exchange,
    Message,
    Wire,
    digest_authorization,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.sip.clients import Registrar

METHODS = ("REGISTER", "OPTIONS", "INVITE", "SUBSCRIBE", "MESSAGE", "PUBLISH", "REFER")

_PATIENCE = 2.0
"""Seconds to wait for an answer before the request is sent once more."""
_ATTEMPTS = 4
_MORE = {
    "SUBSCRIBE": {"Event": "presence", "Expires": "300"},
    "PUBLISH": {"Event": "presence", "Expires": "300"},
    "REFER": {"Refer-To": "<sip:elsewhere@example.invalid>"},
}
_ECHOED = ("Via", "From", "To", "Call-ID", "CSeq")
# What a server makes up anew for each answer; its length stays to be compared.
_MADE_UP = re.compile(rb'(?<=;tag=)[^;\r\n]+|(?<=nonce=")[^"]+')
_LETTER = re.compile(rb"[A-Za-z0-9+/]")

_sources = itertools.count(secrets.randbelow(1 << 20))


def new_source() -> str:
    """An address, of the two million from 127.32.0.0 on, that no test has used yet."""
    number = (32 << 16) + next(_sources) % (32 << 16)
    return f"127.{number >> 16}.{number >> 8 & 255}.{number & 255}"


@dataclass(frozen=True)
class Question:
    """What is asked about a name; `foreign`: by somebody else (From), not by the name itself."""

    name: str
    method: str = "REGISTER"
    foreign: bool = False


@dataclass(frozen=True)
class Answer:
    """Each datagram until the final response, without what differs anyway; none: silence.

    It took `seconds`. `challenge` is what a guess would be an answer to.
    """

    shapes: tuple[bytes, ...] = ()
    seconds: float = float("inf")
    challenge: Mapping[str, str] = field(default_factory=dict)


class Stranger(Wire):
    """One who asks, over UDP, from an address of his own unless `source` is given."""

    def __init__(self, registrar: Registrar, realm: str, source: str | None = None) -> None:
        super().__init__(registrar, source or new_source())
        self._realm = realm

    def ask(self, question: Question) -> Answer:
        """Ask without credentials."""
        return self._answer(self._request(question, {}))

    def guess(self, question: Question, challenge: Mapping[str, str]) -> Answer:
        """Ask with a wrong password of the name, in answer to a challenge, or to none (`{}`)."""
        credentials = Credentials(question.name, secrets.token_hex(8), self._realm)
        challenge = challenge or {"realm": self._realm, "nonce": secrets.token_hex(16)}
        method, uri = question.method, self._uri(question)
        value = digest_authorization(credentials, challenge, method=method, uri=uri)
        header = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
        return self._answer(self._request(question, {header: value}))

    def _uri(self, question: Question) -> str:
        if question.method == "REGISTER":
            return f"sip:{self._realm}"
        return f"sip:{question.name}@{self._realm}"

    def _request(self, question: Question, credentials: Mapping[str, str]) -> bytes:
        own = f"sip:{question.name}@{self._realm}"
        asking = "sip:stranger@example.invalid" if question.foreign else own
        fields = {
            "From": f"<{asking}>;tag={secrets.token_hex(4)}",
            "Contact": f"<sip:stranger@{self.host_port}>",
            "User-Agent": "Yealink SIP-T46U",
            **_MORE.get(question.method, {}),
            **credentials,
        }
        uri = self._uri(question)
        return self.request(question.method, question.name, self._realm, fields, uri=uri)

    def _answer(self, request: bytes) -> Answer:
        """Send a request, and again where nothing comes back, as is usual over UDP."""
        for _ in range(_ATTEMPTS):
            replies = []
            began = time.perf_counter()
            self.send(request)
            while (reply := self._reply(request, began + _PATIENCE)) is not None:
                seconds = time.perf_counter() - began
                replies.append(reply)
                if not reply.startswith(b"SIP/2.0 1"):
                    shapes = tuple(shape(reply, request) for reply in replies)
                    return Answer(shapes, seconds, self._close(request, reply))
        return Answer()

    def _reply(self, request: bytes, deadline: float) -> bytes | None:
        """The next datagram that answers this request; what answers former ones may come late."""
        branch = _value(request, "Via").partition(b"branch=")[2]
        while (left := deadline - time.perf_counter()) > 0:
            self._socket.settimeout(left)
            try:
                reply = self._socket.recv(65535)
            except TimeoutError:
                return None
            if branch in reply:
                return reply
        return None

    def _close(self, request: bytes, reply: bytes) -> Mapping[str, str]:
        """Acknowledge what answers an INVITE; the challenge, if it is one."""
        if request.startswith(b"INVITE "):
            head = request.replace(b"INVITE", b"ACK").partition(b"\r\n\r\n")[0]
            asked, answered = (b"\r\nTo: " + _value(said, "To") for said in (request, reply))
            head = head.replace(asked, answered, 1)
            self.send(head + b"\r\n\r\n")
        try:
            return Exchange(request, Message.parse(reply.decode(errors="replace"))).challenge
        except ClientError:
            return {}


def shape(reply: bytes, request: bytes) -> bytes:
    """A reply without what it repeats of the request, and with x for what was made up for it."""
    sent_by = re.search(rb"([0-9.]+):(\d+);", _value(request, "Via"))
    assert sent_by is not None
    reply = reply.replace(b";rport=" + sent_by[2], b";rport")
    reply = reply.replace(b";received=" + sent_by[1], b";received", 1)
    for name in _ECHOED:
        said = f"\r\n{name}: ".encode()
        reply = reply.replace(said + _value(request, name), said + b"the same", 1)
    return _MADE_UP.sub(lambda made: _LETTER.sub(b"x", made[0]), reply)


def _value(message: bytes, name: str) -> bytes:
    found = re.search(rf"\r\n{name}: ([^\r]*)".encode(), message)
    assert found is not None, message
    return found[1]
