"""baresip 1.0 (Debian 12) and 1.1 (Debian 13): a desk phone that stays registered and calls."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from .message import Message, final_answer, messages_in
from .model import ClientError, Registration
from .phone import RunningPhone
from .process import Program, free_port

if TYPE_CHECKING:
    pass

MODULES = Path("/usr/lib/baresip/modules")
READY = r"^baresip is ready\.$"
_FAILED = re.compile(r"^reg: sip:\S+?(?: \(prio \d+\))?: (?P<why>.*)\n", re.MULTILINE)
_CLOSED = r"session closed:? ?(.*)\n|^call: terminate call|Call with \S+ terminated"
_START_UP = 20.0
"""Seconds that it gets to load its modules on a busy machine."""

_CONFIG = """\
poll_method epoll
net_interface {source}
sip_listen {source}:{port}
sip_trans_def {transport}
call_max_calls 8
audio_player aubridge,nil
audio_source aubridge,nil
audio_alert aubridge,nil
ringback_disabled yes
rtp_ports {rtp}-{rtp_end}
statmode_default off
module_path {modules}
module stdio.so
module g711.so
module aubridge.so
module_tmp account.so
module_app menu.so
"""


class Baresip(RunningPhone):
    """baresip; the binding lives as long as the program, which takes it away as it stops.

    Over TCP it sends from an address of the system's choice, whatever `source` says.
    After a refusal it tries again in 30 seconds at the earliest; `register` starts it anew.
    """

    name: ClassVar[str] = "baresip"
    ports: ClassVar[int] = 2  # the second for TLS, whatever it is told
    farewell: ClassVar[str] = "/quit"

    _read_to = 0
    _calls_read_to = 0
    _since = 0.0

    def start(self) -> None:
        """Start the program, which registers by itself; nothing if it runs already."""
        if self._program is not None:
            return
        folder = Path(self._folder.name)
        (folder / "config").write_text(self._config())
        (folder / "accounts").write_text(self._account())
        (folder / "accounts").chmod(0o600)
        command = [*self.run_in, "baresip", "-s", "-f", str(folder)]
        self._read_to, self._calls_read_to, self._since = 0, 0, time.monotonic()
        self._program = Program(command, env={"HOME": str(folder)}, cwd=folder)
        if self._program.wait_for(READY, timeout=_START_UP) is None:
            raise ClientError(f"baresip did not start: {self._program.output()[-800:]}")

    def _config(self) -> str:
        rtp = free_port(self.source) & ~1
        return _CONFIG.format(
            source=self.source,
            port=self.port,
            transport=self.registrar.transport,
            rtp=rtp,
            rtp_end=rtp + 20,
            modules=MODULES,
        )

    def _account(self) -> str:
        user, realm = self.credentials.username, self.credentials.realm
        return (
            f"<sip:{user}@{realm}>;auth_user={user};auth_pass={self.credentials.password}"
            f';outbound="{self.registrar.uri}";regint={self.expires}\n'
        )

    def register(self, *, timeout: float = 10.0) -> Registration:
        """Start (anew if it runs) and wait for the first outcome, good or bad."""
        self._halt()
        self.start()
        return self.next_outcome(timeout=timeout)

    def next_outcome(self, *, timeout: float) -> Registration:
        """The next end of a REGISTER that was not reported yet: first, refresh or retry."""
        program, since = self._running(), self._since
        found = program.wait_until(outcome_in, timeout=timeout, since=self._read_to)
        self._since = time.monotonic()
        if found is None:
            return self._seen(None, since)
        self._read_to = program.mark()
        answer, why = found
        return self._seen(answer, since, why)

    def unregister(self, *, timeout: float = 10.0) -> Registration:
        """Stop the program and read its farewell."""
        program, started = self._running(), time.monotonic()
        before = program.mark()
        program.type("/quit")
        try:
            farewell = program.wait_until(_accepted, timeout=timeout, since=before)
        except ClientError:
            farewell = final_answer(program.output(before))
        self._halt()
        return self._seen(farewell, started)

    def dial(self, uri: str) -> None:
        """Call; `wait_established` or `wait_closed` tell how it went."""
        program = self._running()
        self._calls_read_to = program.mark()
        program.type(f"/dial {uri}")

    def wait_incoming(self, *, timeout: float) -> str:
        """The URI of the next caller; raises `ClientError` if nobody calls in time."""
        return self._event(r"Incoming call from: +(?:\S+ )?<?(sips?:[^\s>]+)[\s>]", timeout).group(
            1
        )

    def answer(self) -> None:
        """Take the call that is ringing."""
        self._running().type("/accept")

    def wait_established(self, *, timeout: float) -> str:
        """The other side's URI once the call is up; raises `ClientError` if it is not in time."""
        return self._event(r"Call established: (\S+)\s", timeout).group(1)

    def hangup(self) -> None:
        """End, or refuse, the current call."""
        self._running().type("/hangup")

    def hold(self) -> None:
        """Put the current call on hold, which is a request within the call."""
        self._running().type("/hold")

    def wait_closed(self, *, timeout: float) -> str:
        """Why the call is over, such as `404 Not Found`; empty if this phone hung up."""
        found = self._event(_CLOSED, timeout)
        return (found.group(1) or "").strip()

    def wait_requests(self, method: str, *, count: int, timeout: float) -> None:
        """Wait until `count` requests of a method have passed since the start.

        Keep-alives, for one: their number says how long a router has been kept awake.
        Raises `ClientError` if there are fewer in time.
        """

        def enough(output: str) -> bool | None:
            starts = [message.start_line for message in messages_in(output)]
            return sum(line.startswith(f"{method} ") for line in starts) >= count or None

        if self._running().wait_until(enough, timeout=timeout) is None:
            raise ClientError(f"fewer than {count} {method} requests in {timeout} s")

    def _event(self, pattern: str, timeout: float) -> re.Match[str]:
        """The next line about a call that matches and that was not reported yet."""
        program = self._running()
        found = program.wait_for(pattern, timeout=timeout, since=self._calls_read_to)
        if found is None:
            raise ClientError(f"no {pattern!r} in {timeout} s: {program.output()[-800:]}")
        self._calls_read_to += found.end()
        return found


def _accepted(output: str) -> Message | None:
    for message in messages_in(output):
        if 200 <= message.status < 300 and message.cseq[1] == "REGISTER":
            return message
    return None


def outcome_in(output: str) -> tuple[Message | None, str] | None:
    """The first end of a REGISTER in the output: its final response and what was printed."""
    failed = _FAILED.search(output)
    if failed is not None:
        return final_answer(output[: failed.end()]), failed.group("why")
    accepted = _accepted(output)
    return (accepted, "") if accepted is not None else None
