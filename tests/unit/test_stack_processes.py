"""Commands that run to their end, and what is left of those that do not."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.stack.processes import Command, family, run_once
from tests.system import eventually


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Whoever runs the tests in the background may have had this signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
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
