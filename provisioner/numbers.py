"""The operations on telephone numbers, and the rule by which an account takes one."""

from provisioner import store
from provisioner.db import Connection, Database
from provisioner.errors import (
    NotFound,
    NumberInUse,
    NumberNotActive,
    NumberTaken,
    NumberTransitionRefused,
    NumberUnknown,
)
from provisioner.model import Number, NumberState


def create(database: Database, project_id: int, number: str, state: NumberState) -> Number:
    """Add a number to a project.

    Raises:
        NumberExists: it is there already.
    """
    with database.transaction() as connection:
        return store.insert_number(connection, project_id, number, state)


def set_state(database: Database, project_id: int, number: str, state: NumberState) -> Number:
    """Move a number to another state; repeating it changes nothing.

    Raises:
        NotFound: there is no such number.
        NumberInUse: an account uses it, so it stays active.
        NumberTransitionRefused: it cannot go there from where it is.
    """
    with database.transaction() as connection:
        found = locked(connection, project_id, number)
        if found.account_id is not None and state is not found.state:
            raise NumberInUse()
        if not found.state.may_become(state):
            raise NumberTransitionRefused(f"A number that is {found.state} cannot become {state}.")
        store.set_number_state(connection, number, state)
        return locked(connection, project_id, number)


def locked(connection: Connection, project_id: int, number: str) -> Number:
    """Find a number, and wait for all other changes of it.

    Raises:
        NotFound: there is no such number.
    """
    found = store.lock_number(connection, project_id, number)
    if found is None:
        raise NotFound("There is no such number.")
    return found


def take(
    connection: Connection,
    project_id: int,
    number: str,
    account_id: int,
    *,
    field: str | None = None,
) -> None:
    """Bind a choosable number to an account; `field` is the input that named it, if any.

    Raises:
        NumberUnknown, NumberTaken, NumberNotActive: why it is not choosable.
    """
    if store.take_number(connection, project_id, number, account_id):
        return
    found = store.number(connection, project_id, number)
    if found is None:
        raise NumberUnknown(field or "number")
    if found.account_id is not None:
        raise NumberTaken(field=field)
    raise NumberNotActive(field=field)
