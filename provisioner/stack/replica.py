"""A replica of the private cluster: a copy that follows its primary and answers reads only."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from provisioner.stack.postgres import ADDRESS, USER, Cluster, find_binary, give_away
from provisioner.stack.processes import Command, run_once

ROLE = "replicator"  # may copy the cluster, and has no right to any table
SLOT = "replica"  # what the primary keeps for a replica that is away, up to a limit


@dataclass(frozen=True)
class Replica(Cluster):
    """A cluster that is copied from `primary`, and then streams its changes.

    It is made anew where it could not catch up: the primary has thrown away what was missed, or is
    another one.
    """

    primary: Cluster = field(kw_only=True)
    replication_password: str = field(kw_only=True, repr=False)

    def _prepare(self) -> None:
        # One that was there before can serve while its primary is away.
        with (
            suppress(psycopg.OperationalError),
            psycopg.connect(self.primary.url("postgres")) as connection,
        ):
            _let_in(connection, self.replication_password)
            if not _has_slot(connection):
                shutil.rmtree(self.path, ignore_errors=True)
                _make_slot(connection)
        super()._prepare()

    def _fill(self, draft: Path) -> None:
        """Run pg_basebackup."""
        argv = [str(find_binary("pg_basebackup")), "-D", str(draft), f"--slot={SLOT}"]
        argv += ["--checkpoint=fast", f"--dbname={self._primary_conninfo}"]
        command = Command(argv, self._environ(), user=USER, reads=[draft])
        run_once("pg_basebackup", command, self.log)
        standby = draft / "standby.signal"
        standby.touch(mode=0o600)
        give_away(standby)

    @property
    def _primary_conninfo(self) -> str:
        """Where the primary is; the password is not in it, for a command line can be read."""
        return f"host={ADDRESS} port={self.primary.port} user={ROLE}"

    def _settings(self) -> dict[str, str]:
        return super()._settings() | {
            "primary_conninfo": self._primary_conninfo,
            "primary_slot_name": SLOT,
            "wal_retrieve_retry_interval": "1s",  # a primary that is back is followed soon
        }

    def _environ(self) -> Mapping[str, str]:
        return {**super()._environ(), "PGPASSWORD": self.replication_password}


def _let_in(connection: psycopg.Connection, password: str) -> None:
    """Create the role of replication, or set its password; a log could show its hash only."""
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
    hashed = connection.pgconn.encrypt_password(password.encode(), ROLE.encode(), b"scram-sha-256")
    statement = "CREATE ROLE {} LOGIN REPLICATION PASSWORD {}"
    if found is not None:
        statement = "ALTER ROLE {} PASSWORD {}"
    connection.execute(
        sql.SQL(statement).format(sql.Identifier(ROLE), sql.Literal(hashed.decode()))
    )


def _has_slot(connection: psycopg.Connection) -> bool:
    """Tell whether the primary still has all that the replica has missed."""
    query = "SELECT FROM pg_replication_slots WHERE slot_name = %s AND wal_status <> 'lost'"
    return connection.execute(query, [SLOT]).fetchone() is not None


def _make_slot(connection: psycopg.Connection) -> None:
    connection.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
        [SLOT],
    )
    connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", [SLOT])
