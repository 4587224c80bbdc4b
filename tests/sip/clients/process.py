"""Running client programs: bounded, one at a time, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from .model import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

_TERMINAL_CODE = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z]?\]?)?")
_FAREWELL = 4.0
"""Seconds to end in after being asked to: enough to unregister with a server that answers."""
_GRACE = 3.0
"""Seconds to end in after a signal."""
_given: set[tuple[str, int]] = set()


def free_port(host: str, *, in_a_row: int = 1) -> int:
    """A port of `host` that is free for UDP and for TCP at this moment, and was never given before:
    who was given it may have yet to listen there. It is the first of so many, all of them free.

    An address that is not this machine's (a client in a network namespace) has its own
    ports, so any number that is free here will do.
    """
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            try:
                udp.bind((host, 0))
            except OSError:
                udp.bind(("127.0.0.1", 0))
            address, port = udp.getsockname()
            row = {(address, port + number) for number in range(in_a_row)}
            if row & _given:
                continue
            with contextlib.suppress(OSError, OverflowError), contextlib.ExitStack() as others:
                tcp.bind((address, port))
                for one in row - {(address, port)}:
                    others.enter_context(socket.socket()).bind(one)
                _given.update(row)
                return int(port)
    raise ClientError(f"no port of {host} is free for both UDP and TCP")


def run_bounded(
    command: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> tuple[int | None, str]:
    """Run a program; its exit code (None if killed after `timeout` seconds) and its output.

    Raises `ClientError` if it cannot be started.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            env=_environment(env),
            cwd=cwd,
            check=False,
        )
    except OSError as error:
        raise ClientError(f"{command[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as expired:
        return None, (expired.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace")


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "TERM": "dumb", **(extra or {})}


def _with_descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
            found += map(int, children.split())
    return found


class Program:
    """A long-lived client program that is talked to over its standard input and output."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._command = list(command)
        self._text = ""
        self._changed = threading.Condition(threading.RLock())
        self._ended = False
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=_environment(env),
                cwd=cwd,
            )
        except OSError as error:
            raise ClientError(f"{command[0]} cannot be run: {error.strerror}") from error
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            text = chunk.decode(errors="replace")
            with self._changed:
                self._text += text
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program has not ended."""
        return self._process.poll() is None

    def output(self, since: int = 0) -> str:
        """What it printed so far without colours, from character `since` of that on."""
        with self._changed:
            return _TERMINAL_CODE.sub("", self._text)[since:]

    def mark(self) -> int:
        """The present end of the output, for a later `since`."""
        with self._changed:
            return len(self.output())

    def wait_for(self, pattern: str, *, timeout: float, since: int = 0) -> re.Match[str] | None:
        """Wait until the output matches `pattern` (multi-line); None after `timeout` seconds."""
        wanted = re.compile(pattern, re.MULTILINE)
        return self.wait_until(wanted.search, timeout=timeout, since=since)

    def wait_until(
        self, found: Callable[[str], T | None], *, timeout: float, since: int = 0
    ) -> T | None:
        """Wait until `found` of the output gives something; None after `timeout` seconds.

        Raises `ClientError`, with the end of the output, if the program ends before that.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while (result := found(self.output(since))) is None:
                if self._ended:
                    raise ClientError(f"{self._command} ended: {self._text[-800:]}")
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
            return result

    def type(self, line: str) -> None:
        """Type one line; a program that has gone away is not an error."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def stop(self, last_words: str | None = None) -> None:
        """Ask it to end, insist, then kill it; closes the pipes and reaps the process."""
        if last_words is not None and self.running:
            self.type(last_words)
            self._wait(_FAREWELL)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.running:
                self._signal(number)
                self._wait(_GRACE)
        self._close()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.running:
            self._signal(signal.SIGKILL)
        self._process.wait()
        self._close()

    def _signal(self, number: signal.Signals) -> None:
        for pid in _with_descendants(self.pid):
            # A sudo in between is not ours to signal; it ends with what it started.
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.kill(pid, number)

    def _wait(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def _close(self) -> None:
        self._reader.join(_GRACE)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
