"""The journal: every change is told once, in its own transaction, and whoever wants to know of it
reads it from there: the audit trail, and the events that webhooks bring to endpoints.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from psycopg.types.json import Jsonb

from provisioner import webhook_store
from provisioner.access import Actor
from provisioner.db import Connection, send
from provisioner.queries import JOURNAL


class Told(Protocol):
    """A thing that can be told of."""

    def facts(self) -> dict[str, Any]:
        """Return what may be told, ready for JSON; nothing secret."""


Facts = Told | Mapping[str, Any] | None


@dataclass(frozen=True)
class Change:
    """What was done to what, and what that was before and after.

    `version` orders the changes of one subject; 0 where it has no order of its own.
    """

    type: str
    subject: str
    subject_id: str | int
    before: Facts = None
    after: Facts = None
    customer_id: int | None = None
    project_id: int | None = None
    version: int = 0


def record(connection: Connection, actor: Actor, change: Change) -> None:
    """Write a change down in the transaction that makes it, and leave it for the endpoints that see
    it: by then it is committed, or never sent.
    """
    audit = {
        "via": actor.via,
        "actor_id": actor.id,
        "actor_name": actor.name,
        "source": actor.source,
        "request_id": actor.request_id,
        "type": change.type,
        "subject": change.subject,
        "subject_id": str(change.subject_id),
        "customer_id": change.customer_id,
        "project_id": change.project_id,
        "before": _json(change.before),
        "after": _json(change.after),
        "version": change.version,
    }
    if change.type in webhook_store.OUTGOING_TYPES:
        send(connection, JOURNAL["audit_and_publish"], **audit, **_event(change))
    else:
        send(connection, JOURNAL["audit_insert"], **audit)


def tell(connection: Connection, change: Change) -> None:
    """Leave a change that has been written down already for the endpoints that see it."""
    about = {"customer_id": change.customer_id, "project_id": change.project_id}
    send(connection, JOURNAL["publish"], **about, **_event(change))


def _event(change: Change) -> dict[str, Any]:
    """Return what endpoints are told."""
    identifier = int(change.subject_id) if change.subject == "account" else change.subject_id
    facts = _facts(change.after or change.before) or {}
    if change.subject == "account" and not change.type.startswith("account."):
        facts["account_id"] = identifier
    there = change.subject == "account" and change.type != "account.deleted"
    return {
        "told": change.type,
        "data": Jsonb({"id": identifier, **facts, "version": change.version}),
        "account_id": int(change.subject_id) if there else None,
    }


def _facts(about: Facts) -> dict[str, Any] | None:
    if about is None:
        return None
    return dict(about) if isinstance(about, Mapping) else about.facts()


def _json(about: Facts) -> Jsonb | None:
    facts = _facts(about)
    return None if facts is None else Jsonb(facts)
