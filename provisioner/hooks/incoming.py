"""Takes events in: each is stored and applied in one transaction, once, whatever its order.

An event that an operation refuses is kept with the reason. Where what stands in the way is a
number or a name, it is tried again as soon as another event touches that, and by the worker.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provisioner import hook_store, origin
from provisioner.access import Actor, Permission, Role, Via
from provisioner.db import Connection, Database
from provisioner.errors import Conflict, DatabaseUnavailable, Forbidden
from provisioner.hook_store import EventStatus
from provisioner.hooks import naming
from provisioner.hooks.fold import Kind, Status
from provisioner.hooks.handling import handle

log = logging.getLogger(__name__)

RETRIES = 200  # of events that waited, after one event


class WebhookIdReused(Conflict):
    """An event with this webhook-id was sent before, with another body."""

    code = "webhook-id-reused"


@dataclass(frozen=True)
class Incoming:
    """A valid event. `data` has what its type has, what it is about among it."""

    webhook_id: str
    body_sha256: bytes
    type: str
    version: int
    occurred_at: datetime
    data: Mapping[str, Any]

    @property
    def kind(self) -> Kind:
        """Return what it is about."""
        return Kind(self.type.partition(".")[0])


def receive(database: Database, source: Actor, incoming: Incoming) -> EventStatus:
    """Store an event of a source and apply it; say what became of it, after that is durable.

    Raises:
        Forbidden: the source is a customer's, and only the operator can vouch for numbers.
        WebhookIdReused: the source has sent the id before with another body.
        DatabaseUnavailable: nothing was stored.
    """
    if incoming.kind is Kind.NUMBER and not source.may(Permission.NUMBERS_MANAGE):
        raise Forbidden("Only a source of the operator can send events about numbers.")
    with database.transaction() as connection:
        event_id = hook_store.insert_event(
            connection,
            source_id=source.id,
            webhook_id=incoming.webhook_id,
            body_sha256=incoming.body_sha256,
            type=incoming.type,
            version=incoming.version,
            occurred_at=incoming.occurred_at,
            data=dict(incoming.data),
            request_id=source.request_id,
        )
        if event_id is None:
            return _sent_before(connection, source, incoming)
        touched = []
        if naming.place(connection, source, event_id, incoming.type, incoming.data):
            touched = handle(connection, source, event_id)
    _follow_up(database, source, event_id, touched)
    with database.transaction() as connection:
        return hook_store.event_status(connection, event_id)


def _sent_before(connection: Connection, source: Actor, incoming: Incoming) -> EventStatus:
    assert source.id is not None  # noqa: S101 - a source has one
    earlier = hook_store.event_sent_before(connection, source.id, incoming.webhook_id)
    if bytes(earlier["body_sha256"]) != incoming.body_sha256:
        raise WebhookIdReused()
    return hook_store.event_status(connection, earlier["id"])


def _follow_up(database: Database, source: Actor, event_id: int, touched: Sequence[str]) -> None:
    """Try the customer's events again that waited for what was touched; the worker does the rest.

    The event itself is among them if it was blocked: what blocked it may have gone meanwhile.
    """
    try:
        queue = _waiting_for(database, source, touched)
        with database.transaction() as connection:
            blocked = hook_store.events_blocked(connection, after=event_id - 1, limit=1)
        queue += [event_id] if event_id in blocked else []
        for _ in range(RETRIES):
            if not queue:
                return
            touched = _retry_or_log(database, queue.pop(0))
            queue += _waiting_for(database, source, touched)
    except DatabaseUnavailable as error:
        log.warning("events that wait are left to the worker: %s", error.detail)


def _waiting_for(database: Database, source: Actor, touched: Sequence[str]) -> list[int]:
    if not touched:
        return []
    with database.transaction() as connection:
        return hook_store.events_blocked(connection, touched, customer_id=source.customer_id)


def _retry_or_log(database: Database, event_id: int) -> list[str]:
    """Try an event again; one that cannot even be tried keeps no other waiting.

    Raises:
        DatabaseUnavailable: as it says.
    """
    try:
        return retry(database, event_id)
    except DatabaseUnavailable:
        raise
    except Exception:
        log.exception("event %s: unexpected error", event_id)
        return []


def retry(database: Database, event_id: int) -> list[str]:
    """Try an event again; return the numbers and names that it has touched."""
    with database.transaction() as connection:
        stored = hook_store.event_to_try(connection, None, event_id)
        if stored is None:
            return []
        hook_store.lock_subject(connection, stored.subject_id)
        if hook_store.event_status(connection, event_id).status != Status.REJECTED:
            return []  # decided meanwhile
        actor = Actor(
            Via.HOOK,
            stored.source_id,
            stored.source_name,
            Role.ADMIN,
            stored.customer_id,
            request_id=stored.request_id,
        )
        with origin.of_request(stored.request_id):
            return handle(connection, actor, event_id)


def retry_blocked(database: Database) -> None:
    """Try all events again that a number or name stood in the way of."""
    after = 0
    while True:
        with database.transaction() as connection:
            batch = hook_store.events_blocked(connection, after=after)
        if not batch:
            return
        for event_id in batch:
            _retry_or_log(database, event_id)
        after = batch[-1]
