"""What hooks read and write about events that come in: one function a query, as in `store`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from provisioner.db import Connection, one, rows, run
from provisioner.queries import INCOMING


@dataclass(frozen=True)
class Source:
    """A sender of events. `customer_id` is None for the operator's portal."""

    id: int
    customer_id: int | None
    name: str
    active: bool
    created_at: datetime
    keys: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class SourceKey:
    """A sealed key, and whose it is."""

    id: int
    customer_id: int | None
    name: str
    sealed: str


@dataclass(frozen=True)
class Subject:
    """What events are about. `account_id` and `number` name what there is, or was, of it.

    `customer_id` is that of the sources which name it so, None for the operator's; `owner_id` is
    the customer whose it is, None where nobody knows yet.
    `base` are the fields of what was there before its first event; `born_version` and
    `born_event` name the event by which it was created. Events with a version of up to
    `ignored_to` are about something former.
    """

    id: int
    customer_id: int | None
    owner_id: int | None
    kind: str
    external_id: str | None
    account_id: int | None
    number: str | None
    base: Mapping[str, Any] | None
    born_version: int | None
    born_event: str | None
    ignored_to: int


@dataclass(frozen=True)
class StoredEvent:
    """An event that was accepted, with its source, as it is handled again."""

    id: int
    type: str
    version: int
    occurred_at: datetime
    data: Mapping[str, Any]
    status: str
    webhook_id: str
    subject_id: int
    customer_id: int | None
    source_id: int | None
    source_name: str
    request_id: str | None


@dataclass(frozen=True)
class EventStatus:
    """What became of an event."""

    id: int
    webhook_id: str
    status: str
    code: str | None
    detail: str | None


@dataclass(frozen=True)
class ShownEvent:
    """An event as a person sees it."""

    id: int
    customer_id: int | None
    webhook_id: str
    source_id: int | None
    type: str
    version: int
    occurred_at: datetime
    received_at: datetime
    data: Mapping[str, Any]
    status: str
    code: str | None
    detail: str | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of the view `incoming_event_status`."""
        return cls(**row)


def insert_source(connection: Connection, customer_id: int | None, name: str) -> int:
    """Add a source without keys."""
    row = one(connection, INCOMING["source_insert"], customer_id=customer_id, name=name)
    assert row is not None  # noqa: S101 - RETURNING
    return int(row["id"])


def source(connection: Connection, customer_id: int | None, source_id: int) -> Source | None:
    """Find a source that a customer sees (None: any), with its keys' ids."""
    row = one(connection, INCOMING["source"], customer_id=customer_id, source_id=source_id)
    return Source(**row) if row else None


def count_sources(connection: Connection, customer_id: int) -> int:
    """Count a customer's sources."""
    row = one(connection, INCOMING["sources_count"], customer_id=customer_id)
    return int(row["count"]) if row else 0


def lock_source(connection: Connection, customer_id: int | None, source_id: int) -> bool:
    """Wait for all other changes of a source; False where there is no such source."""
    parameters = {"customer_id": customer_id, "source_id": source_id}
    return one(connection, INCOMING["source_lock"], **parameters) is not None


def activate_source(connection: Connection, source_id: int, *, active: bool) -> None:
    """Let a source's messages count, or not."""
    run(connection, INCOMING["source_active"], source_id=source_id, active=active)


def delete_source(connection: Connection, source_id: int) -> None:
    """Remove a source and its keys; its events stay."""
    run(connection, INCOMING["source_delete"], source_id=source_id)


def insert_source_key(connection: Connection, source_id: int, sealed: str) -> int:
    """Add a sealed key to a source."""
    row = one(connection, INCOMING["source_key_insert"], source_id=source_id, sealed=sealed)
    assert row is not None  # noqa: S101 - RETURNING
    return int(row["id"])


def delete_source_key(connection: Connection, source_id: int, key_id: int) -> bool:
    """Remove a key; False where the source has none of that id."""
    return run(connection, INCOMING["source_key_delete"], source_id=source_id, key_id=key_id) == 1


def active_keys(connection: Connection) -> list[SourceKey]:
    """List the keys of all active sources."""
    return [SourceKey(**row) for row in rows(connection, INCOMING["active_keys"])]


def insert_event(connection: Connection, **event: Any) -> int | None:
    """Store an event; None where the source has sent its id before."""
    event["data"] = Jsonb(event["data"])
    row = one(connection, INCOMING["event_insert"], **event)
    return int(row["id"]) if row else None


def event_sent_before(connection: Connection, source_id: int, webhook_id: str) -> DictRow:
    """Return what a source sent with an id: id, body_sha256, status, code, detail."""
    parameters = {"source_id": source_id, "webhook_id": webhook_id}
    row = one(connection, INCOMING["event_sent_before"], **parameters)
    assert row is not None  # noqa: S101 - events are never deleted
    return row


def lock_names(connection: Connection, customer_id: int | None, kind: str, name: str) -> None:
    """Wait for all others who look for what a customer's sources (None: the operator's) call so."""
    parameters = {"customer_id": customer_id, "kind": kind, "external_id": name}
    rows(connection, INCOMING["names_lock"], **parameters)


def claim_subject(connection: Connection, **names: Any) -> Subject:
    """Find a subject by any of its names, or make it, and wait for other events of it.

    Names are customer_id, owner_id, kind, external_id, account_id, number.
    """
    names = {"external_id": None, "account_id": None, "number": None} | names
    row = one(connection, INCOMING["subject_find"], **names)
    row = row or one(connection, INCOMING["subject_insert"], **names)
    row = row or one(connection, INCOMING["subject_find"], **names)
    assert row is not None  # noqa: S101 - it is there now, whoever made it
    return Subject(**row)


def lock_subject(connection: Connection, subject_id: int) -> Subject:
    """Return a subject, and wait for other events of it."""
    row = one(connection, INCOMING["subject_lock"], subject_id=subject_id)
    assert row is not None  # noqa: S101 - subjects are never deleted
    return Subject(**row)


def save_subject(connection: Connection, subject: Subject) -> None:
    """Write what is known of a subject."""
    run(
        connection,
        INCOMING["subject_save"],
        subject_id=subject.id,
        owner_id=subject.owner_id,
        external_id=subject.external_id,
        account_id=subject.account_id,
        number=subject.number,
        base=None if subject.base is None else Jsonb(subject.base),
        born_version=subject.born_version,
        born_event=subject.born_event,
        ignored_to=subject.ignored_to,
    )


def subject_events(connection: Connection, subject: Subject) -> list[DictRow]:
    """List what counts of a subject's events: id, source_id, webhook_id, type, version, data,
    status.
    """
    parameters = {"subject_id": subject.id, "ignored_to": subject.ignored_to}
    return rows(connection, INCOMING["subject_events"], **parameters)


def settle_event(
    connection: Connection,
    event_id: int,
    subject_id: int,
    status: str,
    *,
    code: str | None = None,
    detail: str | None = None,
    waits_for: str | None = None,
) -> None:
    """Write down what became of an event."""
    run(
        connection,
        INCOMING["event_settle"],
        event_id=event_id,
        subject_id=subject_id,
        status=status,
        code=code,
        detail=detail,
        waits_for=waits_for,
    )


def events_blocked(
    connection: Connection,
    keys: Sequence[str] | None = None,
    *,
    customer_id: int | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[int]:
    """List the events of active sources that something stood in the way of.

    With `keys` those that one of these numbers or names stood in the way of, and which are of a
    customer's sources (None: the operator's).
    """
    parameters = {
        "keys": None if keys is None else list(keys),
        "customer_id": customer_id,
        "after": after,
        "limit": limit,
    }
    return [int(row["id"]) for row in rows(connection, INCOMING["events_blocked"], **parameters)]


def event_to_try(
    connection: Connection, customer_id: int | None, event_id: int
) -> StoredEvent | None:
    """Return an event that a customer sees (None: any)."""
    row = one(connection, INCOMING["event_to_try"], customer_id=customer_id, event_id=event_id)
    return StoredEvent(**row) if row else None


def event_status(connection: Connection, event_id: int) -> EventStatus:
    """Return what became of an event."""
    row = one(connection, INCOMING["event_status"], event_id=event_id)
    assert row is not None  # noqa: S101 - events are never deleted
    return EventStatus(**row)


def event(connection: Connection, customer_id: int | None, event_id: int) -> ShownEvent | None:
    """Find an event that a customer sees (None: any)."""
    row = one(connection, INCOMING["event"], customer_id=customer_id, event_id=event_id)
    return ShownEvent.from_row(row) if row else None


def owners_met(
    connection: Connection, customer_id: int | None, kind: str, external_id: str
) -> list[int]:
    """List the customers whose subjects a source's key has meant before; two at the most."""
    parameters = {"customer_id": customer_id, "kind": kind, "external_id": external_id}
    found = rows(connection, INCOMING["owners_met"], **parameters)
    return [int(row["owner_id"]) for row in found]


def owners_of(connection: Connection, kind: str, external_id: str) -> list[int]:
    """List the customers who have an account or number of a portal's own key; two at the most."""
    query = INCOMING["account_owners"] if kind == "account" else INCOMING["number_owners"]
    found = rows(connection, query, external_id=external_id)
    return [int(row["owner_id"]) for row in found]


def account_names(
    connection: Connection, customer_id: int | None, account_id: int
) -> DictRow | None:
    """Return owner_id, account_id and external_id of an account that a customer sees."""
    parameters = {"customer_id": customer_id, "account_id": account_id}
    return one(connection, INCOMING["account_names"], **parameters)


def account_met(connection: Connection, customer_id: int | None, account_id: int) -> DictRow | None:
    """Return owner_id, account_id and external_id of an account that a source's events have met."""
    parameters = {"customer_id": customer_id, "account_id": account_id}
    return one(connection, INCOMING["account_met"], **parameters)


def account_by_external_id(
    connection: Connection, customer_id: int | None, external_id: str
) -> DictRow | None:
    """Return owner_id, account_id and external_id of a customer's account."""
    parameters = {"customer_id": customer_id, "external_id": external_id}
    return one(connection, INCOMING["account_by_external_id"], **parameters)


def number_owner(connection: Connection, number: str) -> int | None:
    """Return the customer whose a number is; None where there is no such number."""
    row = one(connection, INCOMING["number_owner"], number=number)
    return int(row["owner_id"]) if row else None


def number_by_external_id(
    connection: Connection, customer_id: int | None, external_id: str | None
) -> str | None:
    """Return a customer's number that has a portal's own key, if there is one."""
    parameters = {"customer_id": customer_id, "external_id": external_id}
    row = one(connection, INCOMING["number_by_external_id"], **parameters)
    return row["number"] if row else None


def account_of_subject(connection: Connection, subject: Subject) -> int | None:
    """Find the account that a subject names, and wait for all other changes of it."""
    row = one(
        connection,
        INCOMING["account_of_subject"],
        owner_id=subject.owner_id,
        account_id=subject.account_id,
        external_id=subject.external_id,
    )
    return int(row["id"]) if row else None


def number_of_subject(connection: Connection, subject: Subject) -> DictRow | None:
    """Find the number that a subject names (number, state), and wait for other changes of it."""
    return one(
        connection,
        INCOMING["number_of_subject"],
        owner_id=subject.owner_id,
        number=subject.number,
        external_id=subject.external_id,
    )


def changed_elsewhere(connection: Connection, subject: Subject, generation: int) -> DictRow | None:
    """Return the last change (type, at) of a subject's account after a generation that hooks have
    not made.
    """
    return one(
        connection,
        INCOMING["changed_elsewhere_since_generation"],
        owner_id=subject.owner_id,
        account_id=subject.account_id,
        generation=generation,
    )


def state_changed_elsewhere(
    connection: Connection, subject: Subject, moment: datetime
) -> DictRow | None:
    """Return the last change of its state (type, at) after a moment that hooks have not made."""
    return one(
        connection,
        INCOMING["state_changed_elsewhere_since"],
        owner_id=subject.owner_id,
        account_id=subject.account_id,
        moment=moment,
    )
