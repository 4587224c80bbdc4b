"""Applies `sql/` in order: each migration once, whole or not at all, one process at a time."""

import logging
from pathlib import Path

from psycopg import sql

from provisioner import db
from provisioner.errors import ProvisionerError, RealmDiffers
from provisioner.settings import Settings

log = logging.getLogger(__name__)

ADVISORY_LOCK = 0x70726F76  # "prov"; one migration at a time in a database


class MigrationChanged(ProvisionerError):
    """A migration that was applied has been edited since; add a new one instead."""

    code = "migration-changed"


def migrate(settings: Settings) -> list[str]:
    """Bring the database up to date and return the names of the migrations applied.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached.
        MigrationChanged: a file that was applied earlier is not what it was.
        RealmDiffers: SIP_REALM is not the stored realm.
    """
    with db.connect(settings.database_admin_url) as connection, db.translated_errors():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        connection.execute((_folder() / "roles.sql").read_bytes())
        applied = _apply_missing(connection)
        _set_password(connection, "provisioner", settings.provisioner_db_password)
        _set_password(connection, "kamailio", settings.kamailio_db_password)
        _store_realm(connection, settings.sip_realm)
    return applied


def _folder() -> Path:
    """Find `sql/`: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "sql"
    return installed if installed.is_dir() else package.parent / "sql"


def _apply_missing(connection: db.Connection) -> list[str]:
    connection.execute("CREATE SCHEMA IF NOT EXISTS provisioner")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS provisioner.migrations ("
        "name text PRIMARY KEY, content text NOT NULL, applied_at timestamptz DEFAULT now())"
    )
    rows = connection.execute("SELECT name, content FROM provisioner.migrations").fetchall()
    done = {row["name"]: row["content"] for row in rows}
    applied = []
    for path in sorted(_folder().glob("[0-9]*.sql")):
        content = path.read_text(encoding="utf-8")
        if path.name not in done:
            _apply(connection, path.name, content)
            applied.append(path.name)
        elif done[path.name] != content:
            raise MigrationChanged(f"{path.name} was applied and has been edited since.")
    return applied


def _apply(connection: db.Connection, name: str, content: str) -> None:
    log.info("applying %s", name)
    connection.execute(content.encode())
    connection.execute(
        "INSERT INTO provisioner.migrations (name, content) VALUES (%s, %s)",
        [name, content],
    )


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


def _store_realm(connection: db.Connection, realm: str) -> None:
    connection.execute(
        "INSERT INTO provisioner.installation (realm) VALUES (%s) ON CONFLICT DO NOTHING", [realm]
    )
    stored = connection.execute("SELECT realm FROM provisioner.installation").fetchone()
    if stored and stored["realm"] != realm:
        raise RealmDiffers(
            f'SIP_REALM is "{realm}", but the stored realm is "{stored["realm"]}". '
            "Every stored HA1 contains it, so it stays: set SIP_REALM to the stored realm."
        )
