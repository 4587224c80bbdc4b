"""`/projects/{id}/call-policy`: what a project's accounts may call."""

from decimal import Decimal
from typing import Annotated, ClassVar, Self

from pydantic import PlainSerializer, WithJsonSchema

from provisioner import call_policies
from provisioner.access import Permission
from provisioner.api.bodies import CallPolicyPatch
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.tenancy import PROJECT
from provisioner.api.view import Versioned, example
from provisioner.guard import CallPolicy

resource = Resource("Call policies", "/projects" + PROJECT)


def _euros(places: int) -> tuple[PlainSerializer, WithJsonSchema]:
    """Show an amount as text: as a JSON number it would be rounded by many who read it."""
    return (
        PlainSerializer(lambda amount: f"{amount:.{places}f}", return_type=str),
        WithJsonSchema({"type": "string", "pattern": rf"^[0-9]+\.[0-9]{{{places}}}$"}),
    )


class CallPolicyView(Versioned):
    """What a project's accounts may call, and what their calls cost today (in euro).

    `spent_today` includes calls in progress; the day is the operator's.
    """

    model_config = example(
        allowed_prefixes=[],
        blocked_prefixes=["+39899", "+881"],
        daily_spend_cap="50.00",
        calls_per_second=20,
        spent_today="12.3456",
    )
    CHANGING: ClassVar[set[str]] = {"spent_today"}

    allowed_prefixes: list[str]
    blocked_prefixes: list[str]
    daily_spend_cap: Annotated[Decimal, *_euros(2)] | None
    calls_per_second: int
    spent_today: Annotated[Decimal, *_euros(4)]

    @classmethod
    def of(cls, policy: CallPolicy) -> Self:
        """Show one."""
        return cls.model_validate(policy)


def _current(call: Call, project_id: int) -> CallPolicyView:
    found = call_policies.read(call.connection, call.actor, project_id, lock=True)
    return CallPolicyView.of(found)


@resource.get("/call-policy", Permission.PROJECTS_READ)
def read_call_policy(call: Call, project_id: int) -> CallPolicyView:
    """Show what the project's accounts may call, and what their calls cost today."""
    return CallPolicyView.of(call_policies.read(call.connection, call.actor, project_id))


@resource.patch("/call-policy", Permission.CALL_POLICIES_MANAGE, guard=_current)
def change_call_policy(call: Call, body: CallPolicyPatch, project_id: int) -> CallPolicyView:
    """Change what the project's accounts may call, from the next call on. Only the operator can.

    Of all prefixes that fit a destination the longest decides; where no prefix is allowed by name,
    all destinations are but the blocked ones. Emergency numbers can always be called.
    """
    changed = call_policies.change(call.connection, call.actor, project_id, body.given())
    return CallPolicyView.of(changed)
