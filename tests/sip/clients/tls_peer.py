"""A SIP server over TLS to which a proxy sends calls, as Teams is; its messages are kept."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Self

from .message import Message, take_message
from .model import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .certificates import Certificate

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\na=sendrecv\r\n"
)
_COPIED = ("Via", "From", "Call-ID", "CSeq", "Record-Route")


class TlsPeer:
    """Answers OPTIONS, takes every INVITE and confirms every BYE; a context manager.

    While `deaf` it answers nothing, while `busy` it has no room for a call. `received` are all
    messages so far, and `attempts` counts connections.
    """

    def __init__(self, certificate: Certificate, *, address: str = "127.0.0.1") -> None:
        self.deaf = False
        self.busy = False
        self.received: list[Message] = []
        self.attempts = 0
        self._seen = 0
        self._changed = threading.Condition()
        self._connections: list[ssl.SSLSocket] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate.certificate, certificate.private_key)
        self._context = context
        self._server = socket.create_server((address, 0))
        self.address, self.port = self._server.getsockname()[:2]
        self._start(self._accept)

    @property
    def contact(self) -> str:
        """The URI under which it can be reached within a dialog."""
        return f"sip:{self.address}:{self.port};transport=tls"

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._server.accept()
            except OSError:
                return
            self.attempts += 1
            self._start(self._serve, plain)

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection = self._context.wrap_socket(plain, server_side=True)
            self._connections.append(connection)
            self._listen(connection)

    def _listen(self, connection: ssl.SSLSocket) -> None:
        data = b""
        with contextlib.suppress(OSError):
            while chunk := connection.recv(65535):
                data += chunk
                while (taken := take_message(data)) is not None:
                    message, data = taken
                    with self._changed:
                        self.received.append(message)
                        self._changed.notify_all()
                    self._answer(connection, message)

    def _answer(self, connection: ssl.SSLSocket, request: Message) -> None:
        if self.deaf or request.is_response or request.cseq[1] == "ACK":
            return
        if request.cseq[1] != "INVITE":
            connection.sendall(answer_to(request, "200 OK"))
        elif self.busy:
            connection.sendall(answer_to(request, "503 Service Unavailable"))
        else:
            contact = f"Contact: <{self.contact}>"
            body = ["Content-Type: application/sdp", contact]
            connection.sendall(answer_to(request, "180 Ringing", [contact]))
            connection.sendall(answer_to(request, "200 OK", body, SDP))

    def wait_for(self, method: str, *, timeout: float = 10.0) -> Message:
        """The next request of a method that was not reported yet.

        Raises:
            ClientError: there is none within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                while self._seen < len(self.received):
                    message = self.received[self._seen]
                    self._seen += 1
                    if message.start_line.startswith(f"{method} "):
                        return message
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ClientError(f"no {method} in {timeout} s")
                self._changed.wait(left)

    def calls(self) -> list[Message]:
        """Every INVITE so far."""
        return [one for one in self.received if one.start_line.startswith("INVITE ")]

    def close(self) -> None:
        """Stop listening, and close every connection."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def answer_to(request: Message, status: str, headers: Sequence[str] = (), body: str = "") -> bytes:
    """A response to a request, with a To tag of the called side where there is none yet."""
    lines = [f"SIP/2.0 {status}"]
    lines += [f"{name}: {value}" for name, value in request.headers if name in _COPIED]
    lines += [f"To: {tagged(request)}", *headers, f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def tagged(request: Message) -> str:
    """To as the called side writes it."""
    to = request.header("To") or ""
    return to if ";tag=" in to else f"{to};tag=peer"


def within_dialog(invite: Message, method: str, number: int, via: str, more: str = "") -> bytes:
    """A request that the called side sends in the dialog of a call that it took.

    `number` is its sequence number, `via` the sender's address and transport, `more` header
    fields with their line ends. The routes are those that the INVITE recorded.
    """
    contact = uri_in(invite.header("Contact") or "")
    routes = "".join(f"Route: {route}\r\n" for route in invite.all("Record-Route"))
    body = SDP if method == "INVITE" else ""
    return (
        f"{method} {contact} SIP/2.0\r\n"
        f"Via: SIP/2.0/{via};branch=z9hG4bK{secrets.token_hex(8)};rport\r\n"
        f"{routes}Max-Forwards: 70\r\n"
        f"From: {tagged(invite)}\r\nTo: {invite.header('From')}\r\n"
        f"Call-ID: {invite.header('Call-ID')}\r\nCSeq: {number} {method}\r\n{more}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def uri_in(field: str) -> str:
    """The URI of a header field's value."""
    found = re.search(r"<([^>]+)>", field)
    return found.group(1) if found else field.partition(";")[0]
