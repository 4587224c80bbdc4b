"""What guards calls, as the database has it: one function a query, as in `store`."""

from typing import Any

from provisioner.db import Connection, one, rows, run
from provisioner.guard import CallPolicy, Guessing, Refusal
from provisioner.queries import GUARD

REFUSALS_KEPT = 30  # days
GUESSING_KEPT = 1  # day after the last new address


def call_policy(connection: Connection, project_id: int) -> CallPolicy:
    """Return the call policy of a project that exists."""
    row = one(connection, GUARD["call_policy"], project_id=project_id)
    assert row is not None  # noqa: S101 - the caller has looked the project up
    return CallPolicy.from_row(row)


def update_call_policy(connection: Connection, project_id: int, policy: CallPolicy) -> None:
    """Write a project's call policy; the next call obeys it."""
    run(
        connection,
        GUARD["call_policy_update"],
        project_id=project_id,
        allowed_prefixes=list(policy.allowed_prefixes),
        blocked_prefixes=list(policy.blocked_prefixes),
        daily_spend_cap=policy.daily_spend_cap,
        calls_per_second=policy.calls_per_second,
    )


def spend_left(connection: Connection, project_id: int) -> bool:
    """Say whether a project may spend more today."""
    row = one(connection, GUARD["spend_left"], project_id=project_id)
    return bool(row and row["spend_left"])


def refusals(connection: Connection, account_id: int) -> list[Refusal]:
    """List an account's last refusal of each reason, the latest first."""
    found = rows(connection, GUARD["refusals"], account_id=account_id)
    return [Refusal.from_row(row) for row in found]


def refusal_due(connection: Connection, interval: float) -> dict[str, Any] | None:
    """Find a refusal that has to be told, and hold it until the transaction ends.

    `interval` is the seconds between two events of one account and reason.
    """
    return one(connection, GUARD["refusal_due"], interval=interval)


def refusal_told(connection: Connection, account_id: int, reason: str) -> None:
    """Note that all refusals of an account for a reason have been told."""
    run(connection, GUARD["refusal_told"], account_id=account_id, reason=reason)


def prune_refusals(connection: Connection) -> None:
    """Forget refusals of accounts that are gone, and old ones."""
    run(connection, GUARD["refusals_prune"], days=REFUSALS_KEPT)


def guessing(connection: Connection, account_id: int) -> Guessing | None:
    """Return how an account's password is guessed at; None where it is not."""
    row = one(connection, GUARD["guessing"], account_id=account_id)
    return None if row is None else Guessing.from_row(row)


def guessing_due(connection: Connection, interval: float) -> dict[str, Any] | None:
    """Find an account whose guessing has to be told, and hold it until the transaction ends.

    `interval` is the seconds between two events of one account.
    """
    return one(connection, GUARD["guessing_due"], interval=interval)


def guessing_told(connection: Connection, account_id: int) -> None:
    """Note that an account's guessing has been told."""
    run(connection, GUARD["guessing_told"], account_id=account_id)


def prune_guessing(connection: Connection) -> None:
    """Forget guessing that has ended."""
    run(connection, GUARD["guessing_prune"], days=GUESSING_KEPT)
