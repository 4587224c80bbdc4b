"""sipsak: one REGISTER exchange a run."""

from __future__ import annotations

import math
import time
from typing import ClassVar

from .message import final_answer, messages_in
from .model import ClientError, Registration
from .phone import Phone
from .process import run_bounded


class Sipsak(Phone):
    """sipsak, which runs only while it registers: the binding stays until it expires.

    It takes the password on its command line, so give it made-up ones only. It needs an
    address that resolves in To and From, and it cuts the last digit off a five-digit port
    there; so the registrar's bare address stands there, and the port in the route.
    """

    name: ClassVar[str] = "sipsak"

    def register(self, *, timeout: float = 10.0) -> Registration:
        """Register once."""
        return self._exchange(f"<{self.contact}>", self.expires, timeout)

    def unregister(self, *, timeout: float = 10.0) -> Registration:
        """Register the same contact with Expires 0."""
        return self._exchange(f"<{self.contact}>", 0, timeout)

    def _exchange(self, contact: str, expires: int, timeout: float) -> Registration:
        started = time.monotonic()
        code, output = run_bounded(self._command(contact, expires), timeout=math.ceil(timeout))
        answer = final_answer(output)
        if code is not None and not messages_in(output):
            raise ClientError(f"sipsak sent nothing: {output[-800:]}")
        return self._seen(answer, started)

    def _command(self, contact: str, expires: int) -> list[str]:
        user = self.credentials.username
        # Without SO_REUSEADDR a second TCP connection from one port fails for a minute.
        port = ["-l", str(self.port), "-S"] if self.registrar.transport == "udp" else []
        return [
            *self.run_in, "sipsak", "-U", "-s", f"sip:{user}@{self.registrar.host}",
            "-p", self.registrar.address, "-E", self.registrar.transport,
            "-u", user, "-a", self.credentials.password,
            "-C", contact, "-x", str(expires),
            # -k binds, -H is what it writes, -S sends from the port that it listens on.
            "-k", self.source, "-H", self.source, *port, "-i", "-vvv",
        ]  # fmt: skip
