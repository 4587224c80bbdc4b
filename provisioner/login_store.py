"""What people log in with, their sessions and forms: one function a query, as in `store`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from psycopg.rows import DictRow

from provisioner.db import Connection, one, rows, run
from provisioner.queries import LOGINS
from provisioner.tenancy import User

CANDIDATES_MAX = 8  # users with the same email address whose passwords are tried
IDLE_HOURS = 8  # after which a session that nobody used has ended
SESSION_DAYS = 7  # after which every session has
INVITATION_HOURS = 72
SUBMISSION_HOURS = 24  # how long a form that is sent again is known
_LIFE = {"idle_hours": IDLE_HOURS, "days": SESSION_DAYS}


@dataclass(frozen=True)
class Secrets:
    """A user with what he logs in with."""

    user: User
    password_hash: str | None = field(repr=False)
    totp_sealed: str | None = field(repr=False)
    totp_counter: int
    password_changed_at: datetime | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of `provisioner.users`."""
        return cls(
            User.from_row(row),
            row["password_hash"],
            row["totp_sealed"],
            row["totp_counter"],
            row["password_changed_at"],
        )


def candidates(connection: Connection, email: str) -> list[Secrets]:
    """Find those who may log in with an email address, the oldest first."""
    found = rows(connection, LOGINS["candidates"], email=email, limit=CANDIDATES_MAX)
    return [Secrets.from_row(row) for row in found]


def anybody(connection: Connection) -> bool:
    """Say whether there is anybody who can log in."""
    return one(connection, LOGINS["anybody"]) is not None


def operators(connection: Connection, email: str) -> User | None:
    """Find one of the operator's own people by his email address."""
    row = one(connection, LOGINS["operators"], email=email)
    return User.from_row(row) if row else None


def locked(connection: Connection, user_id: int) -> Secrets | None:
    """Find a user with his secrets, and wait for all other changes of him."""
    row = one(connection, LOGINS["secrets_lock"], id=user_id)
    return Secrets.from_row(row) if row else None


def set_password(connection: Connection, user_id: int, password_hash: str) -> None:
    """Store a password's hash."""
    run(connection, LOGINS["password_set"], id=user_id, hash=password_hash)


def set_totp(connection: Connection, user_id: int, sealed: str | None, counter: int = 0) -> None:
    """Store a second factor's secret, or none."""
    run(connection, LOGINS["totp_set"], id=user_id, sealed=sealed, counter=counter)


def use_totp(connection: Connection, user_id: int, counter: int) -> bool:
    """Take the code of a time step; False where it, or a later one, was taken before."""
    return run(connection, LOGINS["totp_used"], id=user_id, counter=counter) > 0


def set_language(connection: Connection, user_id: int, language: str) -> None:
    """Store in which language the console speaks to a user."""
    run(connection, LOGINS["language_set"], id=user_id, language=language)


def insert_session(
    connection: Connection, user_id: int, sha256: bytes, source: str | None, user_agent: str
) -> None:
    """Store a new session."""
    parameters = {"user_id": user_id, "sha256": sha256, "source": source}
    run(connection, LOGINS["session_insert"], **parameters, user_agent=user_agent)


def session(connection: Connection, sha256: bytes) -> DictRow | None:
    """Find a session that has not ended: its user's row, `session_id` and `stale`."""
    return one(connection, LOGINS["session"], sha256=sha256, **_LIFE)


def see_session(connection: Connection, session_id: int) -> None:
    """Note that a session is used."""
    run(connection, LOGINS["session_seen"], id=session_id)


@dataclass(frozen=True)
class SessionSeen:
    """A session as its user sees it."""

    id: int
    created_at: datetime
    last_seen_at: datetime
    source: str | None
    user_agent: str


def sessions(connection: Connection, user_id: int) -> list[SessionSeen]:
    """List a user's sessions, the latest used first."""
    found = rows(connection, LOGINS["sessions_of"], user_id=user_id, **_LIFE)
    return [
        SessionSeen(**{**row, "source": str(row["source"]) if row["source"] else None})
        for row in found
    ]


def end_session(connection: Connection, sha256: bytes) -> None:
    """End a session."""
    run(connection, LOGINS["session_end"], sha256=sha256)


def end_session_by_id(connection: Connection, user_id: int, session_id: int) -> bool:
    """End one of a user's sessions; False where he has no such session."""
    return run(connection, LOGINS["session_end_by_id"], user_id=user_id, id=session_id) > 0


def end_sessions(connection: Connection, user_id: int, *, keep: int | None = None) -> None:
    """End all of a user's sessions, but perhaps one."""
    run(connection, LOGINS["sessions_end"], user_id=user_id, keep=keep)


def set_invitation(connection: Connection, user_id: int, sha256: bytes) -> datetime:
    """Store a user's invitation instead of any former one; return when it expires."""
    parameters = {"user_id": user_id, "sha256": sha256, "hours": INVITATION_HOURS}
    row = one(connection, LOGINS["invitation_set"], **parameters)
    assert row is not None  # noqa: S101 - RETURNING
    expires_at: datetime = row["expires_at"]
    return expires_at


def invitation(connection: Connection, sha256: bytes) -> User | None:
    """Find who is invited."""
    row = one(connection, LOGINS["invitation"], sha256=sha256)
    return User.from_row(row) if row else None


def delete_invitation(connection: Connection, user_id: int) -> None:
    """Forget a user's invitation."""
    run(connection, LOGINS["invitation_delete"], user_id=user_id)


def claim_submission(connection: Connection, user_id: int, key: str) -> bool:
    """Claim a form; False where it was sent before."""
    return run(connection, LOGINS["submission_claim"], user_id=user_id, key=key) > 0


def finish_submission(connection: Connection, user_id: int, key: str, location: str) -> None:
    """Keep where what a form did can be seen."""
    run(connection, LOGINS["submission_done"], user_id=user_id, key=key, location=location)


def submission(connection: Connection, user_id: int, key: str) -> str:
    """Return where what a form did can be seen; empty where that is unknown."""
    row = one(connection, LOGINS["submission"], user_id=user_id, key=key)
    return row["location"] if row else ""


def prune(connection: Connection) -> None:
    """Forget sessions that have ended, and forms that were sent long ago."""
    run(connection, LOGINS["sessions_prune"], **_LIFE)
    run(connection, LOGINS["submissions_prune"], hours=SUBMISSION_HOURS)
