"""Events that a person has to decide: applied against the objections, or dismissed for good."""

from dataclasses import replace

from provisioner import hook_store, journal
from provisioner.access import Actor, Via
from provisioner.db import Connection
from provisioner.errors import Conflict, NotFound
from provisioner.hook_store import StoredEvent
from provisioner.hooks import naming
from provisioner.hooks.fold import Status
from provisioner.hooks.handling import handle
from provisioner.journal import Change


class EventNotOpen(Conflict):
    """Only an event that waits, was rejected or is a conflict is a person's to decide."""

    code = "event-not-open"


def apply(connection: Connection, person: Actor, event_id: int) -> None:
    """Let a person apply an event that was a conflict, was rejected, or waits.

    Raises:
        NotFound, EventNotOpen: as they say.
    """
    stored = _open_event(connection, person, event_id)
    name = f"{stored.source_name}, applied by {person.name}"
    actor = replace(person, via=Via.HOOK, name=name, customer_id=stored.customer_id)
    if _has_owner(connection, actor, stored):
        handle(connection, actor, event_id, forced=True)
    _record(connection, person, "hook_event.applied", stored)


def dismiss(connection: Connection, person: Actor, event_id: int) -> None:
    """Let a person decide that an event shall never count.

    Raises:
        NotFound, EventNotOpen: as they say.
    """
    stored = _open_event(connection, person, event_id)
    hook_store.settle_event(connection, stored.id, stored.subject_id, Status.DISMISSED)
    _record(connection, person, "hook_event.dismissed", stored)


def _open_event(connection: Connection, person: Actor, event_id: int) -> StoredEvent:
    stored = None
    if person.project_id is None:  # hooks concern a whole customer
        stored = hook_store.event_to_try(connection, person.customer_id, event_id)
    if stored is None:
        raise NotFound("There is no such event.")
    hook_store.lock_subject(connection, stored.subject_id)
    status = hook_store.event_status(connection, event_id).status
    if status not in (Status.CONFLICT, Status.REJECTED, Status.WAITING):
        raise EventNotOpen()
    return stored


def _has_owner(connection: Connection, actor: Actor, stored: StoredEvent) -> bool:
    """Say whether it is clear whose an event's subject is, by now if it was not before."""
    subject = hook_store.lock_subject(connection, stored.subject_id)
    if subject.owner_id is not None:
        return True
    return naming.place(connection, actor, stored.id, stored.type, stored.data)


def _record(connection: Connection, person: Actor, kind: str, stored: StoredEvent) -> None:
    journal.record(
        connection,
        person,
        Change(
            type=kind,
            subject="hook_event",
            subject_id=stored.id,
            before={"type": stored.type, "version": stored.version, "status": stored.status},
            customer_id=stored.customer_id,
        ),
    )
