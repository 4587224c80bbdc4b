"""The clock is set an hour ahead, or back: who may register does, who may not is refused."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import psycopg
import pytest

from provisioner.kamailio import KamailioNode
from provisioner.stack import postgres
from provisioner.stack.environment import Environment
from provisioner.stack.processes import family
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.conftest import Database
from tests.sip.faults.changing import Subject
from tests.sip.faults.workshop import Workshop
from tests.system import System, eventually, native_system

pytestmark = pytest.mark.native

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")  # Debian's libfaketime
MEMORY = Path("/dev/shm")  # noqa: S108 - where that library keeps what processes share
CATCH_UP = 30.0  # seconds that a worker may take from its start


def test_work_from_before_the_clock_was_set_back_is_not_put_off(
    system: System, workshop: Workshop, database: Database, kamailio: KamailioNode
) -> None:
    """For PostgreSQL, rows that are an hour older than they say are the same."""
    subject = Subject.new(system)
    assert subject.register() == 200
    subject.disable()
    system.api.put("/networks/cloudfire", {"cidrs": [system.cloudfire_cidr]}, wait=0)
    database.execute("UPDATE provisioner.pending_kicks SET due_at = due_at + interval '1 h'")
    database.execute("UPDATE provisioner.pending_reloads SET due_at = due_at + interval '1 h'")
    assert kamailio.bindings(subject.aor)
    with workshop.worker():
        eventually(lambda: not kamailio.bindings(subject.aor), within=CATCH_UP)
        eventually(lambda: system.api.get("/nodes").json["items"][0]["converged"])


class Clock:
    """What processes take for the time, whichever user they run as; in a block."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._own = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, seconds: int) -> None:
        """Put it ahead of the machine's."""
        self._file.write_text(f"{seconds:+d}\n")

    def __enter__(self) -> Self:
        """Let a process make what the library shares, and let all users write to that."""
        self._owner = subprocess.Popen(["sleep", "infinity"], env=self._own)
        pid = self._owner.pid
        for name in (f"sem.faketime_sem_{pid}", f"faketime_shm_{pid}"):
            path = MEMORY / name
            eventually(path.exists)
            path.chmod(0o666)
        self.environ = self._own | {
            "FAKETIME_SHARED": f"/faketime_sem_{pid} /faketime_shm_{pid}",
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._owner.terminate()
        self._owner.wait()
        for path in MEMORY.glob(f"*faketime_s*_{self._owner.pid}"):
            path.unlink()


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A clock that all users can read."""
    if not LIBRARY.exists():
        pytest.skip("the package libfaketime is not installed")
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    with Clock(directory / "clock") as clock:
        yield clock
    shutil.rmtree(directory)


@pytest.fixture
def late(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack whose PostgreSQL and Kamailio live by that clock: they decide what is due, and what
    has expired. The library does not let Python sleep, so the service keeps the machine's.
    """
    own = Environment.kamailio
    monkeypatch.setattr(
        Environment, "kamailio", lambda given, node: own(given, node) | clock.environ
    )
    monkeypatch.setattr(postgres, "ENVIRON", {**postgres.ENVIRON, **clock.environ})
    with Stack(tmp_path / "stack", environ={"SYNC_INTERVAL": "2"}) as stack:
        yield stack


@pytest.mark.chaos
def test_a_clock_that_jumps_locks_nobody_out_and_lets_nobody_in(
    late: Stack, clock: Clock, figures: Figures
) -> None:
    system = native_system(late)
    processes = set(family(late.kamailio.pid))
    resident = Subject.new(system)
    assert resident.register() == 200
    for jump in (3600, 0, -3600, 0):
        clock.set(jump)
        assert abs(offset(late) - jump) < 60  # the control: it has jumped
        refused = Subject.new(system)
        assert refused.register() == 200
        assert resident.register() == 200
        refused.line.disable()
        assert refused.line.bindings() == []
        assert refused.register() == 403
        before = compared_at(system)
        eventually(lambda: compared_at(system) != before)  # noqa: B023 - it is called at once
    figures("clock jumps survived", 4)
    assert set(family(late.kamailio.pid)) == processes


def offset(stack: Stack) -> float:
    """Return how far PostgreSQL's clock is ahead of the machine's (s)."""
    with psycopg.connect(stack.database_admin_url) as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row
    return float((row[0] - datetime.now(UTC)).total_seconds())


def compared_at(system: System) -> str:
    return str(system.api.get("/nodes").expect(200)["items"][0]["last_compared_at"])
