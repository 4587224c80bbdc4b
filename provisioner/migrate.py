"""Applies `sql/` in order: each migration once, whole or not at all, one process at a time.

The service runs meanwhile. A statement that has to wait for a table's lock makes everybody queue
who comes after it, so a migration waits only briefly, lets go of what it has, and tries again.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic, sleep

from psycopg import errors as pg
from psycopg import sql

from provisioner import db
from provisioner.errors import ProvisionerError, RealmDiffers
from provisioner.settings import Settings

log = logging.getLogger(__name__)

ADVISORY_LOCK = 0x70726F76  # "prov"; one migration at a time in a database
# How long others may queue behind a migration: more than the second after which an autovacuum that
# is in the way gives up, and much less than a request may take.
LOCK_TIMEOUT = "2s"
PAUSE_FIRST, PAUSE_MAX = 1.0, 30.0  # seconds in which others get their turn
PATIENCE = 900.0  # seconds until a migration gives up: longer than most backups take

# The first line of a file whose statements are run one by one: only so can an index of a large
# table be made beside those who write to it. One that was interrupted is run again as a whole.
ALONE = "-- Without a transaction.\n"

LONG_TRANSACTIONS = """
SELECT pid, application_name AS name, usename AS role,
       extract(epoch FROM now() - xact_start)::integer AS seconds
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid()
   AND xact_start < now() - interval '1 s'
 ORDER BY xact_start LIMIT 3
"""


class MigrationChanged(ProvisionerError):
    """A migration that was applied has been edited since; add a new one instead."""

    code = "migration-changed"


class MigrationBlocked(ProvisionerError):
    """A long transaction is in the migration's way; let it end, then run this again."""

    code = "migration-blocked"


def migrate(settings: Settings, *, patience: float = PATIENCE) -> list[str]:
    """Bring the database up to date and return the names of the migrations applied.

    Each is a transaction of its own, so that one which fails leaves those before it, and no lock is
    held for longer than its own migration takes. `patience`: seconds to wait for locks.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached.
        MigrationBlocked: others' locks are in the way for too long; names who may hold them.
        MigrationChanged: a file that was applied earlier is not what it was.
        RealmDiffers: SIP_REALM is not the stored realm.
    """
    with (
        db.connect(settings.database_admin_url, autocommit=True, name="provisioner migrate") as (
            connection
        ),
        db.translated_errors(),
    ):
        connection.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        steps = _Steps(connection, monotonic() + patience)
        steps.run("roles.sql", partial(_prepare, connection, settings.sip_realm))
        missing = _missing(connection)
        for path in missing:
            log.info("applying %s", path.name)
            content = path.read_text(encoding="utf-8")
            work = _apply
            if content.startswith(ALONE):
                _run_alone(connection, content)
                work = _note
            steps.run(path.name, partial(work, connection, path.name, content))
        steps.run("passwords", partial(_finish, connection, settings))
    return [path.name for path in missing]


def make_roles(settings: Settings) -> None:
    """Make the roles and set their passwords: a backup has neither, but grants them rights.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached.
    """
    url = settings.database_admin_url
    with db.translated_errors(), db.connect(url, name="provisioner migrate") as connection:
        connection.execute((_folder() / "roles.sql").read_bytes())
        _set_passwords(connection, settings)


class _Steps:
    """Runs transactions that must not keep others waiting."""

    def __init__(self, connection: db.Connection, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def run(self, name: str, work: Callable[[], None]) -> None:
        """Run one, again and again until it gets its locks."""
        pause = PAUSE_FIRST
        while True:
            try:
                with self._connection.transaction():
                    self._connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'".encode())
                    return work()
            except (pg.LockNotAvailable, pg.DeadlockDetected) as error:
                holders = self._holders()
                if monotonic() + pause > self._deadline:
                    raise MigrationBlocked(f"{MigrationBlocked.__doc__} {holders}") from error
            log.warning("%s waits for a lock, and lets others pass: %s", name, holders)
            sleep(pause)
            pause = min(2 * pause, PAUSE_MAX)

    def _holders(self) -> str:
        found = self._connection.execute(LONG_TRANSACTIONS.encode()).fetchall()
        who = [
            f'process {row["pid"]} ("{row["name"]}", role {row["role"]}) in a transaction'
            f" since {row['seconds']} s"
            for row in found
        ]
        return "; ".join(who) or "no transaction is older than a second"


def _folder() -> Path:
    """Find `sql/`: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "sql"
    return installed if installed.is_dir() else package.parent / "sql"


def _prepare(connection: db.Connection, realm: str) -> None:
    """Make the roles, and the table of what was applied; see that it is the right database."""
    connection.execute((_folder() / "roles.sql").read_bytes())
    connection.execute("CREATE SCHEMA IF NOT EXISTS provisioner")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS provisioner.migrations ("
        "name text PRIMARY KEY, content text NOT NULL, applied_at timestamptz DEFAULT now())"
    )
    known = connection.execute("SELECT to_regclass('provisioner.installation') AS name").fetchone()
    if known and known["name"]:
        _check_realm(connection, realm)


def _missing(connection: db.Connection) -> list[Path]:
    rows = connection.execute("SELECT name, content FROM provisioner.migrations").fetchall()
    done = {row["name"]: row["content"] for row in rows}
    paths = sorted(_folder().glob("[0-9]*.sql"))
    for path in paths:
        if done.get(path.name, "") not in ("", path.read_text(encoding="utf-8")):
            raise MigrationChanged(f"{path.name} was applied and has been edited since.")
    return [path for path in paths if path.name not in done]


def _apply(connection: db.Connection, name: str, content: str) -> None:
    connection.execute(content.encode())
    _note(connection, name, content)


def _run_alone(connection: db.Connection, content: str) -> None:
    for statement in content.split(";\n"):
        connection.execute(statement.encode())


def _note(connection: db.Connection, name: str, content: str) -> None:
    connection.execute(
        "INSERT INTO provisioner.migrations (name, content) VALUES (%s, %s)", [name, content]
    )


def _finish(connection: db.Connection, settings: Settings) -> None:
    _set_passwords(connection, settings)
    connection.execute(
        "INSERT INTO provisioner.installation (realm) VALUES (%s) ON CONFLICT DO NOTHING",
        [settings.sip_realm],
    )
    _check_realm(connection, settings.sip_realm)


def _set_passwords(connection: db.Connection, settings: Settings) -> None:
    _set_password(connection, "provisioner", settings.provisioner_db_password)
    _set_password(connection, "kamailio", settings.kamailio_db_password)


def _set_password(connection: db.Connection, role: str, password: str) -> None:
    """Set a role's password, hashed on this side so that no server log can hold it."""
    if not password:
        return
    hashed = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    connection.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(
            sql.Identifier(role), sql.Literal(hashed.decode())
        )
    )


def _check_realm(connection: db.Connection, realm: str) -> None:
    stored = connection.execute("SELECT realm FROM provisioner.installation").fetchone()
    if stored and stored["realm"] != realm:
        raise RealmDiffers(
            f'SIP_REALM is "{realm}", but the stored realm is "{stored["realm"]}". '
            "Every stored HA1 contains it, so it stays: set SIP_REALM to the stored realm."
        )
