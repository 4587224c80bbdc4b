"""Exact bytes on the wire, for what no well-behaved phone would send: replays, forgeries.

Not a phone: it keeps no state but its socket, and never retransmits.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from .message import Message, take_message
from .model import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .model import Credentials, Registrar

_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True)
class Exchange:
    """One request as it was sent, and the final response to it (None: there was none)."""

    request: bytes
    response: Message | None

    @property
    def status(self) -> int:
        """The final status code, 0 without a response."""
        return self.response.status if self.response else 0

    @property
    def challenge(self) -> dict[str, str]:
        """The challenge's parameters; raises `ClientError` if there is none."""
        headers = ("WWW-Authenticate", "Proxy-Authenticate")
        values = (self.response.header(name) for name in headers if self.response)
        value = next(filter(None, values), None)
        if value is None:
            raise ClientError(f"no challenge in the answer, status {self.status}")
        return digest_parameters(value)


def digest_parameters(value: str) -> dict[str, str]:
    """The parameters of a Digest header field's value, names in lower case."""
    return {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(value)}


def digest_authorization(
    credentials: Credentials,
    challenge: Mapping[str, str],
    *,
    method: str,
    uri: str,
    nonce_count: int = 1,
    client_nonce: str | None = None,
) -> str:
    """The value of Authorization that answers a `challenge` (RFC 2617, section 3.2.2).

    With MD5, or the SHA-256 that it asks for (RFC 8760, section 2.3).
    """
    user, realm, nonce = credentials.username, challenge["realm"], challenge["nonce"]
    algorithm = challenge.get("algorithm", "MD5")
    digest = _ALGORITHMS[algorithm]
    ha1 = digest(f"{user}:{realm}:{credentials.password}")
    ha2 = digest(f"{method}:{uri}")
    value = f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}"'
    value += f", algorithm={algorithm}"
    if "auth" not in challenge.get("qop", "").split(","):
        return f'{value}, response="{digest(f"{ha1}:{nonce}:{ha2}")}"'
    cnonce, count = client_nonce or secrets.token_hex(8), f"{nonce_count:08x}"
    response = digest(f"{ha1}:{nonce}:{count}:{cnonce}:auth:{ha2}")
    return f'{value}, qop=auth, nc={count}, cnonce="{cnonce}", response="{response}"'


def as_new_transaction(request: bytes) -> bytes:
    """The same request with another Via branch.

    Byte for byte a request is a retransmission for some seconds: a server repeats its answer,
    to where the first one went, and judges nothing. This makes it a replay that is judged.
    """
    branch = f"branch=z9hG4bK{secrets.token_hex(8)}".encode()
    return re.sub(rb"branch=[^;,\s]+", branch, request, count=1)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_ALGORITHMS = {"MD5": _md5, "SHA-256": _sha256}


class Wire:
    """One socket of one source address towards a registrar; a context manager.

    `timeout` (seconds) bounds connecting and each wait for a response. Over TLS `tls` says whom to
    trust, and `name` is whom the certificate has to be for. Making one raises `OSError` if the
    address is not this machine's, over TCP if nobody listens, over TLS if the certificate is not
    good.
    """

    def __init__(
        self,
        registrar: Registrar,
        source: str,
        *,
        port: int = 0,
        timeout: float = 8.0,
        tls: ssl.SSLContext | None = None,
        name: str | None = None,
    ) -> None:
        self.registrar = registrar
        self.timeout = timeout
        kind = socket.SOCK_DGRAM if registrar.transport == "udp" else socket.SOCK_STREAM
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self._socket = socket.socket(family, kind)
        try:
            self._socket.settimeout(timeout)
            self._socket.bind((source, port))
            self._socket.connect((registrar.host, registrar.port))
            if kind == socket.SOCK_STREAM:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if registrar.transport == "tls":
                tls = tls or ssl.create_default_context()
                self._socket = tls.wrap_socket(self._socket, server_hostname=name or registrar.host)
        except OSError:
            self._socket.close()
            raise
        self.source, self.port = self._socket.getsockname()[:2]
        self._received = b""
        self._cseq = 0
        self._call_id = secrets.token_hex(12)

    def turn_to(self, registrar: Registrar) -> None:
        """Speak with another server from the same port, and hear that one alone (over UDP)."""
        self._socket.connect((registrar.host, registrar.port))
        self.registrar = registrar

    def request(
        self,
        method: str,
        user: str,
        realm: str,
        headers: Mapping[str, str] | None = None,
        *,
        uri: str | None = None,
        lines: Sequence[str] = (),
        body: str = "",
    ) -> bytes:
        """A complete request from and to `user`; `headers` add to the usual ones, or replace.

        `lines` are header fields as they stand, for spellings that no phone uses.
        """
        self._cseq += 1
        address = f"sip:{user}@{realm}"
        fields = {
            "Via": self.via(),
            "From": f"<{address}>;tag={secrets.token_hex(4)}",
            "To": f"<{address}>",
            "Call-ID": self._call_id,
            "CSeq": f"{self._cseq} {method}",
            "Max-Forwards": "70",
            "User-Agent": "wire",
            **(headers or {}),
            "Content-Length": str(len(body.encode())),
        }
        start = f"{method} {uri or f'sip:{realm}'} SIP/2.0"
        written = [start, *lines, *(f"{name}: {value}" for name, value in fields.items())]
        return ("\r\n".join(written) + "\r\n\r\n" + body).encode(errors="surrogateescape")

    def via(self) -> str:
        """A Via of a new transaction."""
        transport = self.registrar.transport.upper()
        return f"SIP/2.0/{transport} {self.host_port};branch=z9hG4bK{secrets.token_hex(8)};rport"

    @property
    def host_port(self) -> str:
        """The address that it writes where others shall reach it."""
        host = f"[{self.source}]" if ":" in self.source else self.source
        return f"{host}:{self.port}"

    def register_request(
        self,
        credentials: Credentials,
        *,
        challenge: Mapping[str, str] | None = None,
        as_user: str | None = None,
        expires: int = 300,
        headers: Mapping[str, str] | None = None,
        nonce_count: int = 1,
    ) -> bytes:
        """A REGISTER for `as_user` (by default the credentials' own user).

        With `challenge` it carries the answer to it, computed from `credentials`.
        """
        user, uri = as_user or credentials.username, f"sip:{credentials.realm}"
        transport = self.registrar.transport
        fields = {
            "Contact": f"<sip:{user}@{self.host_port};transport={transport}>",
            "Expires": str(expires),
        }
        if challenge is not None:
            fields["Authorization"] = digest_authorization(
                credentials, challenge, method="REGISTER", uri=uri, nonce_count=nonce_count
            )
        return self.request("REGISTER", user, credentials.realm, {**fields, **(headers or {})})

    def register(
        self,
        credentials: Credentials,
        *,
        as_user: str | None = None,
        expires: int = 300,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """REGISTER, answer the challenge, and the next one if that was stale; return the last
        exchange (to look at or replay).
        """

        def ask(challenge: Mapping[str, str] | None) -> Exchange:
            return self.exchange(
                self.register_request(
                    credentials,
                    challenge=challenge,
                    as_user=as_user,
                    expires=expires,
                    headers=headers,
                )
            )

        last = ask(None)
        if last.status == 401:
            last = ask(last.challenge)
        if last.status == 401 and last.challenge.get("stale") == "true":
            last = ask(last.challenge)
        return last

    def invite(self, credentials: Credentials, callee: str) -> Exchange:
        """INVITE somebody, answer the challenge, and return the last exchange."""
        uri = f"sip:{callee}@{credentials.realm}"
        to = {"To": f"<{uri}>", "Contact": f"<sip:{credentials.username}@{self.host_port}>"}

        def request(headers: Mapping[str, str]) -> bytes:
            user, realm = credentials.username, credentials.realm
            return self.request("INVITE", user, realm, headers, uri=uri)

        first = self.exchange(request(to))
        if first.status != 407:
            return first
        answer = digest_authorization(credentials, first.challenge, method="INVITE", uri=uri)
        return self.exchange(request({**to, "Proxy-Authorization": answer}))

    def exchange(self, request: bytes) -> Exchange:
        """Send bytes as they are and wait for a final response."""
        self.send(request)
        return Exchange(request, self.final_response())

    def send(self, data: bytes) -> None:
        """Send bytes as they are; a server that was not there a moment ago is tried again."""
        with contextlib.suppress(ConnectionRefusedError):
            self._socket.sendall(data)
            return
        # Over UDP the refusal is about the datagram before this one.
        self._socket.sendall(data)

    def final_response(self) -> Message | None:
        """The next response that is not provisional, None when the time is over."""
        deadline = time.monotonic() + self.timeout
        while (message := self.receive(deadline - time.monotonic())) is not None:
            if message.status >= 200:
                return message
        return None

    def receive(self, timeout: float) -> Message | None:
        """The next message of any kind, None after `timeout` seconds or at the end.

        One that has arrived by then is taken, however late this asks for it.
        """
        deadline = time.monotonic() + timeout
        while (message := self._take_message()) is None:
            self._socket.settimeout(max(0.0, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65535)
            except (TimeoutError, BlockingIOError, ssl.SSLWantReadError, ConnectionError):
                return None
            if not data:
                return None
            self._received = data if self.registrar.transport == "udp" else self._received + data
        return message

    def fileno(self) -> int:
        """The socket's descriptor, for a selector."""
        return self._socket.fileno()

    def arrived(self) -> Iterator[Message]:
        """The messages that are here by now."""
        self._socket.settimeout(0)
        while True:
            while (message := self._take_message()) is not None:
                yield message
            try:
                data = self._socket.recv(65535)
            except (BlockingIOError, ConnectionError):
                return
            if not data:
                return
            self._received = data if self.registrar.transport == "udp" else self._received + data

    def received(self, timeout: float) -> bytes:
        """What arrives within `timeout` seconds, as it is; nothing then, or at the end."""
        self._socket.settimeout(timeout)
        try:
            return self._socket.recv(65535)
        except (TimeoutError, ConnectionError):
            return b""

    def finish(self) -> None:
        """Say that nothing more comes over this connection, and wait until the server closes it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while self.received(self.timeout):
                pass
        self.close()

    def _take_message(self) -> Message | None:
        taken = take_message(self._received)
        if taken is None:
            return None
        message, self._received = taken
        return message

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
