"""Customers, projects, users and tokens: one function a query, as in `store`."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

from provisioner.access import Actor, Role
from provisioner.db import Connection, one, run
from provisioner.queries import TENANCY
from provisioner.tenancy import Customer, Project, Token, User

IDEMPOTENCY_HOURS = 24  # how long an Idempotency-Key means the same request

Kind = TypeVar("Kind", Customer, Project, User)


def token(connection: Connection, sha256: bytes) -> Token | None:
    """Find a usable token by the hash of what the client sent."""
    found = bearer(connection, sha256)
    return found and found[0]


def bearer(connection: Connection, sha256: bytes) -> tuple[Token, str] | None:
    """Find a usable token by the hash of what the client sent, and the installation's realm."""
    row = one(connection, TENANCY["token"], sha256=sha256)
    return (Token.from_row(row), str(row["realm"])) if row else None


def token_by_id(connection: Connection, actor: Actor, token_id: int) -> Token | None:
    """Find a token that the actor sees."""
    row = one(connection, TENANCY["token_by_id"], id=token_id, **actor.scope)
    return Token.from_row(row) if row else None


def insert_token(
    connection: Connection,
    name: str,
    sha256: bytes,
    *,
    role: Role | None = None,
    customer_id: int | None = None,
    project_id: int | None = None,
    user_id: int | None = None,
    expires_at: datetime | None = None,
) -> int:
    """Store a new token of its own role and scope, or of a user's; return its id."""
    row = one(
        connection,
        TENANCY["token_insert"],
        name=name,
        sha256=sha256,
        role=role,
        customer_id=customer_id,
        project_id=project_id,
        user_id=user_id,
        expires_at=expires_at,
    )
    assert row is not None  # noqa: S101 - RETURNING
    return int(row["id"])


def delete_token(connection: Connection, token_id: int) -> None:
    """Remove a token: the next request that bears it is refused."""
    run(connection, TENANCY["token_delete"], id=token_id)


def customer(
    connection: Connection, actor: Actor, customer_id: int, *, lock: bool = False
) -> Customer | None:
    """Find a customer that the actor sees."""
    query = TENANCY["customer_lock"] if lock else TENANCY["customer"]
    return _found(Customer, one(connection, query, id=customer_id, **actor.scope))


def insert_customer(connection: Connection, name: str, external_id: str | None) -> Customer:
    """Add a customer. ExternalIdTaken where it collides."""
    row = one(connection, TENANCY["customer_insert"], name=name, external_id=external_id)
    return _written(Customer, row)


def update_customer(connection: Connection, customer: Customer) -> Customer:
    """Write a customer's name and external id."""
    return _written(Customer, one(connection, TENANCY["customer_update"], **asdict(customer)))


def delete_customer(connection: Connection, customer_id: int) -> None:
    """Remove a customer. StillInUse where something belongs to it."""
    run(connection, TENANCY["customer_delete"], id=customer_id)


def project(
    connection: Connection, actor: Actor, project_id: int, *, lock: bool = False
) -> Project | None:
    """Find a project that the actor sees."""
    query = TENANCY["project_lock"] if lock else TENANCY["project"]
    return _found(Project, one(connection, query, id=project_id, **actor.scope))


def default_project(connection: Connection, actor: Actor) -> Project | None:
    """Find the project of whoever names none: the oldest one that the actor sees."""
    return _found(Project, one(connection, TENANCY["project_default"], **actor.scope))


def insert_project(
    connection: Connection, customer_id: int, name: str, external_id: str | None
) -> Project:
    """Add a project. ProjectNameTaken or ExternalIdTaken where it collides."""
    parameters = {"customer_id": customer_id, "name": name, "external_id": external_id}
    return _written(Project, one(connection, TENANCY["project_insert"], **parameters))


def update_project(connection: Connection, project: Project) -> Project:
    """Write a project's name and external id."""
    return _written(Project, one(connection, TENANCY["project_update"], **asdict(project)))


def delete_project(connection: Connection, project_id: int) -> None:
    """Remove a project. StillInUse where something belongs to it."""
    run(connection, TENANCY["project_delete"], id=project_id)


def user(connection: Connection, actor: Actor, user_id: int, *, lock: bool = False) -> User | None:
    """Find a user that the actor sees."""
    query = TENANCY["user_lock"] if lock else TENANCY["user"]
    return _found(User, one(connection, query, id=user_id, **actor.scope))


def insert_user(connection: Connection, **fields: Any) -> User:
    """Add a user: customer_id, email, name, role, active. EmailTaken where it collides."""
    return _written(User, one(connection, TENANCY["user_insert"], **fields))


def update_user(connection: Connection, user: User) -> User:
    """Write a user's email, name, role and whether he is active."""
    return _written(User, one(connection, TENANCY["user_update"], **asdict(user)))


def delete_user(connection: Connection, user_id: int) -> None:
    """Remove a user and his tokens."""
    run(connection, TENANCY["user_delete"], id=user_id)


def prune_keys(connection: Connection) -> None:
    """Forget the answers to requests that were sent too long ago to be repeated."""
    run(connection, TENANCY["keys_prune"], hours=IDEMPOTENCY_HOURS)


def _found(kind: type[Kind], row: Any) -> Kind | None:
    return kind.from_row(row) if row else None


def _written(kind: type[Kind], row: Any) -> Kind:
    assert row is not None  # noqa: S101 - RETURNING, and the caller has locked it
    return kind.from_row(row)
