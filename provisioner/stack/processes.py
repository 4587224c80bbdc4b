"""One process of the stack: started, watched, stopped, killed."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provisioner.stack.errors import StackError
from provisioner.stack.identity import as_user, tied_to_us
from provisioner.stack.waiting import wait_until

TAIL_LINES = 15  # of a log, shown when its process failed
TAIL_BYTES = 4000
KILL_TIMEOUT = 10.0  # seconds until a killed process must be gone


@dataclass(frozen=True)
class Command:
    """What to run, with which environment and inherited descriptors.

    If we are root it runs as `user`, who must be able to read `reads`; None is ourselves.
    """

    argv: Sequence[str]
    environ: Mapping[str, str]
    keep: Sequence[int] = ()
    user: str | None = None
    reads: Sequence[Path] = ()

    def full_argv(self, death_signal: signal.Signals) -> list[str]:
        """Return the command line that changes the user and does not outlive us."""
        argv = tied_to_us(self.argv, death_signal)
        return argv if self.user is None else as_user(self.user, argv, reads=self.reads)


class Process:
    """A process that runs until told otherwise, with a log file and a test of readiness.

    `command` is asked at each start. Start it from a thread that lives as long as the process
    should: the kernel ends it when that thread ends.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        command: Callable[[], Command],
        is_ready: Callable[[], bool],
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self.wanted = False  # False again once it is stopped on purpose
        self._command = command
        self._is_ready = is_ready
        self._stop_signal = stop_signal
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self.ending = "it was never started"  # how it ended last, in words

    @property
    def running(self) -> bool:
        """Whether the process is alive (not whether it is ready)."""
        if self._popen is None:
            return False
        if self._popen.poll() is None:
            return True
        self._bury()
        return False

    @property
    def pid(self) -> int:
        """The process's id.

        Raises:
            StackError: it does not run.
        """
        if self._popen is None or not self.running:
            raise StackError(f"{self.name} is not running.")
        return self._popen.pid

    def start(self) -> None:
        """Start it, without waiting until it is ready; nothing happens if it runs already."""
        self.wanted = True
        if self.running:
            return
        command = self._command()
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._popen = subprocess.Popen(  # noqa: S603 - our own commands
                command.full_argv(self._stop_signal),
                env=dict(command.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=command.keep,
                start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor alone
            )

    def wait_ready(self, timeout: float = 30.0, *, needs: Sequence["Process"] = ()) -> None:
        """Wait until the process serves, for which it may need others.

        Raises:
            StackError: one of them ended, or it was not ready within `timeout` seconds; shows the
                end of the log.
        """

        def dead() -> list[Process]:
            return [process for process in (self, *needs) if not process.running]

        in_time = wait_until(lambda: bool(dead()) or self._is_ready(), timeout)
        for process in dead():
            raise StackError(f"{process.name} died at start: {process.ending}.{process.log_tail()}")
        if not in_time:
            raise StackError(f"{self.name} was not ready in {timeout:g} s.{self.log_tail()}")

    def stop(self, timeout: float = 15.0) -> None:
        """End it in its own way, by force after `timeout` seconds; it then stays stopped."""
        self.wanted = False
        if self._popen is not None and self.running:
            self._popen.send_signal(self._stop_signal)
            if not wait_until(lambda: not self.running, timeout):
                self.kill()

    def kill(self) -> None:
        """End it and everything it started by SIGKILL; a supervisor starts it again."""
        if self._popen is not None and self.running:
            _end_all(family(self._popen.pid))
            self._popen.wait()
            self._bury()

    def log_tail(self) -> str:
        """Return the end of what it wrote since its last start, below a line naming the file."""
        return log_tail(self.log, self._log_start)

    def _bury(self) -> None:
        """Note how it ended, and end what it left behind: that would hold its ports."""
        if self._popen is None:
            return
        _end_all(family(self._popen.pid))
        self.ending = describe_status(self._popen.wait())
        self._popen = None


def describe_status(status: int) -> str:
    """Say in words how a process ended."""
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"


def run_once(name: str, command: Command, log: Path) -> None:
    """Run a command to its end; its output goes to the log file. Where we are interrupted, it ends
    with all that it has started.

    Raises:
        StackError: its exit status was not 0; shows the end of its output.
    """
    with log.open("ab") as file:
        start = file.tell()
        running = subprocess.Popen(  # noqa: S603 - our own commands
            command.full_argv(signal.SIGTERM),
            env=dict(command.environ),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            pass_fds=command.keep,
            start_new_session=True,
        )
        try:
            status = running.wait()
        except BaseException:
            _end_all(family(running.pid))
            running.wait()
            raise
    if status != 0:
        raise StackError(f"{name} failed.{log_tail(log, start)}")


def log_tail(log: Path, start: int) -> str:
    """Return the last lines of a log file, none older than the offset `start`."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
    return "".join(f"\n  {line}" for line in [f"The end of {log}:", *lines])


def family(pid: int) -> list[int]:
    """Return the living processes below `pid` and in its process group, itself included.

    Some servers' children leave the group (PostgreSQL's do); of a dead leader's, only those that
    stayed in its group can be found.
    """
    members = {pid}
    others = dict(_parents_and_groups())
    while True:
        found = {
            one for one, (parent, group) in others.items() if parent in members or group == pid
        }
        if found <= members:
            return [member for member in members if member in others]
        members |= found


def _end_all(pids: Sequence[int]) -> None:
    """Kill these processes and wait until they are gone.

    Raises:
        StackError: one of them does not end.
    """
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not wait_until(lambda: not any(_stat(pid) for pid in pids), KILL_TIMEOUT):
        raise StackError(f"Processes do not end although they were killed: {pids}.")


def _parents_and_groups() -> Iterator[tuple[int, tuple[int, int]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            yield int(entry.name), (int(stat[1]), int(stat[2]))


def _stat(pid: int) -> list[str] | None:
    """Return state, parent, group, … of a living process; None if it ended, read or not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else fields
