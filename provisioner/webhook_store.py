"""What hooks read and write about events that go out: one function a query, as in `store`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from provisioner.access import Actor
from provisioner.db import Connection, one, rows, run, send
from provisioner.queries import JOURNAL, OUTGOING

# The changes that are told of; others (tokens, users, endpoints themselves) are not.
OUTGOING_TYPES = (
    "account.created",
    "account.updated",
    "account.enabled",
    "account.disabled",
    "account.teams_linked",
    "account.deleted",
    "account.converged",
    "call.refused",
    "call_transfer.updated",
    "caller_id_rule.created",
    "caller_id_rule.deleted",
    "channels.exhausted",
    "guessing.suspected",
    "credentials.rotated",
    "credentials.expired",
    "number.created",
    "number.updated",
    "number.linked",
    "number.unlinked",
    "registrations.dropped",
)


@dataclass(frozen=True)
class Endpoint:
    """Where events are sent. `types` are those it gets; empty for all."""

    id: int
    customer_id: int | None
    project_id: int | None
    url: str
    types: Sequence[str]
    description: str
    active: bool
    disabled_by: str | None
    created_at: datetime
    pending: int
    dead: int


@dataclass(frozen=True)
class Claimed:
    """A delivery that is being attempted. `age` is the time since it was first due."""

    id: int
    endpoint_id: int
    attempts: int
    url: str
    event_id: str
    type: str
    data: Mapping[str, Any]
    created_at: datetime
    age: timedelta


@dataclass(frozen=True)
class Delivery:
    """An event on its way to an endpoint."""

    id: int
    customer_id: int | None
    project_id: int | None
    endpoint_id: int
    event_id: str
    type: str
    data: Mapping[str, Any]
    created_at: datetime
    state: str
    attempts: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    last_status: int | None
    last_error: str | None


@dataclass(frozen=True)
class Attempt:
    """One attempt at a delivery."""

    at: datetime
    status: int | None
    duration_ms: int
    error: str | None
    response: str | None


@dataclass(frozen=True)
class Batch:
    """Events that were replayed: how many, and which was the last (when it was, and its id)."""

    count: int
    last: tuple[datetime, str]


def publish(
    connection: Connection,
    kind: str,
    data: Mapping[str, Any],
    *,
    customer_id: int | None,
    project_id: int | None,
    account_id: int | None,
) -> None:
    """Leave an event for all endpoints that see it, and account.converged if that holds already."""
    send(
        connection,
        JOURNAL["publish"],
        told=kind,
        data=Jsonb(data),
        customer_id=customer_id,
        project_id=project_id,
        account_id=account_id,
    )


def publish_converged(connection: Connection, usernames: Sequence[str]) -> None:
    """Leave an event for those of the accounts that are live on all nodes now."""
    main_numbers = [f"+{username}" for username in usernames]
    send(connection, OUTGOING["publish_converged"], main_numbers=main_numbers)


def publish_to(connection: Connection, endpoint_id: int, kind: str, data: Mapping[str, Any]) -> int:
    """Leave an event for one endpoint; return the delivery's id."""
    row = one(
        connection, OUTGOING["publish_to"], endpoint_id=endpoint_id, type=kind, data=Jsonb(data)
    )
    assert row is not None  # noqa: S101 - RETURNING
    return int(row["id"])


def insert_endpoint(connection: Connection, **endpoint: Any) -> int:
    """Add an endpoint: customer_id, project_id, url, types, description."""
    row = one(connection, OUTGOING["endpoint_insert"], **endpoint)
    assert row is not None  # noqa: S101 - RETURNING
    return int(row["id"])


def endpoint(connection: Connection, actor: Actor, endpoint_id: int) -> Endpoint | None:
    """Find an endpoint that the actor sees."""
    row = one(connection, OUTGOING["endpoint"], endpoint_id=endpoint_id, **actor.scope)
    return Endpoint(**row) if row else None


def lock_endpoint(connection: Connection, actor: Actor, endpoint_id: int) -> None:
    """Wait for all other changes of an endpoint, if the actor sees it."""
    run(connection, OUTGOING["endpoint_lock"], endpoint_id=endpoint_id, **actor.scope)


def count_endpoints(connection: Connection, customer_id: int) -> int:
    """Count a customer's endpoints."""
    row = one(connection, OUTGOING["endpoints_count"], customer_id=customer_id)
    return int(row["count"]) if row else 0


def hold_endpoint(connection: Connection, endpoint_id: int) -> None:
    """Let nobody delete an endpoint meanwhile; it may be changed."""
    run(connection, OUTGOING["endpoint_hold"], endpoint_id=endpoint_id)


def update_endpoint(connection: Connection, endpoint: Endpoint) -> None:
    """Write what may change of an endpoint."""
    run(
        connection,
        OUTGOING["endpoint_update"],
        endpoint_id=endpoint.id,
        url=endpoint.url,
        types=list(endpoint.types),
        description=endpoint.description,
        active=endpoint.active,
    )


def endpoint_gone(connection: Connection, endpoint_id: int) -> bool:
    """Send an endpoint nothing more, as it has asked; False where nothing was sent any more."""
    return run(connection, OUTGOING["endpoint_gone"], endpoint_id=endpoint_id) == 1


def delete_endpoint(connection: Connection, endpoint_id: int) -> None:
    """Remove an endpoint with its keys and deliveries."""
    run(connection, OUTGOING["endpoint_delete"], endpoint_id=endpoint_id)


def insert_endpoint_key(connection: Connection, endpoint_id: int, sealed: str) -> None:
    """Give an endpoint a sealed key."""
    run(connection, OUTGOING["endpoint_key_insert"], endpoint_id=endpoint_id, sealed=sealed)


def expire_endpoint_keys(connection: Connection, endpoint_id: int, seconds: float) -> None:
    """Let an endpoint's present keys sign for so long, and no longer."""
    run(
        connection,
        OUTGOING["endpoint_keys_expire"],
        endpoint_id=endpoint_id,
        seconds=seconds,
    )


def endpoint_keys(connection: Connection, endpoint_id: int) -> list[str]:
    """List the sealed keys that sign now, the newest first."""
    found = rows(connection, OUTGOING["endpoint_keys"], endpoint_id=endpoint_id)
    return [str(row["sealed"]) for row in found]


def endpoints_due(
    connection: Connection, busy: Collection[int], limit: int, of_customer: int
) -> list[int]:
    """Note and return the endpoints whose turn it is: with a delivery due, not being served (as the
    `busy` are), those first that had no turn for longest; no more than so many of one customer.
    """
    found = rows(
        connection,
        OUTGOING["endpoints_due"],
        busy=list(busy),
        limit=limit,
        of_customer=of_customer,
    )
    return [int(row["id"]) for row in found]


def claim_delivery(connection: Connection, endpoint_id: int, lease: float) -> Claimed | None:
    """Take an endpoint's first delivery that is due; for `lease` seconds nobody else has it."""
    row = one(connection, OUTGOING["delivery_claim"], endpoint_id=endpoint_id, lease=lease)
    return Claimed(**row) if row else None


def record_delivery(
    connection: Connection,
    claimed: Claimed,
    state: str,
    *,
    delay: timedelta | None,
    status: int | None,
    error: str | None,
) -> None:
    """Write down where a delivery stands after an attempt."""
    run(
        connection,
        OUTGOING["delivery_record"],
        delivery_id=claimed.id,
        attempts=claimed.attempts,
        state=state,
        delay=delay,
        status=status,
        error=error,
    )


def insert_attempt(connection: Connection, delivery_id: int, **attempt: Any) -> None:
    """Log an attempt: status, duration_ms, error, response."""
    run(connection, OUTGOING["attempt_insert"], delivery_id=delivery_id, **attempt)


def delivery(connection: Connection, actor: Actor, delivery_id: int) -> Delivery | None:
    """Find a delivery that the actor sees."""
    row = one(connection, OUTGOING["delivery"], delivery_id=delivery_id, **actor.scope)
    return Delivery(**row) if row else None


def attempts(connection: Connection, delivery_id: int) -> list[Attempt]:
    """List the attempts at a delivery."""
    return [
        Attempt(**row) for row in rows(connection, OUTGOING["attempts"], delivery_id=delivery_id)
    ]


def replay_delivery(connection: Connection, delivery_id: int) -> None:
    """Make a delivery due again, from the beginning."""
    run(connection, OUTGOING["delivery_replay"], delivery_id=delivery_id)


def replay_after(
    connection: Connection, endpoint_id: int, last: tuple[datetime, str], limit: int
) -> Batch | None:
    """Make deliveries of the first events after that one due again; None where there are none."""
    moment, event_id = last
    row = one(
        connection,
        OUTGOING["replay_after"],
        endpoint_id=endpoint_id,
        moment=moment,
        event_id=event_id,
        limit=limit,
    )
    return Batch(row["count"], (row["created_at"], row["id"])) if row else None


def prune(connection: Connection, limit: int) -> int:
    """Delete a batch of events and attempts older than 30 days; return how many there were."""
    events = run(connection, OUTGOING["prune_events"], limit=limit)
    return events + run(connection, OUTGOING["prune_attempts"], limit=limit)
