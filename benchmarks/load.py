"""Load by SIPp: every user registers, again and again, from several processes at once."""

import csv
import math
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.credentials import Secret
from provisioner.stack.identity import tied_to_us

SCENARIO = Path(__file__).with_name("register.xml")
SOURCES = ("127.0.20.1", "127.0.20.2")  # a SIPp process each: one of them tops out too early
OPEN_CALLS = 60  # of one SIPp at a time; it starts the next when one has ended
RATE = 100_000  # calls a second that it may start, far above what it can
TIMEOUT = 40  # seconds for one run


class CallsFailed(Exception):
    """Not every call of a run ended well, so its figure means nothing."""


@dataclass(frozen=True)
class Result:
    """What a run of the load did: successful calls, from `start` to `end` (seconds)."""

    calls: int
    start: float
    end: float
    retransmissions: int

    @property
    def rate(self) -> float:
        """Successful calls a second."""
        return self.calls / (self.end - self.start)


class Load:
    """Users shared out among the SIPp processes; each keeps its users and its address."""

    def __init__(self, folder: Path, users: Sequence[Secret]) -> None:
        self._folder = folder
        for index in range(len(SOURCES)):
            _write_users(self._users(index), users[index :: len(SOURCES)])

    def run(self, address: str, port: int, calls: int) -> Result:
        """Register that many times in all.

        Raises:
            CallsFailed: a call ended in any other way than with 200.
        """
        share = math.ceil(calls / len(SOURCES))
        running = [self._start(index, f"{address}:{port}", share) for index in range(len(SOURCES))]
        try:
            codes = [process.wait(TIMEOUT + 5) for process in running]
        finally:
            for process in running:
                process.kill()
                process.wait()
        results = [self._result(index) for index in range(len(SOURCES))]
        if any(codes) or sum(result.calls for result in results) != share * len(SOURCES):
            raise CallsFailed(f"SIPp's exit codes: {codes}; {results}; {self._errors()}")
        return Result(
            sum(result.calls for result in results),
            min(result.start for result in results),
            max(result.end for result in results),
            sum(result.retransmissions for result in results),
        )

    def _start(self, index: int, target: str, calls: int) -> subprocess.Popen[bytes]:
        statistics = self._statistics(index)
        statistics.unlink(missing_ok=True)
        argv = ["sipp", target, "-sf", str(SCENARIO), "-inf", str(self._users(index))]
        argv += ["-i", SOURCES[index], "-bind_local", "-m", str(calls)]
        argv += ["-l", str(OPEN_CALLS), "-r", str(RATE), "-timer_resol", "1"]
        argv += ["-timeout", f"{TIMEOUT}s", "-timeout_error", "-default_behaviors", "all,-bye"]
        argv += ["-trace_stat", "-stf", str(statistics), "-fd", "1", "-nostdin"]
        argv += ["-trace_err", "-error_file", str(self._error_file(index))]
        return subprocess.Popen(
            tied_to_us(argv, signal.SIGKILL),
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _result(self, index: int) -> Result:
        """Read the last line of SIPp's statistics: totals since its start."""
        with self._statistics(index).open(encoding="ascii") as file:
            *_, last = csv.DictReader(file, delimiter=";")
        return Result(
            int(last["SuccessfulCall(C)"]),
            _seconds(last["StartTime"]),
            _seconds(last["CurrentTime"]),
            int(last["Retransmissions(C)"]),
        )

    def _errors(self) -> str:
        files = [self._error_file(index) for index in range(len(SOURCES))]
        return "\n".join(file.read_text(errors="replace")[:2000] for file in files if file.exists())

    def _users(self, index: int) -> Path:
        return self._folder / f"users-{index}.csv"

    def _statistics(self, index: int) -> Path:
        return self._folder / f"statistics-{index}.csv"

    def _error_file(self, index: int) -> Path:
        return self._folder / f"errors-{index}.log"


def _write_users(path: Path, users: Sequence[Secret]) -> None:
    lines = ["SEQUENTIAL"]
    for user in users:
        digest = f"[authentication username={user.username} password={user.password}]"
        lines.append(f"{user.username};{user.realm};{digest};")
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def _seconds(text: str) -> float:
    """Read one of SIPp's times: the date, the time, and the same in seconds since the epoch."""
    return float(text.split()[-1])
