"""The operations on trunks: the operator's carriers, and the projects' Teams trunks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provisioner import journal, store, tenancy_store, trunk_store
from provisioner.access import Actor
from provisioner.db import Connection
from provisioner.errors import InvalidInput, NotFound
from provisioner.journal import Change
from provisioner.model import NewTrunk, Trunk, TrunkKind


def create(connection: Connection, actor: Actor, new: NewTrunk) -> Trunk:
    """Add a trunk; every node loads the list again.

    Raises:
        InvalidInput: what only a Teams trunk has, and it must have, is missing or given.
        TrunkNameTaken: another trunk has the name.
    """
    _check_teams(new.kind, "project_id", new.project_id)
    _check_teams(new.kind, "fqdn", new.fqdn)
    if new.project_id and tenancy_store.project(connection, actor, new.project_id) is None:
        raise InvalidInput("project_id", "must be a project")
    trunk = trunk_store.insert_trunk(connection, new)
    _record(connection, actor, "trunk.created", None, trunk)
    return trunk


def read(connection: Connection, trunk_id: int, *, lock: bool = False) -> Trunk:
    """Return a trunk; with `lock` after all other changes of it.

    Raises:
        NotFound: there is no such trunk.
    """
    found = trunk_store.trunk(connection, trunk_id, lock=lock)
    if found is None:
        raise NotFound("There is no such trunk.")
    return found


def change(
    connection: Connection, actor: Actor, trunk_id: int, changes: Mapping[str, Any]
) -> Trunk:
    """Change a trunk; every node loads the list again.

    Raises:
        NotFound: there is no such trunk.
        InvalidInput: a carrier is given an FQDN, or a Teams trunk none.
        TrunkNameTaken: another trunk has the name.
    """
    before = read(connection, trunk_id, lock=True)
    after = replace(before, **changes)
    if after == before:
        return before
    _check_teams(after.kind, "fqdn", after.fqdn)
    after = trunk_store.update_trunk(connection, after)
    _record(connection, actor, "trunk.updated", before, after)
    return after


def delete(connection: Connection, actor: Actor, trunk_id: int) -> None:
    """Remove a trunk: no more calls go there. Those in progress go on.

    Raises:
        NotFound: there is no such trunk.
    """
    before = read(connection, trunk_id, lock=True)
    trunk_store.delete_trunk(connection, trunk_id)
    _record(connection, actor, "trunk.deleted", before, None)


def _check_teams(kind: TrunkKind, field: str, value: int | str | None) -> None:
    if kind is TrunkKind.TEAMS and value is None:
        raise InvalidInput(field, "must be given for a Teams trunk")
    if kind is not TrunkKind.TEAMS and value is not None:
        raise InvalidInput(field, "must be left out for a carrier: only a Teams trunk has one")


def _record(
    connection: Connection, actor: Actor, kind: str, before: Trunk | None, after: Trunk | None
) -> None:
    """Write a change down, and let the nodes load the list again."""
    store.reload_allowlists(connection)
    about = after or before
    assert about is not None  # noqa: S101 - one of the two is given
    change = Change(
        type=kind,
        subject="trunk",
        subject_id=about.id,
        before=before,
        after=after,
        project_id=about.project_id,
    )
    journal.record(connection, actor, change)
