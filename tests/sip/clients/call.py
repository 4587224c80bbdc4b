"""One call as one of its endpoints sees it (RFC 3261, sections 12 to 15)."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from .message import Message
from .wire import digest_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .endpoint import Endpoint

_URI = re.compile(r"<([^>]+)>")
_CHALLENGES = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}


def _routes(message: Message) -> list[str]:
    values = message.all("Record-Route")
    return [route.strip() for value in values for route in re.split(r",\s*(?=<)", value)]


class Call:
    """What both sides do: requests within the call, and its end."""

    def __init__(self, endpoint: Endpoint, invite: Message) -> None:
        self.endpoint = endpoint
        self.invite = invite
        self.call_id = invite.header("Call-ID") or ""
        self._cseq = invite.cseq[0]
        self._own = self._peer = self._target = ""
        self._route: list[str] = []

    @property
    def route(self) -> list[str]:
        """Through whom requests within the call go."""
        return list(self._route)

    def request(
        self,
        method: str,
        *,
        headers: Mapping[str, str] | None = None,
        lines: Sequence[str] = (),
        body: str = "",
        uri: str = "",
    ) -> None:
        """Send a request within the call; `ACK` takes the INVITE's number.

        It goes to the other side's Contact, unless `uri` names another place.
        """
        if method != "ACK":
            self._cseq += 1
        fields = {
            "From": self._own,
            "To": self._peer,
            "Call-ID": self.call_id,
            "CSeq": f"{self._cseq} {method}",
            **({"Route": ", ".join(self._route)} if self._route else {}),
            **(headers or {}),
        }
        self.endpoint.send(
            self.endpoint.request(
                method, "", "", fields, uri=uri or self._target, lines=lines, body=body
            )
        )

    def final(self, method: str = "INVITE", *, timeout: float | None = None) -> Message:
        """The final response to this side's last request of a method."""

        def wanted(message: Message) -> bool:
            return (
                message.status >= 200
                and message.header("Call-ID") == self.call_id
                and message.cseq == (self._cseq, method)
            )

        return self.endpoint.wait(wanted, f"final response to {method}", timeout=timeout)

    def bye(self) -> Message:
        """Hang up, and return the answer."""
        self.request("BYE")
        return self.final("BYE")

    def wait_bye(self, *, timeout: float | None = None) -> Message:
        """The other side's BYE, which is answered."""
        bye = self.endpoint.wait_request("BYE", call=self, timeout=timeout)
        self.endpoint.answer(bye, 200, "OK")
        return bye


class OutgoingCall(Call):
    """A call that this side makes; `refusal` is what it got instead of a challenge."""

    def __init__(self, endpoint: Endpoint, request: bytes) -> None:
        super().__init__(endpoint, Message.parse(request.decode(errors="replace")))
        self.refusal: Message | None = None
        self._own = self.invite.header("From") or ""
        self._peer = self.invite.header("To") or ""
        self._target = self.invite.start_line.split()[1]
        endpoint.send(request)

    def challenge(self) -> dict[str, str] | None:
        """The challenge's parameters; None if the final response is another, which is kept."""
        answer = self.answered()
        if answer.status not in _CHALLENGES:
            self.refusal = answer
            return None
        return digest_parameters(answer.header(_CHALLENGES[answer.status]) or "")

    def provisional(self, status: int, *, timeout: float | None = None) -> Message:
        """The next response with this status, such as 180."""

        def wanted(message: Message) -> bool:
            return message.status == status and message.header("Call-ID") == self.call_id

        return self.endpoint.wait(wanted, str(status), timeout=timeout)

    def outcome(self, *, timeout: float | None = None) -> tuple[int, str]:
        """Status and reason phrase of the final response, which is acknowledged."""
        answer = self.refusal or self.answered(timeout=timeout)
        return answer.status, answer.reason

    def answered(self, *, timeout: float | None = None) -> Message:
        """The final response, acknowledged."""
        answer = self.final(timeout=timeout)
        self.acknowledge(answer)
        return answer

    def acknowledge(self, answer: Message) -> None:
        """Send the ACK; a call that was taken can be talked in from here on."""
        if answer.status >= 300:
            self._in_transaction("ACK", answer.header("To") or "")
            return
        self._peer = answer.header("To") or ""
        found = _URI.search(answer.header("Contact") or "")
        self._target = found.group(1) if found else self._target
        self._route = _routes(answer)[::-1]
        self.request("ACK")

    def cancel(self) -> None:
        """Give up before it is answered; `outcome` is 487 then."""
        self._in_transaction("CANCEL", self.invite.header("To") or "")

    def _in_transaction(self, method: str, to: str) -> None:
        """CANCEL, or the ACK of a refusal, belong to the INVITE's transaction."""
        fields = {
            "Via": self.invite.header("Via") or "",
            "From": self._own,
            "To": to,
            "Call-ID": self.call_id,
            "CSeq": f"{self._cseq} {method}",
        }
        uri = self.invite.start_line.split()[1]
        self.endpoint.send(self.endpoint.request(method, "", "", fields, uri=uri))


class IncomingCall(Call):
    """A call that this side is asked to take."""

    def __init__(self, endpoint: Endpoint, invite: Message) -> None:
        super().__init__(endpoint, invite)
        self._tag = secrets.token_hex(4)
        self._own = f"{invite.header('To')};tag={self._tag}"
        self._peer = invite.header("From") or ""
        found = _URI.search(invite.header("Contact") or "")
        self._target = found.group(1) if found else ""
        self._route = _routes(invite)

    @property
    def called(self) -> str:
        """The user part of the Request-URI."""
        return self.invite.start_line.split()[1].removeprefix("sip:").partition("@")[0]

    def respond(self, status: int, reason: str, *, lines: Sequence[str] = ()) -> None:
        """Answer the INVITE; a 183 or 200 brings a session along."""
        lines = [f"Contact: <{self.endpoint.contact}>", *lines]
        body = ""
        if status in (183, 200):
            lines.append("Content-Type: application/sdp")
            body = self.endpoint.sdp
        self.endpoint.answer(self.invite, status, reason, tag=self._tag, lines=lines, body=body)

    def ring(self) -> None:
        """Ring."""
        self.respond(180, "Ringing")

    def take(self) -> None:
        """Answer; the caller's `outcome` acknowledges it."""
        self.respond(200, "OK")

    def wait_ack(self) -> None:
        """Wait until the caller's acknowledgement is here."""
        self.endpoint.wait_request("ACK", call=self)

    def wait_cancel(self, *, timeout: float | None = None) -> None:
        """Wait until the caller gives up, or is made to."""
        cancel = self.endpoint.wait_request("CANCEL", call=self, timeout=timeout)
        self.endpoint.answer(cancel, 200, "OK", tag=self._tag)
        self.respond(487, "Request Terminated")
        self.endpoint.wait_request("ACK", call=self)
