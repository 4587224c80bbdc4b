"""Commands that run to their end, and what is left of those that do not."""

import os
import signal
import threading
from pathlib import Path

import pytest

from provisioner.stack.processes import Command, family, run_once
from tests.system import eventually


def test_a_command_that_is_interrupted_ends_with_all_that_it_started(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    script = f"sleep 100 & echo $! >{told}.new; mv {told}.new {told}; wait"
    command = Command(["bash", "-c", script], os.environ)

    def interrupt() -> None:
        eventually(told.exists)
        os.kill(os.getpid(), signal.SIGINT)

    interruption = threading.Thread(target=interrupt)
    interruption.start()
    with pytest.raises(KeyboardInterrupt):
        run_once("a command", command, tmp_path / "log")
    assert family(int(told.read_text())) == []
    interruption.join()
