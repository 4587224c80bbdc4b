"""The operations on telephone numbers, and the rule by which an account takes one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provisioner import journal, projects, store
from provisioner.access import Actor
from provisioner.db import Connection
from provisioner.errors import (
    NotFound,
    NumberInUse,
    NumberNotActive,
    NumberTaken,
    NumberTransitionRefused,
    NumberUnknown,
    ProvisionerError,
)
from provisioner.journal import Change
from provisioner.model import NewNumber, Number


def create(connection: Connection, actor: Actor, new: NewNumber) -> Number:
    """Add a number to a project.

    Raises:
        InvalidInput: there is no such project.
        NumberExists, ExternalIdTaken: as they say.
    """
    project = projects.for_new(connection, actor, new.project_id)
    number = store.insert_number(connection, project, new)
    record(connection, actor, "number.created", None, number)
    return number


def read(connection: Connection, actor: Actor, number: str) -> Number:
    """Return a number that the actor sees.

    Raises:
        NotFound: there is no such number.
    """
    return _present(store.number(connection, actor, number))


def locked(connection: Connection, actor: Actor, number: str) -> Number:
    """Return a number, and wait for all other changes of it.

    Raises:
        NotFound: there is no such number.
    """
    return _present(store.lock_number(connection, actor, number))


def change(connection: Connection, actor: Actor, number: str, changes: Mapping[str, Any]) -> Number:
    """Move a number to another state, or change its external id; repeating it changes nothing.

    Raises:
        NotFound: there is no such number.
        NumberInUse: an account uses it, so it stays active.
        NumberTransitionRefused: it cannot go there from where it is.
        ExternalIdTaken: as it says.
    """
    before = locked(connection, actor, number)
    after = replace(before, **changes)
    if after == before:
        return before
    if before.account_id is not None and after.state is not before.state:
        raise NumberInUse()
    if not before.state.may_become(after.state):
        detail = f"A number that is {before.state} cannot become {after.state}."
        raise NumberTransitionRefused(detail)
    after = store.update_number(connection, after)
    record(connection, actor, "number.updated", before, after)
    return after


def take(connection: Connection, project_id: int, number: str, account_id: int) -> None:
    """Bind a choosable number of the project to an account.

    Raises:
        NumberUnknown, NumberTaken, NumberNotActive: why it is not choosable.
    """
    if not store.take_number(connection, project_id, number, account_id):
        raise _not_choosable(connection, project_id, number)


def _not_choosable(connection: Connection, project_id: int, number: str) -> ProvisionerError:
    found = store.project_number(connection, project_id, number)
    if found is None:
        return NumberUnknown("number")
    if found.account_id is not None:
        return NumberTaken()
    return NumberNotActive()


def record(
    connection: Connection, actor: Actor, kind: str, before: Number | None, after: Number
) -> None:
    """Write a change of a number down."""
    change = Change(
        type=kind,
        subject="number",
        subject_id=after.number,
        before=before,
        after=after,
        customer_id=after.customer_id,
        project_id=after.project_id,
        version=after.generation,
    )
    journal.record(connection, actor, change)


def _present(found: Number | None) -> Number:
    if found is None:
        raise NotFound("There is no such number.")
    return found
