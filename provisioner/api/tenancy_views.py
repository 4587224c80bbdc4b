"""How customers, projects, users, tokens and the audit trail are shown."""

from typing import Any, ClassVar, Self

from pydantic import Field

from provisioner.access import Role
from provisioner.api.view import EXAMPLE_TIME, Time, Versioned, View, example
from provisioner.tenancy import Customer, Project, Token, User


class CustomerView(Versioned):
    """One of the operator's customers."""

    model_config = example(
        id=1,
        external_id="crm-4711",
        name="Bianchi S.r.l.",
        created_at=EXAMPLE_TIME,
        changed_at=EXAMPLE_TIME,
    )

    id: int
    external_id: str | None
    name: str
    created_at: Time
    changed_at: Time

    @classmethod
    def of(cls, customer: Customer) -> Self:
        """Show one."""
        return cls.model_validate(customer)


class ProjectView(Versioned):
    """A project of a customer."""

    model_config = example(
        id=1,
        customer_id=1,
        external_id="crm-4711-1",
        name="Milan office",
        created_at=EXAMPLE_TIME,
        changed_at=EXAMPLE_TIME,
    )

    id: int
    customer_id: int
    external_id: str | None
    name: str
    created_at: Time
    changed_at: Time

    @classmethod
    def of(cls, project: Project) -> Self:
        """Show one."""
        return cls.model_validate(project)


class UserView(Versioned):
    """A person; of the operator where `customer_id` is null."""

    model_config = example(
        id=1,
        customer_id=1,
        email="anna@bianchi.example",
        name="Anna Bianchi",
        role="accounting",
        active=True,
        has_password=True,
        has_second_factor=False,
        language="it",
        created_at=EXAMPLE_TIME,
        changed_at=EXAMPLE_TIME,
    )

    id: int
    customer_id: int | None
    email: str
    name: str
    role: Role
    active: bool
    has_password: bool
    has_second_factor: bool
    language: str
    created_at: Time
    changed_at: Time

    @classmethod
    def of(cls, user: User) -> Self:
        """Show one."""
        return cls.model_validate(user)


_TOKEN = {
    "id": 1,
    "name": "Portal",
    "role": "admin",
    "customer_id": 1,
    "project_id": None,
    "user_id": None,
    "created_at": EXAMPLE_TIME,
    "expires_at": None,
}


class TokenView(View):
    """An API token: its role and scope, never its text."""

    model_config = example(**_TOKEN)

    id: int
    name: str
    role: Role
    customer_id: int | None
    project_id: int | None
    user_id: int | None
    created_at: Time
    expires_at: Time | None

    @classmethod
    def of(cls, token: Token) -> Self:
        """Show one."""
        return cls.model_validate(token)


class NewTokenView(TokenView):
    """A new token with its text, the only time that it can be seen."""

    model_config = example(**_TOKEN, token="pv_pJ2vXc7RtYw4nHs9bLpDkJ8mQ2vXc7RtYw4nHs9bLpD")  # noqa: S106 - made up
    SHOWN_ONCE: ClassVar[dict[str, Any]] = {"token": True}

    token: str = Field(default="", description="absent where an answer is repeated")

    @classmethod
    def with_text(cls, token: Token, text: str) -> Self:
        """Show one."""
        return cls(**TokenView.of(token).model_dump(), token=text)


class InvitationView(View):
    """What lets a user choose a password, the only time that it can be seen."""

    model_config = example(
        url="http://127.0.0.1:8080/console/invitations/pv_pJ2vXc7RtYw4nHs9bLpDkJ8mQ2vXc7RtYw4nHs9bLpD",
        expires_at=EXAMPLE_TIME,
    )
    SHOWN_ONCE: ClassVar[dict[str, Any]] = {"url": True}

    url: str = Field(default="", description="absent where an answer is repeated")
    expires_at: Time


class AuditEventView(View):
    """Who did what to what, when and from where; what it was before and after."""

    model_config = example(
        id=42,
        at=EXAMPLE_TIME,
        via="api",
        actor_id=1,
        actor_name="Portal",
        source="192.0.2.7",
        request_id="6f1f1a52b3f64c8d",
        type="account.enabled",
        subject="account",
        subject_id="1",
        customer_id=1,
        project_id=1,
        before={"state": "disabled"},
        after={"state": "enabled"},
    )

    id: int
    at: Time
    via: str
    actor_id: int | None
    actor_name: str
    source: str | None
    request_id: str | None
    type: str
    subject: str
    subject_id: str
    customer_id: int | None
    project_id: int | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
