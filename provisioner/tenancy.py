"""Customers, projects, users and tokens as plain values. Nothing here does input or output."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self

from provisioner.access import Actor, Role, Via

EMAIL_LENGTH = 254  # characters (RFC 5321 section 4.5.3.1.3)


class _FromRow:
    """Made of a row that has a column for each field."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row."""
        return cls(**{one.name: row[one.name] for one in fields(cls)})  # type: ignore[arg-type] # its subclasses are dataclasses

    def facts(self) -> dict[str, Any]:
        """Return what the audit trail tells of it."""
        return {
            one.name: getattr(self, one.name)
            for one in fields(self)  # type: ignore[arg-type] # its subclasses are dataclasses
            if not one.name.endswith("_at")
        }


@dataclass(frozen=True)
class Customer(_FromRow):
    """One of the operator's customers."""

    id: int
    external_id: str | None
    name: str
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True)
class Project(_FromRow):
    """A project of a customer; numbers and accounts belong to one."""

    id: int
    customer_id: int
    external_id: str | None
    name: str
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True)
class User(_FromRow):
    """A person of a customer, or of the operator where `customer_id` is None.

    He can log in to the console once he has a password; its pages speak his `language`.
    """

    id: int
    customer_id: int | None
    email: str
    name: str
    role: Role
    active: bool
    has_password: bool
    has_second_factor: bool
    language: str
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True)
class Token(_FromRow):
    """An API token with the role and scope that it has now, perhaps those of its user."""

    id: int
    name: str
    role: Role
    customer_id: int | None
    project_id: int | None
    user_id: int | None
    created_at: datetime
    expires_at: datetime | None

    def actor(self, *, source: str | None, request_id: str | None) -> Actor:
        """Return who acts where a request bears this token."""
        return Actor(
            via=Via.API,
            id=self.id,
            name=self.name,
            role=Role(self.role),
            customer_id=self.customer_id,
            project_id=self.project_id,
            source=source,
            request_id=request_id,
        )
