"""Decides one event and carries it out, in the caller's transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from provisioner import hook_store
from provisioner.access import Actor
from provisioner.db import Connection, translated_errors
from provisioner.errors import (
    DatabaseUnavailable,
    NameTaken,
    NumberInUse,
    NumberNotActive,
    NumberTaken,
    NumberTransitionRefused,
    NumberUnknown,
    ProvisionerError,
)
from provisioner.hook_store import StoredEvent, Subject
from provisioner.hooks import conflicts, subjects
from provisioner.hooks.fold import Decision, Event, Status, decide, settled

_BLOCKED_NUMBER = (NumberUnknown, NumberTaken, NumberNotActive, NumberInUse)
_NAMES = {"id", "version", "generation", "number", "customer_id"}  # what data says beside fields
_BELONGING = ("project_id", "external_id")  # null: the default one, or none
# What a creation sets; elsewhere it says what an event is about.
_GIVEN_AT_BIRTH = {"external_id", "project_id"}


@dataclass
class _Case:
    """One event while it is decided: what is known of its subject."""

    stored: StoredEvent
    subject: Subject
    actual: Mapping[str, Any] | None
    event: Event
    events: list[Event] = field(default_factory=list)
    waiting: dict[str, int] = field(default_factory=dict)  # event ids -> rows


def handle(
    connection: Connection, actor: Actor, event_id: int, *, forced: bool = False
) -> list[str]:
    """Decide an event and carry it out; return which numbers and names that has touched."""
    stored = hook_store.event_to_try(connection, None, event_id)
    if stored is None:
        return []
    actor, case = _open(connection, actor, stored)
    if stored.version <= case.subject.ignored_to:
        hook_store.settle_event(connection, stored.id, case.subject.id, Status.SUPERSEDED)
        return []
    decision = _decide(case)
    conflict = None
    if not forced:
        conflict = conflicts.found(connection, case.subject, stored, decision, case.actual)
    if conflict is not None:
        hook_store.save_subject(connection, case.subject)
        _settle(connection, stored, Status.CONFLICT, code="conflict", detail=conflict)
        return []
    return _carry_out(connection, actor, case, decision)


def _open(connection: Connection, actor: Actor, stored: StoredEvent) -> tuple[Actor, _Case]:
    """Return what is known of an event's subject, and the actor within its owner's bounds."""
    subject = hook_store.lock_subject(connection, stored.subject_id)
    if actor.customer_id is None:
        actor = replace(actor, customer_id=subject.owner_id)
    rows = hook_store.subject_events(connection, subject)
    others = [row for row in rows if row["id"] != stored.id]
    done = [row["version"] for row in others if row["status"] != Status.WAITING]
    settled_to = max(done, default=subject.ignored_to)
    subject, actual = subjects.meet(connection, actor, subject, settled_to)
    own = _event(stored.webhook_id, stored.source_id, stored.type, stored.version, stored.data)
    case = _Case(stored, subject, actual, own, [own])
    for row in others:
        if row["version"] <= subject.ignored_to:
            continue
        other = _event(
            row["webhook_id"], row["source_id"], row["type"], row["version"], row["data"]
        )
        case.events.append(other)
        if row["status"] == Status.WAITING:
            case.waiting[other.id] = row["id"]
    return actor, case


def _event(
    webhook_id: str, source_id: int | None, kind: str, version: int, data: Mapping[str, Any]
) -> Event:
    names = _NAMES if kind.endswith(".created") else _NAMES | _GIVEN_AT_BIRTH
    unsaid = {name for name in _BELONGING if data.get(name) is None}
    sets = {name: value for name, value in data.items() if name not in names | unsaid}
    return Event(f"{webhook_id} {source_id or 0}", kind, version, sets)


def _decide(case: _Case) -> Decision:
    subject = case.subject
    if subject.born_version is None:
        return decide(case.event, case.events, case.actual, subject.base)
    born = subject.born_version, subject.born_event or ""
    return decide(case.event, case.events, case.actual, subject.base, born)


def _carry_out(connection: Connection, actor: Actor, case: _Case, decision: Decision) -> list[str]:
    """Carry a decision out, whole or not at all, and write down what became of the event."""
    try:
        if decision.illegal:
            raise NumberTransitionRefused()
        with translated_errors(), connection.transaction():
            subject = subjects.carry_out(connection, actor, case.subject, case.actual, decision)
    except DatabaseUnavailable:
        raise
    except ProvisionerError as error:
        hook_store.save_subject(connection, case.subject)
        _settle(
            connection,
            case.stored,
            Status.REJECTED,
            code=error.code,
            detail=error.detail,
            waits_for=_what_blocks(error, case),
        )
        return []
    hook_store.save_subject(connection, subject)
    _settle(connection, case.stored, decision.status)
    if case.stored.status != decision.status:
        _settle_waiting(connection, case, decision)
    return _touched(case, decision) if decision.acts else []


def _what_blocks(error: ProvisionerError, case: _Case) -> str | None:
    """Name the number or name that an operation found taken, missing or in use."""
    data = case.stored.data
    if isinstance(error, _BLOCKED_NUMBER):
        return f"number:{data.get('main_number') or case.subject.number}"
    if isinstance(error, NameTaken):
        return f"name:{data.get('name')}"
    return None


def _touched(case: _Case, decision: Decision) -> list[str]:
    """Name what others may have waited for: the numbers and names of before and after."""
    facts = [case.actual or {}, decision.create or {}, decision.change]
    names = {f"name:{fact['name']}" for fact in facts if "name" in fact}
    taken = {f"number:{fact['main_number']}" for fact in facts if "main_number" in fact}
    own = {f"number:{case.subject.number}"} if case.subject.number else set()
    return sorted(names | taken | own)


def _settle(
    connection: Connection, stored: StoredEvent, status: Status, **reason: str | None
) -> None:
    hook_store.settle_event(connection, stored.id, stored.subject_id, status, **reason)


def _settle_waiting(connection: Connection, case: _Case, decision: Decision) -> None:
    """Say of events that waited for their subject that they count now."""
    exists = decision.create is not None or (case.actual is not None and not decision.delete)
    outcome = settled(case.events, exists=exists, base=case.subject.base)
    for name, event_id in case.waiting.items():
        if name in outcome:
            hook_store.settle_event(connection, event_id, case.subject.id, outcome[name])
