"""Many calls of one account at the same moment, and who answers all of them.

Each caller has a socket and, in every round, a Call-ID of its own. A round's INVITEs carry the
answer to a challenge of an earlier one (with a higher count), so that nothing stands between them.
"""

from __future__ import annotations

import secrets
import selectors
import time
from contextlib import ExitStack
from itertools import cycle, islice
from typing import TYPE_CHECKING, Self

from .call import IncomingCall, OutgoingCall
from .endpoint import Endpoint
from .model import ClientError
from .wire import digest_authorization, digest_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .message import Message
    from .model import Credentials, Registrar


class Caller(Endpoint):
    """One of many."""

    def __init__(self, registrar: Registrar, source: str, credentials: Credentials) -> None:
        super().__init__(registrar, source)
        self._credentials = credentials
        self._challenge: dict[str, str] = {}
        self._count = 0
        self.call: OutgoingCall | None = None
        self.status = 0

    def start(self, callee: str) -> None:
        """Send an INVITE, with the answer to the latest challenge if there is one."""
        credentials = self._credentials
        uri = f"sip:{callee}@{credentials.realm}"
        fields = {
            "To": f"<{uri}>",
            "Call-ID": secrets.token_hex(12),
            "Contact": f"<sip:{credentials.username}@{self.host_port}>",
            "Content-Type": "application/sdp",
        }
        if self._challenge:
            self._count += 1
            fields["Proxy-Authorization"] = digest_authorization(
                credentials, self._challenge, method="INVITE", uri=uri, nonce_count=self._count
            )
        request = self.request(
            "INVITE", credentials.username, credentials.realm, fields, uri=uri, body=self.sdp
        )
        self.status = 0
        self.call = OutgoingCall(self, request)

    def take(self, answer: Message, callee: str) -> None:
        """Note the final response to the INVITE, and acknowledge it; a challenge is answered."""
        assert self.call is not None
        if answer.status < 200 or answer.cseq != self.call.invite.cseq:
            return
        self.call.acknowledge(answer)
        if answer.status == 407:
            self._challenge = digest_parameters(answer.header("Proxy-Authenticate") or "")
            self._count = 0
            self.start(callee)
        else:
            self.status = answer.status


class Crowd:
    """`size` callers of one account, spread over the registrars, and a device, or trunk, that
    answers at once.
    """

    def __init__(
        self,
        registrars: Sequence[Registrar],
        source: str,
        credentials: Credentials,
        answering: Endpoint,
        *,
        size: int = 50,
    ) -> None:
        self._stack = ExitStack()
        self._taken: set[str | None] = set()
        self._selector = self._stack.enter_context(selectors.DefaultSelector())
        self._callers = [
            self._stack.enter_context(Caller(registrar, source, credentials))
            for registrar in islice(cycle(registrars), size)
        ]
        for endpoint in (answering, *self._callers):
            self._selector.register(endpoint, selectors.EVENT_READ, endpoint)

    def round(self, callee: str, *, timeout: float = 10.0) -> list[int]:
        """Everybody calls at once; the final statuses, with the calls that were taken going on.

        Raises `ClientError` if somebody gets no answer in `timeout` seconds.
        """
        for caller in self._callers:
            caller.start(callee)
        waiting = set(self._callers)

        def take(caller: Caller, message: Message) -> None:
            caller.take(message, callee)
            if caller.status:
                waiting.discard(caller)

        self._until_empty(waiting, take, timeout)
        return [caller.status for caller in self._callers]

    def hang_up(self, *, timeout: float = 10.0) -> None:
        """End all calls of the round, and wait for the answers."""
        waiting = {caller for caller in self._callers if caller.status == 200}
        for caller in waiting:
            assert caller.call is not None
            caller.call.request("BYE")

        def take(caller: Caller, message: Message) -> None:
            if message.cseq[1] == "BYE" and message.status == 200:
                waiting.discard(caller)

        self._until_empty(waiting, take, timeout)

    def _until_empty(
        self, waiting: set[Caller], take: Callable[[Caller, Message], None], timeout: float
    ) -> None:
        deadline = time.monotonic() + timeout
        while waiting:
            if time.monotonic() > deadline:
                raise ClientError(f"{len(waiting)} of the crowd got no answer in {timeout} s")
            for key, _ in self._selector.select(0.1):
                for message in key.data.arrived():
                    if isinstance(key.data, Caller):
                        take(key.data, message)
                    else:
                        self._answer(key.data, message)

    def _answer(self, endpoint: Endpoint, message: Message) -> None:
        method = message.start_line.partition(" ")[0]
        if method == "INVITE" and message.header("Via") not in self._taken:
            self._taken.add(message.header("Via"))
            IncomingCall(endpoint, message).take()
        elif method in ("BYE", "OPTIONS"):
            endpoint.answer(message, 200, "OK")

    def close(self) -> None:
        """Close the callers' sockets."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
