"""The stack's directory: what lies where, and that one stack at a time uses it."""

import fcntl
import os
from pathlib import Path

from provisioner.stack.errors import StackError
from provisioner.stack.waiting import wait_until

PREDECESSOR_TIMEOUT = 20.0  # seconds that the processes of a killed stack get to end


class StackDirectory:
    """A directory that holds the whole state of one stack.

    Other users may pass through it (PostgreSQL and Kamailio run as users of their own if the
    stack is started by root), but may not list it; what is secret in it has its own mode.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "log"
        self.postgres = self.path / "postgres"
        self.replica = self.path / "replica"
        self.passwords = self.path / "passwords.json"
        self.admin_token = self.path / "admin-token"
        self.admin_login = self.path / "admin-login"
        self.environment = self.path / "environment"
        self.database_owner = self.path / "database-owner"
        self._lock: int | None = None

    def kamailio_of(self, number: int) -> Path:
        """Where a node may leave files of its own."""
        return self.path / ("kamailio" if number == 1 else f"kamailio{number}")

    def acquire(self) -> int:
        """Make the directory if need be and take it; return the descriptor of the lock.

        Every process of the stack inherits the descriptor, so the directory is free again only
        when the last of them has ended, even if their supervisor was killed.

        Raises:
            StackError: another stack uses the directory, or it cannot be written.
        """
        try:
            self._create()
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StackError(
                f"{self.path} cannot be used ({error.strerror}); "
                "set VAR_DIR to a directory that you may write."
            ) from error
        if not self._take(lock):
            os.close(lock)
            raise StackError(
                f"Another stack is running in {self.path}; set VAR_DIR to another directory."
            )
        self._lock = lock
        return lock

    def _create(self) -> None:
        for folder, mode in ((self.path, 0o711), (self.logs, 0o700)):
            folder.mkdir(mode=mode, parents=folder is self.path, exist_ok=True)

    def _take(self, lock: int) -> bool:
        """Lock it, waiting only for processes whose supervisor is gone already."""

        def locked() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not locked() and (
            _supervisor_lives(lock) or not wait_until(locked, PREDECESSOR_TIMEOUT)
        ):
            return False
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
        return True

    def release(self) -> None:
        """Let another stack use the directory; harmless if it was not taken."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = None


def _supervisor_lives(lock: int) -> bool:
    pid = os.pread(lock, 32, 0).strip()
    return pid.isdigit() and Path("/proc", pid.decode("ascii")).exists()
