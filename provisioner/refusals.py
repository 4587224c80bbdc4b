"""Tells of calls that were refused: the first one within a second, the others once a minute."""

from collections.abc import Mapping
from typing import Any

from provisioner import guard_store, tallies, webhook_store
from provisioner.db import Connection
from provisioner.guard import RefusalReason
from provisioner.times import rfc_3339

INTERVAL = 60.0  # seconds between two events of one account and reason


def tell(connection: Connection) -> None:
    """Leave an event for every account and reason of which calls were refused and not told yet.

    Whoever refuses the next such call waits for the transaction, so each event has one of its own.
    """
    while _tell_one(connection):
        pass


def _tell_one(connection: Connection) -> bool:
    with connection.transaction():
        due = guard_store.refusal_due(connection, INTERVAL)
        if due is None:
            return False
        webhook_store.publish(
            connection,
            "channels.exhausted" if _of_channels(due) else "call.refused",
            _facts(due),
            customer_id=due["customer_id"],
            project_id=due["project_id"],
            account_id=None,  # the account has not changed, so nothing follows from it
        )
        guard_store.refusal_told(connection, due["account_id"], due["reason"])
    tallies.CALLS_REFUSED.labels(due["reason"]).inc(due["calls"])
    return True


def _of_channels(due: Mapping[str, Any]) -> bool:
    return bool(due["reason"] == RefusalReason.CHANNELS)


def _facts(due: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told: how many calls, and the last of them."""
    facts = {
        "id": due["account_id"],
        "account_id": due["account_id"],
        "external_id": due["external_id"],
        "customer_id": due["customer_id"],
        "project_id": due["project_id"],
        "version": due["version"],
        "reason": due["reason"],
        "calls": due["calls"],
        "direction": due["direction"],
        "called": due["called"],
        "at": rfc_3339(due["last_at"]),
    }
    return facts | ({"used": due["used"], "limit": due["limit"]} if _of_channels(due) else {})
