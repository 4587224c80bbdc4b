"""Load by SIPp: one scenario, again and again, for many users, from several processes at once."""

import csv
import math
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.credentials import Secret
from provisioner.stack.identity import tied_to_us

SCENARIOS = Path(__file__).parent
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
    """Users shared out among the SIPp processes; each keeps its users and its address.

    A row is a user's fields in the scenario `NAME.xml`. A process of several sources sends from a
    port of its own choice, a single one from `source_port`, if that is given.
    """

    def __init__(
        self,
        folder: Path,
        scenario: str,
        rows: Sequence[Sequence[str]],
        *,
        sources: Sequence[str] = SOURCES,
        source_port: int | None = None,
    ) -> None:
        self._folder = folder
        self._scenario = scenario
        self._sources = sources
        self._source_port = source_port
        for index in range(len(sources)):
            write_rows(self._users(index), rows[index :: len(sources)])

    def run(self, address: str, port: int, calls: int) -> Result:
        """Run the scenario that many times in all.

        Raises:
            CallsFailed: a call ended in any other way than its scenario.
        """
        processes = range(len(self._sources))
        share = math.ceil(calls / len(self._sources))
        running = [self._start(index, f"{address}:{port}", share) for index in processes]
        try:
            codes = [process.wait(TIMEOUT + 5) for process in running]
        finally:
            for process in running:
                process.kill()
                process.wait()
        results = [self._result(index) for index in processes]
        if any(codes) or sum(result.calls for result in results) != share * len(self._sources):
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
        argv = ["sipp", target, *scenario(self._scenario), "-inf", str(self._users(index))]
        argv += ["-i", self._sources[index], "-bind_local", "-m", str(calls)]
        if self._source_port is not None:
            argv += ["-p", str(self._source_port)]
        argv += ["-l", str(OPEN_CALLS), "-r", str(RATE), "-timer_resol", "1"]
        argv += ["-timeout", f"{TIMEOUT}s", "-timeout_error", "-default_behaviors", "all,-bye"]
        argv += ["-trace_stat", "-stf", str(statistics), "-fd", "1", "-nostdin"]
        argv += ["-trace_err", "-error_file", str(self._error_file(index))]
        return start_sipp(argv, self._folder)

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
        files = [self._error_file(index) for index in range(len(self._sources))]
        return "\n".join(file.read_text(errors="replace")[:2000] for file in files if file.exists())

    def _users(self, index: int) -> Path:
        return self._folder / f"{self._scenario}-users-{index}.csv"

    def _statistics(self, index: int) -> Path:
        return self._folder / f"{self._scenario}-statistics-{index}.csv"

    def _error_file(self, index: int) -> Path:
        return self._folder / f"{self._scenario}-errors-{index}.log"


def scenario(name: str) -> list[str]:
    """Return SIPp's options for the scenario `NAME.xml`."""
    return ["-sf", str(SCENARIOS / f"{name}.xml")]


def start_sipp(argv: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start SIPp, which does not outlive us, in a folder of its own."""
    return subprocess.Popen(
        tied_to_us(argv, signal.SIGKILL),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def user_row(user: Secret) -> tuple[str, ...]:
    """Return the fields that a user is authenticated with: name, domain, credentials."""
    digest = f"[authentication username={user.username} password={user.password}]"
    return (user.username, user.realm, digest)


def write_rows(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write the fields of users, for SIPp to take in turn; only we may read them."""
    lines = ["SEQUENTIAL", *("".join(f"{field};" for field in row) for row in rows)]
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def _seconds(text: str) -> float:
    """Read one of SIPp's times: the date, the time, and the same in seconds since the epoch."""
    return float(text.split()[-1])
