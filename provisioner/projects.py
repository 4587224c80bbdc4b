"""The operations on customers and their projects."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provisioner import journal, tenancy_store
from provisioner.access import Actor
from provisioner.db import Connection
from provisioner.errors import InvalidInput, NotFound
from provisioner.journal import Change
from provisioner.tenancy import Customer, Project


def create_customer(
    connection: Connection, actor: Actor, name: str, external_id: str | None
) -> Customer:
    """Add a customer.

    Raises:
        ExternalIdTaken: another customer has the external id.
    """
    customer = tenancy_store.insert_customer(connection, name, external_id)
    _record(connection, actor, "customer.created", None, customer)
    return customer


def customer(
    connection: Connection, actor: Actor, customer_id: int, *, lock: bool = False
) -> Customer:
    """Return a customer that the actor sees; with `lock` after all other changes of it.

    Raises:
        NotFound: there is no such customer.
    """
    found = tenancy_store.customer(connection, actor, customer_id, lock=lock)
    if found is None:
        raise NotFound("There is no such customer.")
    return found


def change_customer(
    connection: Connection, actor: Actor, customer_id: int, changes: Mapping[str, Any]
) -> Customer:
    """Change a customer's name or external id.

    Raises:
        NotFound, ExternalIdTaken: as they say.
    """
    before = customer(connection, actor, customer_id, lock=True)
    after = replace(before, **changes)
    if after == before:
        return before
    after = tenancy_store.update_customer(connection, after)
    _record(connection, actor, "customer.updated", before, after)
    return after


def delete_customer(connection: Connection, actor: Actor, customer_id: int) -> None:
    """Remove a customer that has neither projects nor users nor tokens.

    Raises:
        NotFound, StillInUse: as they say.
    """
    before = customer(connection, actor, customer_id, lock=True)
    tenancy_store.delete_customer(connection, customer_id)
    _record(connection, actor, "customer.deleted", before, None)


def create_project(
    connection: Connection,
    actor: Actor,
    name: str,
    external_id: str | None,
    customer_id: int | None,
) -> Project:
    """Add a project to a customer; to the actor's own where none is named.

    Raises:
        InvalidInput: the customer is not named, or there is no such one.
        ProjectNameTaken, ExternalIdTaken: as they say.
    """
    owner = customer_id if customer_id is not None else actor.customer_id
    if owner is None:
        raise InvalidInput("customer_id", "must name the customer whose project it is")
    if tenancy_store.customer(connection, actor, owner) is None:
        raise InvalidInput("customer_id", "must be a customer")
    project = tenancy_store.insert_project(connection, owner, name, external_id)
    _record(connection, actor, "project.created", None, project)
    return project


def project(
    connection: Connection, actor: Actor, project_id: int, *, lock: bool = False
) -> Project:
    """Return a project that the actor sees; with `lock` after all other changes of it.

    Raises:
        NotFound: there is no such project.
    """
    found = tenancy_store.project(connection, actor, project_id, lock=lock)
    if found is None:
        raise NotFound("There is no such project.")
    return found


def change_project(
    connection: Connection, actor: Actor, project_id: int, changes: Mapping[str, Any]
) -> Project:
    """Change a project's name or external id.

    Raises:
        NotFound, ProjectNameTaken, ExternalIdTaken: as they say.
    """
    before = project(connection, actor, project_id, lock=True)
    after = replace(before, **changes)
    if after == before:
        return before
    after = tenancy_store.update_project(connection, after)
    _record(connection, actor, "project.updated", before, after)
    return after


def delete_project(connection: Connection, actor: Actor, project_id: int) -> None:
    """Remove a project that has neither numbers nor accounts nor tokens.

    Raises:
        NotFound, StillInUse: as they say.
    """
    before = project(connection, actor, project_id, lock=True)
    tenancy_store.delete_project(connection, project_id)
    _record(connection, actor, "project.deleted", before, None)


def for_new(connection: Connection, actor: Actor, project_id: int | None) -> Project:
    """Return the project that something new goes to: the one named, or the actor's first.

    Raises:
        InvalidInput: the actor sees no such project, or none at all.
    """
    if project_id is None:
        found = tenancy_store.default_project(connection, actor)
    else:
        found = tenancy_store.project(connection, actor, project_id)
    if found is None:
        raise InvalidInput("project_id", "must be one of your projects")
    return found


def _record(
    connection: Connection,
    actor: Actor,
    kind: str,
    before: Customer | Project | None,
    after: Customer | Project | None,
) -> None:
    about = after or before
    assert about is not None  # noqa: S101 - one of the two is given
    customer_id = about.customer_id if isinstance(about, Project) else about.id
    change = Change(
        type=kind,
        subject=kind.partition(".")[0],
        subject_id=about.id,
        before=before,
        after=after,
        customer_id=customer_id,
        project_id=about.id if isinstance(about, Project) else None,
    )
    journal.record(connection, actor, change)
