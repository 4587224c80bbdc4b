"""A carrier, played by SIPp: it takes calls that leave the service, and makes those that come."""

from __future__ import annotations

import socket
import struct
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from .message import Message, messages_in
from .model import ClientError, Registrar, Transport
from .process import Program, free_port
from .sipp import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Behaviour = Literal["answer", "hang_up", "ring", "refuse", "silent"]
"""A scenario of that name in scenarios/carrier: what becomes of a call."""


class _Sipp:
    """A SIPp process and the messages that it has seen."""

    def __init__(
        self, scenario: str, arguments: Sequence[str], source: str, port: int, transport: Transport
    ) -> None:
        self.source, self.port = source, port
        self._folder = tempfile.TemporaryDirectory(prefix="carrier-")
        path = Path(self._folder.name) / "scenario.xml"
        path.write_text(scenario)
        arguments = [*arguments, "-sf", str(path), "-t", "u1" if transport == "udp" else "t1"]
        self._log = Path(self._folder.name) / "messages.log"
        command = [
            "sipp", *arguments, "-i", source, "-bind_local", "-p", str(port), "-nostdin", "-aa",
            "-default_behaviors", "all,-bye", "-trace_msg", "-message_file", str(self._log),
        ]  # fmt: skip
        self._program = Program(command, cwd=Path(self._folder.name))

    @property
    def messages(self) -> list[Message]:
        """All messages so far, sent and received, in their order."""
        return messages_in(self._log.read_text(errors="replace")) if self._log.exists() else []

    def requests(self, method: str) -> list[Message]:
        """The requests of a method that it has sent or received."""
        return [each for each in self.messages if each.start_line.startswith(f"{method} ")]

    def wait_request(self, method: str, *, count: int = 1, timeout: float = 8.0) -> Message:
        """The `count`th request of a method; raises `ClientError` if it does not come in time."""
        return self._wait(lambda: self.requests(method)[count - 1 : count], method, timeout)

    def _wait(self, look: Callable[[], list[Message]], what: str, timeout: float) -> Message:
        deadline = time.monotonic() + timeout
        while not (found := look()):
            if time.monotonic() > deadline:
                seen = [message.start_line for message in self.messages]
                raise ClientError(f"no {what} in {timeout} s, but {seen}")
            time.sleep(0.02)
        return found[0]

    def stop(self) -> None:
        """End the program and forget its messages."""
        self._program.stop()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def _is_taken(address: str, port: int, transport: Transport) -> bool:
    """Whether somebody listens there, as the kernel says: who tried to bind would be in the way."""
    (number,) = struct.unpack("=I", socket.inet_aton(address))
    kind, state = ("udp", "07") if transport == "udp" else ("tcp", "0A")
    lines = Path(f"/proc/net/{kind}").read_text(encoding="ascii").splitlines()[1:]
    taken = {(fields[1], fields[3]) for fields in map(str.split, lines)}
    return (f"{number:08X}:{port:04X}", state) in taken


class Carrier(_Sipp):
    """A carrier's server on one port; all calls that it gets end as `behaviour` says.

    `refusal` is the status and reason phrase of `refuse`, `seconds` when `hang_up` does.
    """

    def __init__(
        self,
        source: str,
        port: int,
        *,
        transport: Transport = "udp",
        behaviour: Behaviour = "answer",
        refusal: str = "486 Busy Here",
        seconds: float = 1.0,
    ) -> None:
        scenario = (SCENARIOS / "carrier" / f"{behaviour}.xml").read_text()
        scenario = scenario.replace("REFUSAL", refusal)
        super().__init__(scenario, ["-d", f"{seconds * 1000:.0f}"], source, port, transport)
        self._wait_listening(transport)

    def _wait_listening(self, transport: Transport) -> None:
        deadline = time.monotonic() + 10
        while self._program.running and time.monotonic() < deadline:
            if _is_taken(self.source, self.port, transport):
                return
            time.sleep(0.02)
        raise ClientError(f"SIPp does not listen: {self._program.output()[-800:]}")

    @property
    def calls(self) -> list[Message]:
        """The INVITEs that it got, without retransmissions."""
        invites = self.requests("INVITE")
        found = {(each.header("Call-ID"), each.header("Via")): each for each in invites}
        return list(found.values())


class CarrierCall(_Sipp):
    """One call that a carrier makes to a number, and holds for `seconds` if it is answered.

    `headers` come beside the usual ones: P-Asserted-Identity, Privacy, Diversion, any number.
    """

    def __init__(
        self,
        registrar: Registrar,
        source: str,
        number: str,
        *,
        caller: str = "+390299999999",
        headers: Sequence[tuple[str, str]] = (),
        seconds: float = 0.5,
    ) -> None:
        lines = "\n      ".join(f"{name}: {value}" for name, value in headers)
        scenario = (SCENARIOS / "carrier" / "call.xml").read_text()
        scenario = scenario.replace("      HEADERS\n", f"      {lines}\n" if lines else "")
        arguments = [registrar.address, "-m", "1", "-d", f"{seconds * 1000:.0f}"]
        for name, value in (("number", number), ("domain", registrar.address), ("caller", caller)):
            arguments += ["-key", name, value]
        super().__init__(scenario, arguments, source, free_port(source), registrar.transport)

    def outcome(self, *, timeout: float = 8.0) -> tuple[int, str]:
        """Status and reason phrase of the final response to the INVITE."""

        def look() -> list[Message]:
            finals = [each for each in self.messages if each.status >= 200]
            return [each for each in finals if each.cseq[1] == "INVITE"]

        answer = self._wait(look, "final response", timeout)
        return answer.status, answer.reason
