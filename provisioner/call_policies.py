"""The operations on call policies: what a project's accounts may call."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provisioner import guard_store, journal, projects
from provisioner.access import Actor
from provisioner.db import Connection
from provisioner.errors import InvalidInput
from provisioner.guard import CallPolicy
from provisioner.journal import Change


def read(
    connection: Connection, actor: Actor, project_id: int, *, lock: bool = False
) -> CallPolicy:
    """Return a project's call policy; with `lock` after all other changes of the project.

    Raises:
        NotFound: there is no such project.
    """
    project = projects.project(connection, actor, project_id, lock=lock)
    return guard_store.call_policy(connection, project.id)


def change(
    connection: Connection, actor: Actor, project_id: int, changes: Mapping[str, Any]
) -> CallPolicy:
    """Change a project's call policy; the next call obeys it.

    Raises:
        NotFound: there is no such project.
        InvalidInput: a prefix would be both allowed and blocked.
    """
    project = projects.project(connection, actor, project_id, lock=True)
    before = guard_store.call_policy(connection, project.id)
    after = replace(before, **changes)
    if after == before:
        return before
    if after.contradictory:
        field = "allowed_prefixes" if "allowed_prefixes" in changes else "blocked_prefixes"
        other = "blocked" if field == "allowed_prefixes" else "allowed"
        both = ", ".join(after.contradictory)
        raise InvalidInput(field, f"must not name what is {other} by name: {both}")
    guard_store.update_call_policy(connection, project.id, after)
    change = Change(
        type="call_policy.updated",
        subject="project",
        subject_id=project.id,
        before=before,
        after=after,
        customer_id=project.customer_id,
        project_id=project.id,
    )
    journal.record(connection, actor, change)
    return guard_store.call_policy(connection, project.id)
