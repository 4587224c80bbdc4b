"""SIPp: one REGISTER exchange a run, from our own scenario."""

from __future__ import annotations

import math
import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from .message import final_answer
from .model import ClientError, Credentials, Registrar, Registration
from .phone import Phone
from .process import run_bounded

if TYPE_CHECKING:
    from collections.abc import Sequence

SCENARIOS = Path(__file__).parent / "scenarios"
_BREAKS_THE_CSV = set(";[]\r\n")
_STOPPED_EARLY = 2.0
"""Seconds that SIPp gets to end by itself after its own deadline."""


class Sipp(Phone):
    """SIPp, which speaks UDP and TCP and runs only while it registers.

    The binding stays until it expires: this phone has no program to stop. One object keeps
    its Call-ID, so that a later `register` refreshes and `unregister` removes the binding.
    """

    name: ClassVar[str] = "SIPp"

    def __init__(
        self,
        registrar: Registrar,
        credentials: Credentials,
        source: str,
        *,
        expires: int = 300,
        run_in: Sequence[str] = (),
    ) -> None:
        super().__init__(registrar, credentials, source, expires=expires, run_in=run_in)
        self._call_id = secrets.token_hex(12)
        self._cseq = 1

    def register(self, *, timeout: float = 10.0, as_user: str | None = None) -> Registration:
        """Register; with `as_user` its address, authenticated by this phone's credentials."""
        return self._exchange(as_user, self.expires, timeout)

    def unregister(self, *, timeout: float = 10.0, as_user: str | None = None) -> Registration:
        """Register with Expires 0."""
        return self._exchange(as_user, 0, timeout)

    def _exchange(self, as_user: str | None, expires: int, timeout: float) -> Registration:
        with tempfile.TemporaryDirectory(prefix="sipp-") as name:
            folder = Path(name)
            self._write_fields(folder / "fields.csv", as_user, expires)
            command = self._command(folder, timeout)
            started = time.monotonic()
            code, output = run_bounded(command, timeout=timeout + _STOPPED_EARLY, cwd=folder)
            log = folder / "messages.log"
            if not log.exists():
                raise ClientError(f"sipp sent nothing (exit code {code}): {output[-800:]}")
            answer = final_answer(log.read_text(errors="replace"))
        self._cseq += 2
        return self._seen(answer, started)

    def _write_fields(self, path: Path, as_user: str | None, expires: int) -> None:
        user, password = self.credentials.username, self.credentials.password
        for value in (user, password, as_user or ""):
            if _BREAKS_THE_CSV & set(value):
                raise ValueError("SIPp's injection file cannot hold ; [ ] or a line's end")
        authentication = f"[authentication username={user} password={password}]"
        fields = (as_user or user, self.credentials.realm, authentication, expires, self.name)
        path.write_text("SEQUENTIAL\n" + ";".join(map(str, fields)) + ";\n")
        path.chmod(0o600)

    def _command(self, folder: Path, timeout: float) -> list[str]:
        port = str(self.port)
        return [
            *self.run_in, "sipp", self.registrar.address,
            "-sf", str(SCENARIOS / "register.xml"), "-inf", str(folder / "fields.csv"),
            "-i", self.source, "-bind_local", "-p", port,
            "-t", "u1" if self.registrar.transport == "udp" else "t1",
            "-m", "1", "-cid_str", self._call_id, "-base_cseq", str(self._cseq),
            "-timeout", f"{math.ceil(timeout)}s", "-timeout_error",
            "-recv_timeout", f"{timeout * 1000:.0f}",
            # A BYE after a refused REGISTER would be a request that no phone sends.
            "-default_behaviors", "all,-bye",
            "-nostdin", "-trace_msg", "-message_file", str(folder / "messages.log"),
        ]  # fmt: skip
