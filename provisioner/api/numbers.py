"""`/numbers`: telephone numbers of a project."""

from flask import Blueprint, Response, jsonify, request

from provisioner import numbers, store
from provisioner.api import paging
from provisioner.api.context import authenticated, bearer, body, database
from provisioner.api.schemas import NumberBody, NumberFilter, NumberPatch, show_number
from provisioner.errors import InvalidInput, NotFound
from provisioner.model import is_e164

blueprint = Blueprint("numbers", __name__)


@blueprint.post("/numbers")
@authenticated
def create_number() -> tuple[Response, int, dict[str, str]]:
    """Add a number."""
    new = body(NumberBody)
    number = numbers.create(database(), bearer().project_id, new.number, new.state)
    return jsonify(show_number(number)), 201, {"Location": f"/api/v1/numbers/{number.number}"}


@blueprint.get("/numbers")
@authenticated
def list_numbers() -> Response:
    """List the project's numbers; `choosable=true` those that an account can take."""
    after = paging.cursor()
    if after and not is_e164(after):
        raise InvalidInput("cursor", "must be the cursor of an earlier page")
    kind = NumberFilter.model_validate(
        {name: request.args[name] for name in NumberFilter.model_fields if name in request.args}
    )
    with database().transaction() as connection:
        found = store.numbers(
            connection,
            bearer().project_id,
            after,
            paging.limit() + 1,
            state=kind.state,
            choosable=kind.choosable,
        )
    return paging.page(found, lambda number: number.number, show_number)


@blueprint.get("/numbers/<number>")
@authenticated
def read_number(number: str) -> Response:
    """Show one number."""
    e164_or_404(number)
    with database().transaction() as connection:
        found = store.number(connection, bearer().project_id, number)
    if found is None:
        raise NotFound("There is no such number.")
    return jsonify(show_number(found))


@blueprint.patch("/numbers/<number>")
@authenticated
def change_number(number: str) -> Response:
    """Move a number to another state."""
    e164_or_404(number)
    state = body(NumberPatch).state
    return jsonify(show_number(numbers.set_state(database(), bearer().project_id, number, state)))


def e164_or_404(number: str) -> None:
    """Answer for a path that no number can have.

    Raises:
        NotFound: it is not in E.164 format.
    """
    if not is_e164(number):
        raise NotFound("There is no such number.")
