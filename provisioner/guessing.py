"""Tells of accounts whose password is guessed at from many addresses."""

from collections.abc import Mapping
from typing import Any

from provisioner import guard_store, tallies, webhook_store
from provisioner.db import Connection
from provisioner.times import rfc_3339

INTERVAL = 600.0  # seconds between two events of one account


def tell(connection: Connection) -> None:
    """Leave an event for every account of which it has to be told.

    Kamailio waits for the transaction where it sees another address, so each has one of its own.
    """
    while _tell_one(connection):
        pass


def _tell_one(connection: Connection) -> bool:
    with connection.transaction():
        due = guard_store.guessing_due(connection, INTERVAL)
        if due is None:
            return False
        webhook_store.publish(
            connection,
            "guessing.suspected",
            _facts(due),
            customer_id=due["customer_id"],
            project_id=due["project_id"],
            account_id=None,  # the account has not changed, so nothing follows from it
        )
        guard_store.guessing_told(connection, due["account_id"])
    tallies.GUESSING_TOLD.inc()
    return True


def _facts(due: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": due["account_id"],
        "account_id": due["account_id"],
        "external_id": due["external_id"],
        "customer_id": due["customer_id"],
        "project_id": due["project_id"],
        "version": due["version"],
        "addresses": due["addresses"],
        "since": rfc_3339(due["first_at"]),
        "at": rfc_3339(due["last_at"]),
    }
