"""Where a server counts: cleaned at the start, whatever became of those before it."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from provisioner.measured import Measured
from tests.system import eventually

# A server and a process of it; all of them are killed, or the server only.
SERVER = """
import os, time
from provisioner.measured import Measured
measured = Measured()
(measured.path / "counter_1.db").touch()
if os.fork():
    print(measured.path, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_one_that_is_in_use_stays_and_one_of_the_dead_goes() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        assert server.stdout
        theirs = Path(server.stdout.readline().strip())
        first = Measured()
        assert theirs.is_dir()
        server.kill()
        server.wait()
        # A process of it lives, and counts.
        second = Measured()
        assert theirs.is_dir()
        os.killpg(server.pid, signal.SIGKILL)

    def swept() -> bool:
        Measured().leave(server=object())
        return not theirs.exists()

    eventually(swept)
    for ours in (first, second):
        assert ours.path.is_dir()
        ours.leave(server=object())
        assert not ours.path.exists()


def test_what_is_somebody_elses_stays(tmp_path: Path) -> None:
    other = tmp_path / "provisioner-metrics-other"
    other.mkdir()
    Measured().leave(server=object())
    assert other.is_dir()
