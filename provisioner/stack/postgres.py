"""A private PostgreSQL cluster: made once, reached by TCP on 127.0.0.1 only."""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from provisioner.stack.errors import StackError
from provisioner.stack.processes import Command, run_once
from provisioner.stack.waiting import wait_until

ADDRESS = "127.0.0.1"
DATABASE = "provisioner"
USER = "postgres"  # both the cluster's superuser and, if we are root, the system's user
STALE_TIMEOUT = 20.0  # seconds that an earlier postmaster gets to end
ENVIRON = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
KEPT_FOR_REPLICA = "1GB"  # of changes; a replica that stays away longer is made anew


@dataclass(frozen=True)
class Cluster:
    """A cluster's files and the commands that work on them; `log` is where initdb writes.

    One that is not `durable` survives its processes, but not a crash of the machine: for tests,
    which make and drop a database each.
    """

    path: Path
    password: str = field(repr=False)
    port: int
    log: Path
    durable: bool = True

    def url(self, database: str = DATABASE) -> str:
        """Return the superuser's connection string; it holds the password."""
        return f"postgresql://{USER}:{self.password}@{ADDRESS}:{self.port}/{database}"

    def _prepare(self) -> None:
        """Make the cluster if there is none, and wait for the servers of an earlier life to end.

        Raises:
            StackError: initdb failed, or a server still runs here.
        """
        if not (self.path / "PG_VERSION").exists():
            self._initialise()
        if not wait_until(lambda: not self._has_servers(), STALE_TIMEOUT):
            raise StackError(f"PostgreSQL still runs in {self.path}; stop it first.")
        # Its process id may be another program's by now, and PostgreSQL would refuse to start.
        (self.path / "postmaster.pid").unlink(missing_ok=True)

    def _initialise(self) -> None:
        """Make it beside its final place, so that one which was interrupted is not used."""
        draft = self.path.with_name(f"{self.path.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        give_away(draft)
        self._fill(draft)
        draft.rename(self.path)

    def _fill(self, draft: Path) -> None:
        """Run initdb."""
        password_file = draft.with_suffix(".password")
        password_file.touch(mode=0o600)
        password_file.write_text(f"{self.password}\n", encoding="ascii")
        give_away(password_file)
        options = ["--encoding=UTF8", "--locale=C.UTF-8", f"--username={USER}"]
        options += [
            "--auth-host=scram-sha-256",
            "--auth-local=reject",
            "--data-checksums",
            "--no-instructions",
        ]
        argv = [str(find_binary("initdb")), *options, f"--pwfile={password_file}", "-D", str(draft)]
        try:
            run_once("initdb", Command(argv, ENVIRON, user=USER, reads=[draft]), self.log)
        finally:
            password_file.unlink()

    def serve(self, lock: int) -> Command:
        """Prepare the cluster and return the postmaster's command.

        `lock` is the descriptor that it shall inherit.

        Raises:
            StackError: the cluster cannot be made or used.
        """
        self._prepare()
        version = (self.path / "PG_VERSION").read_text(encoding="ascii").strip()
        argv = [str(find_binary("postgres", version)), "-D", str(self.path)]
        for name, value in self._settings().items():
            argv += ["-c", f"{name}={value}"]
        return Command(argv, self._environ(), keep=[lock], user=USER, reads=[self.path])

    def _settings(self) -> dict[str, str]:
        settings = {
            "listen_addresses": ADDRESS,
            "port": str(self.port),
            "unix_socket_directories": "",  # a deep directory would make their paths too long
            "max_connections": "200",
            "max_slot_wal_keep_size": KEPT_FOR_REPLICA,
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Of a row that breaks a rule the log would repeat all columns, hashes included.
            "log_error_verbosity": "terse",
        }
        if not self.durable:
            settings |= dict.fromkeys(("fsync", "full_page_writes"), "off")
        return settings

    def _environ(self) -> Mapping[str, str]:
        return ENVIRON

    def answers(self) -> bool:
        """Tell whether the server answers a query."""
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self) -> None:
        """Create the provisioner's database if it is not there."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if found.fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _has_servers(self) -> bool:
        """Tell whether a process works in this directory, as every server process does."""
        here = os.path.realpath(self.path)
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.readlink(process / "cwd") == here:  # noqa: PTH115 - a string compares as it is
                    return True
        return False


def give_away(path: Path) -> None:
    """Let the cluster's user own a file or directory if we are root."""
    if os.geteuid() == 0:
        shutil.chown(path, USER, USER)


def find_binary(name: str, version: str = "*") -> Path:
    """Return the path of a PostgreSQL server program, by default of the newest version installed.

    Raises:
        StackError: there is none.
    """
    found = list(Path("/usr/lib/postgresql").glob(f"{version}/bin/{name}"))
    if not found:
        wanted = "PostgreSQL" if version == "*" else f"PostgreSQL {version}"
        raise StackError(f"{wanted}'s server is not installed; `make run` installs PostgreSQL 15.")
    return max(found, key=lambda path: float(path.parts[-3]))
