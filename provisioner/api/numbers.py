"""`/numbers`: telephone numbers of a project."""

from provisioner import listings, numbers
from provisioner.access import Permission
from provisioner.api import paging
from provisioner.api.bodies import NumberBody, NumberPatch, NumbersQuery
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.view import Page
from provisioner.api.views import NumberView
from provisioner.errors import (
    ExternalIdTaken,
    NotFound,
    NumberExists,
    NumberInUse,
    NumberTransitionRefused,
)
from provisioner.model import NewNumber, Number, is_e164

resource = Resource("Numbers", "/numbers")


def e164_or_404(number: str) -> None:
    """Answer for a path that no number can have.

    Raises:
        NotFound: it is not in E.164 format.
    """
    if not is_e164(number):
        raise NotFound("There is no such number.")


def _current(call: Call, number: str) -> NumberView:
    e164_or_404(number)
    return NumberView.of(numbers.locked(call.connection, call.actor, number))


@resource.post("", Permission.NUMBERS_MANAGE, status=201, errors=[NumberExists, ExternalIdTaken])
def create_number(call: Call, body: NumberBody) -> NumberView:
    """Add a number to a project. Only the operator can."""
    number = numbers.create(call.connection, call.actor, NewNumber(**dict(body)))
    call.created(f"/numbers/{number.number}")
    return NumberView.of(number)


@resource.get("", Permission.NUMBERS_READ)
def list_numbers(call: Call, query: NumbersQuery) -> Page[NumberView]:
    """List numbers; `choosable=true` those that an account can take."""
    return paging.page(
        call, listings.NUMBERS, query, NumberView, lambda row: NumberView.of(Number.from_row(row))
    )


@resource.get("/<number>", Permission.NUMBERS_READ)
def read_number(call: Call, number: str) -> NumberView:
    """Show one number."""
    e164_or_404(number)
    return NumberView.of(numbers.read(call.connection, call.actor, number))


@resource.patch(
    "/<number>",
    Permission.NUMBERS_MANAGE,
    guard=_current,
    errors=[NumberInUse, NumberTransitionRefused, ExternalIdTaken],
)
def change_number(call: Call, body: NumberPatch, number: str) -> NumberView:
    """Move a number to another state, or change its external id. Only the operator can."""
    e164_or_404(number)
    return NumberView.of(numbers.change(call.connection, call.actor, number, body.given()))
