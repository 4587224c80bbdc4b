"""Credentials that expire, or that change at a chosen time: asked for here, done by the worker.

An account has one such change ahead of it at the most. What is due is a row, so a worker that was
away does it when it returns.
"""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from provisioner import accounts, journal, origin, store
from provisioner.access import WORKER, Actor
from provisioner.credentials import Secret
from provisioner.db import Connection, one, rows, run
from provisioner.errors import InvalidInput, NotFound
from provisioner.journal import Change
from provisioner.model import Account
from provisioner.queries import ROTATION
from provisioner.times import rfc_3339

log = logging.getLogger(__name__)

AHEAD_MAX = timedelta(days=366)
BATCH = 100  # changes that are looked up at a time; each has a transaction of its own


@dataclass(frozen=True)
class ScheduledChange:
    """What becomes of an account's credentials at `due_at`: they expire, or others hold."""

    due_at: datetime
    created_at: datetime
    expires: bool

    def facts(self) -> dict[str, Any]:
        """Return what the audit trail and hooks tell of it."""
        action = "expire" if self.expires else "rotate"
        return {"action": action, "due_at": rfc_3339(self.due_at)}


def scheduled(connection: Connection, account_id: int) -> ScheduledChange | None:
    """Return the change that an account has ahead of it."""
    row = one(connection, ROTATION["change"], account_id=account_id)
    return ScheduledChange(**row) if row else None


def read(connection: Connection, actor: Actor, account_id: int) -> ScheduledChange:
    """Return the change that an account has ahead of it.

    Raises:
        NotFound: there is no such account, or nothing is scheduled.
    """
    accounts.read(connection, actor, account_id)
    change = scheduled(connection, account_id)
    if change is None:
        raise NotFound("No change of the credentials is scheduled.")
    return change


def schedule_rotation(
    connection: Connection, actor: Actor, account_id: int, due_at: datetime
) -> tuple[ScheduledChange, Secret]:
    """Make a password that holds from `due_at`, until when the present one does.

    It replaces a change that was scheduled before. The secret is returned here only.

    Raises:
        NotFound: there is no such account.
        InvalidInput: `due_at` is past, or more than a year ahead.
    """
    account = accounts.locked(connection, actor, account_id)
    secret = accounts.new_secret(connection, account.main_number)
    return _schedule(connection, actor, account, due_at, secret), secret


def schedule_expiry(
    connection: Connection, actor: Actor, account_id: int, due_at: datetime
) -> ScheduledChange:
    """Let the credentials expire at `due_at`; replaces a change that was scheduled before.

    Raises:
        NotFound: there is no such account.
        InvalidInput: `due_at` is past, or more than a year ahead.
    """
    account = accounts.locked(connection, actor, account_id)
    return _schedule(connection, actor, account, due_at, None)


def expire(connection: Connection, actor: Actor, account_id: int) -> Account:
    """Take an account's credentials away at once, and its bindings; a scheduled change stays.

    Raises:
        NotFound: there is no such account.
    """
    account = accounts.locked(connection, actor, account_id)
    if not account.has_credentials:
        return account
    return _put_in_force(connection, actor, account, None, None)


def cancel(connection: Connection, actor: Actor, account_id: int) -> None:
    """Forget the change that an account has ahead of it.

    Raises:
        NotFound: there is no such account, or nothing is scheduled.
    """
    account = accounts.locked(connection, actor, account_id)
    change = read(connection, actor, account_id)
    run(connection, ROTATION["change_cancel"], account_id=account_id)
    _record(connection, actor, "credentials.change_cancelled", account, before=change)


def apply_due(connection: Connection) -> float | None:
    """Put every change in force that is due; return the seconds until the next one, if any.

    The connection must not be in a transaction.
    """
    while True:
        row = one(connection, ROTATION["change_next"])
        seconds = row["seconds"] if row else None
        if seconds is None or seconds > 0:
            return seconds
        for due in rows(connection, ROTATION["changes_due"], limit=BATCH):
            _apply(connection, due["account_id"])


def _apply(connection: Connection, account_id: int) -> None:
    with connection.transaction():
        store.lock_account(connection, WORKER, account_id)
        change = one(connection, ROTATION["change_take"], account_id=account_id)
        if change is None:
            return
        actor = replace(WORKER, request_id=change["request_id"])
        with origin.of_request(actor.request_id):
            account = accounts.read(connection, actor, account_id)
            _put_in_force(connection, actor, account, change["ha1"], change["ha1_sha256"])
            done = "expired" if change["ha1"] is None else "rotated"
            log.info("credentials of account %d %s, as scheduled", account_id, done)


def _put_in_force(
    connection: Connection, actor: Actor, account: Account, ha1: str | None, ha1_sha256: str | None
) -> Account:
    """Replace a locked account's credentials, or take them away; its bindings go."""
    if ha1 is None:
        run(connection, ROTATION["credentials_expire"], account_id=account.id)
    else:
        hashes = {"ha1": ha1, "ha1_sha256": ha1_sha256}
        run(connection, ROTATION["credentials_replace"], account_id=account.id, **hashes)
    store.update_account(connection, account)
    store.erase_unwanted_subscriber(connection, account.id)
    # A row of the operator's own in its place is left there, and the comparison tells of it.
    store.project_subscriber(connection, account.id)
    if account.has_credentials:
        store.kick(connection, account.username, drop_all=True)
    after = accounts.read(connection, actor, account.id)
    _record(connection, actor, f"credentials.{'rotated' if ha1 else 'expired'}", after)
    return after


def _schedule(
    connection: Connection,
    actor: Actor,
    account: Account,
    due_at: datetime,
    secret: Secret | None,
) -> ScheduledChange:
    now = datetime.now(UTC)
    if not now < due_at <= now + AHEAD_MAX:
        raise InvalidInput("due_at", "must be in the future, and at most a year ahead")
    before = scheduled(connection, account.id)
    run(
        connection,
        ROTATION["change_schedule"],
        account_id=account.id,
        due_at=due_at,
        ha1=secret and secret.ha1,
        ha1_sha256=secret and secret.ha1_sha256,
        request_id=actor.request_id,
    )
    change = read(connection, actor, account.id)
    _record(connection, actor, "credentials.change_scheduled", account, before, change)
    return change


def _record(
    connection: Connection,
    actor: Actor,
    kind: str,
    account: Account,
    before: ScheduledChange | None = None,
    after: ScheduledChange | None = None,
) -> None:
    change = Change(
        type=kind,
        subject="account",
        subject_id=account.id,
        before=before,
        after=after,
        customer_id=account.customer_id,
        project_id=account.project_id,
        version=account.convergence.generation,
    )
    journal.record(connection, actor, change)
