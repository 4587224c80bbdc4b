"""A SIP endpoint that makes and takes calls, message by message, as a test tells it.

A device of an account, or a trunk's server: nothing happens by itself but that OPTIONS are answered
while it waits for something.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from .call import Call, IncomingCall, OutgoingCall
from .model import ClientError
from .wire import Wire, digest_authorization

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    from .message import Message
    from .model import Credentials, Registrar


class Endpoint(Wire):
    """One socket with its calls. What arrives while another message is waited for is kept.

    `patience` (seconds) bounds each wait. Over TLS `tls` says whom to trust.
    """

    def __init__(
        self,
        registrar: Registrar,
        source: str,
        *,
        port: int = 0,
        patience: float = 8.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(registrar, source, port=port, timeout=patience, tls=tls)
        self._kept: list[Message] = []
        self._seen: set[str] = set()

    @property
    def contact(self) -> str:
        """The URI at which it can be reached."""
        return f"sip:endpoint@{self.host_port};transport={self.registrar.transport}"

    @property
    def sdp(self) -> str:
        """An offer, or answer, of a call that sends no media."""
        address = f"{'IP6' if ':' in self.source else 'IP4'} {self.source}"
        lines = ["v=0", f"o=- 1 1 IN {address}", "s=-", f"c=IN {address}", "t=0 0"]
        lines += ["m=audio 9 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=inactive"]
        return "".join(f"{line}\r\n" for line in lines)

    # Calls.

    def dial(
        self,
        callee: str,
        realm: str,
        *,
        credentials: Credentials | None = None,
        caller: str = "endpoint",
        headers: Mapping[str, str] | None = None,
        lines: Sequence[str] = (),
    ) -> OutgoingCall:
        """Send an INVITE for `callee`@`realm`; with credentials, the one that proves them.

        `caller` is who calls where there are none.
        `headers` replace the usual ones, `lines` are header fields as they stand. A refusal that
        is no challenge is left for the call's `final`.
        """
        user = credentials.username if credentials else caller
        uri = f"sip:{callee}@{realm}"
        fields = {
            "From": f"<sip:{user}@{realm}>;tag={secrets.token_hex(4)}",
            "To": f"<{uri}>",
            "Call-ID": secrets.token_hex(12),
            "Contact": f"<sip:{user}@{self.host_port};transport={self.registrar.transport}>",
            "Content-Type": "application/sdp",
            **(headers or {}),
        }

        def invite(more: Mapping[str, str]) -> OutgoingCall:
            request = self.request(
                "INVITE", user, realm, {**fields, **more}, uri=uri, lines=lines, body=self.sdp
            )
            return OutgoingCall(self, request)

        call = invite({})
        if credentials is None:
            return call
        challenge = call.challenge()
        if challenge is None:
            return call
        answer = digest_authorization(credentials, challenge, method="INVITE", uri=uri)
        return invite({"Proxy-Authorization": answer})

    def incoming(self, *, timeout: float | None = None) -> IncomingCall:
        """The next call; raises `ClientError` if there is none in time."""
        return IncomingCall(self, self.wait_request("INVITE", timeout=timeout))

    def is_quiet(self, method: str = "INVITE") -> bool:
        """Whether no such request has come so far; ask once the caller has got its answer."""
        while (message := self.receive(0.05)) is not None:
            self._keep(message)
        return not any(message.start_line.startswith(f"{method} ") for message in self._kept)

    # Messages.

    def wait(
        self, wanted: Callable[[Message], bool], what: str, *, timeout: float | None = None
    ) -> Message:
        """The first message that is wanted; raises `ClientError` if there is none in time."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            for message in self._kept:
                if wanted(message):
                    self._kept.remove(message)
                    return message
            arrived = self.receive(deadline - time.monotonic())
            if arrived is None:
                kept = [message.start_line for message in self._kept]
                raise ClientError(f"{self.host_port}: no {what} in time, but {kept}")
            self._keep(arrived)

    def wait_request(
        self, method: str, *, call: Call | None = None, timeout: float | None = None
    ) -> Message:
        """The next request of a method, of one call or of any."""

        def wanted(message: Message) -> bool:
            return message.start_line.startswith(f"{method} ") and (
                call is None or message.header("Call-ID") == call.call_id
            )

        return self.wait(wanted, method, timeout=timeout)

    def _keep(self, message: Message) -> None:
        """Keep it until it is waited for; retransmissions are nothing new."""
        if message.start_line.startswith("OPTIONS "):
            self.answer(message, 200, "OK")
            return
        if not message.is_response:
            key = f"{message.cseq} {message.header('Via')}"
            if key in self._seen:
                return
            self._seen.add(key)
        self._kept.append(message)

    def answer(
        self,
        request: Message,
        status: int,
        reason: str,
        *,
        tag: str = "",
        lines: Sequence[str] = (),
        body: str = "",
    ) -> None:
        """Answer a request; a To without a tag gets `tag`."""
        to = request.header("To") or ""
        if tag and ";tag=" not in to:
            to = f"{to};tag={tag}"
        echoed = [("Via", value) for value in request.all("Via")]
        echoed += [("Record-Route", value) for value in request.all("Record-Route")]
        echoed += [("From", request.header("From") or ""), ("To", to)]
        echoed += [(name, request.header(name) or "") for name in ("Call-ID", "CSeq")]
        written = [f"SIP/2.0 {status} {reason}", *(f"{name}: {value}" for name, value in echoed)]
        written += [*lines, f"Content-Length: {len(body.encode())}"]
        self.send(("\r\n".join(written) + "\r\n\r\n" + body).encode())
