"""The operations on users and API tokens. Nobody gives more than he has: a user or token sees at
the most what its maker sees.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from provisioner import journal, tenancy_store
from provisioner.access import Actor, Role
from provisioner.credentials import new_token, token_digest
from provisioner.db import Connection
from provisioner.errors import InvalidInput, NotFound
from provisioner.journal import Change
from provisioner.tenancy import Token, User


@dataclass(frozen=True)
class NewToken:
    """What is chosen when a token is made: a role and scope of its own, or a user's."""

    name: str
    role: Role | None = None
    customer_id: int | None = None
    project_id: int | None = None
    user_id: int | None = None
    expires_at: datetime | None = None


def create_user(
    connection: Connection,
    actor: Actor,
    *,
    email: str,
    name: str,
    role: Role,
    active: bool = True,
    customer_id: int | None = None,
) -> User:
    """Add a user of a customer; of the operator where the operator names no customer.

    Raises:
        InvalidInput: there is no such customer.
        EmailTaken: as it says.
    """
    owner = customer_for(connection, actor, customer_id)
    user = tenancy_store.insert_user(
        connection, customer_id=owner, email=email, name=name, role=role, active=active
    )
    _record_user(connection, actor, "user.created", None, user)
    return user


def user(connection: Connection, actor: Actor, user_id: int, *, lock: bool = False) -> User:
    """Return a user that the actor sees; with `lock` after all other changes of it.

    Raises:
        NotFound: there is no such user.
    """
    found = tenancy_store.user(connection, actor, user_id, lock=lock)
    if found is None:
        raise NotFound("There is no such user.")
    return found


def change_user(
    connection: Connection, actor: Actor, user_id: int, changes: Mapping[str, Any]
) -> User:
    """Change a user; an inactive one's tokens are refused from the next request on.

    Raises:
        NotFound, EmailTaken: as they say.
    """
    before = user(connection, actor, user_id, lock=True)
    after = replace(before, **changes)
    if after == before:
        return before
    after = tenancy_store.update_user(connection, after)
    _record_user(connection, actor, "user.updated", before, after)
    return after


def delete_user(connection: Connection, actor: Actor, user_id: int) -> None:
    """Remove a user and his tokens.

    Raises:
        NotFound: there is no such user.
    """
    before = user(connection, actor, user_id, lock=True)
    tenancy_store.delete_user(connection, user_id)
    _record_user(connection, actor, "user.deleted", before, None)


def create_token(connection: Connection, actor: Actor, new: NewToken) -> tuple[Token, str]:
    """Make a token; its text is returned here only.

    Raises:
        InvalidInput: role, customer, project, user or expiry cannot be as they are given.
    """
    _check_owner(new)
    if new.expires_at is not None and new.expires_at <= datetime.now(UTC):
        raise InvalidInput("expires_at", "must be in the future")
    text = new_token()
    token_id = tenancy_store.insert_token(
        connection,
        new.name,
        token_digest(text),
        expires_at=new.expires_at,
        **_token_scope(connection, actor, new),
    )
    token = token_of(connection, actor, token_id)
    _record_token(connection, actor, "token.created", None, token)
    return token, text


def token_of(connection: Connection, actor: Actor, token_id: int) -> Token:
    """Return a token that the actor sees.

    Raises:
        NotFound: there is no such token.
    """
    found = tenancy_store.token_by_id(connection, actor, token_id)
    if found is None:
        raise NotFound("There is no such token.")
    return found


def revoke_token(connection: Connection, actor: Actor, token_id: int) -> None:
    """Remove a token: it is refused from the next request on.

    Raises:
        NotFound: there is no such token.
    """
    before = token_of(connection, actor, token_id)
    tenancy_store.delete_token(connection, token_id)
    _record_token(connection, actor, "token.revoked", before, None)


def _check_owner(new: NewToken) -> None:
    if (new.user_id is None) == (new.role is None):
        raise InvalidInput("role", "must be given, unless user_id is, whose role it then has")
    if new.user_id is not None and (new.customer_id, new.project_id) != (None, None):
        raise InvalidInput("customer_id", "must not be given beside user_id")


def _token_scope(connection: Connection, actor: Actor, new: NewToken) -> dict[str, Any]:
    if new.user_id is not None:
        # Users belong to a customer as a whole, so a token of one project can name none.
        limited = actor.project_id is not None
        if limited or tenancy_store.user(connection, actor, new.user_id) is None:
            raise InvalidInput("user_id", "must be a user")
        return {"user_id": new.user_id}
    project_id = new.project_id if new.project_id is not None else actor.project_id
    customer_id = customer_for(connection, actor, new.customer_id)
    if project_id is not None:
        project = tenancy_store.project(connection, actor, project_id)
        if project is None or customer_id not in (None, project.customer_id):
            raise InvalidInput("project_id", "must be a project of the customer")
        customer_id = project.customer_id
    return {"role": new.role, "customer_id": customer_id, "project_id": project_id}


def customer_for(connection: Connection, actor: Actor, customer_id: int | None) -> int | None:
    """Return the customer that something new is of: the one named, or the actor's own.

    Raises:
        InvalidInput: the actor sees no such customer.
    """
    if customer_id is None:
        return actor.customer_id
    if tenancy_store.customer(connection, actor, customer_id) is None:
        raise InvalidInput("customer_id", "must be a customer")
    return customer_id


def _record_user(
    connection: Connection, actor: Actor, kind: str, before: User | None, after: User | None
) -> None:
    _record(connection, actor, kind, before, after, project_id=None)


def _record_token(
    connection: Connection, actor: Actor, kind: str, before: Token | None, after: Token | None
) -> None:
    about = after or before
    _record(connection, actor, kind, before, after, project_id=about.project_id if about else None)


def _record(
    connection: Connection,
    actor: Actor,
    kind: str,
    before: User | Token | None,
    after: User | Token | None,
    *,
    project_id: int | None,
) -> None:
    about = after or before
    assert about is not None  # noqa: S101 - one of the two is given
    change = Change(
        type=kind,
        subject=kind.partition(".")[0],
        subject_id=about.id,
        before=before,
        after=after,
        customer_id=about.customer_id,
        project_id=project_id,
    )
    journal.record(connection, actor, change)
