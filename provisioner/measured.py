"""The directory in which all processes of one server of the API count."""

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Any

from prometheus_client import multiprocess, values

PREFIX = "provisioner-metrics-"
LOCK = "lock"


class Measured:
    """A new directory at each start; those of servers that are gone are removed then.

    All processes of a server hold its directory's lock, so that it is free once the last has ended.
    What processes that have ended have counted stays; what they held is forgotten.
    """

    def __init__(self) -> None:
        _sweep()
        self.path = Path(mkdtemp(prefix=PREFIX))
        self._lock = _locked(self.path)
        self._server = os.getpid()

    def use(self) -> None:
        """Have whatever this process counts from now on kept there."""
        values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call] # it has no annotations

    def ended(self, _: object, worker: Any) -> None:
        """Forget what a process that has ended held."""
        multiprocess.mark_process_dead(worker.pid, str(self.path))  # type: ignore[no-untyped-call] # nor this

    def leave(self, server: object = None) -> None:
        """Remove it when the server ends, or, by a process of it, after the server was killed."""
        if server is not None or os.getppid() != self._server:
            shutil.rmtree(self.path, ignore_errors=True)
        if server is not None:
            os.close(self._lock)


def _locked(path: Path) -> int:
    """Take a directory's lock; it has no lock by this name before it is held."""
    lock = os.open(path / "new", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    (path / "new").rename(path / LOCK)
    return lock


def _sweep() -> None:
    for path in Path(gettempdir()).glob(f"{PREFIX}*"):
        # One that is in use, or is not ours, or is not locked yet, stays.
        with suppress(OSError), (path / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
