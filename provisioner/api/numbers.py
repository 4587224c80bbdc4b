"""`/numbers`: telephone numbers of a project."""

from flask import Blueprint, Response, jsonify

from provisioner import accounts, store
from provisioner.api import paging
from provisioner.api.context import authenticated, bearer, body, database
from provisioner.api.schemas import NumberBody, show_number
from provisioner.errors import InvalidInput, NotFound
from provisioner.model import is_e164

blueprint = Blueprint("numbers", __name__)


@blueprint.post("/numbers")
@authenticated
def create_number() -> tuple[Response, int, dict[str, str]]:
    """Add a number."""
    new = body(NumberBody)
    number = accounts.create_number(database(), bearer().project_id, new.number, new.state)
    return jsonify(show_number(number)), 201, {"Location": f"/api/v1/numbers/{number.number}"}


@blueprint.get("/numbers")
@authenticated
def list_numbers() -> Response:
    """List the project's numbers."""
    after = paging.cursor()
    if after and not is_e164(after):
        raise InvalidInput("cursor", "must be the cursor of an earlier page")
    with database().transaction() as connection:
        found = store.numbers(connection, bearer().project_id, after, paging.limit() + 1)
    return paging.page(found, lambda number: number.number, show_number)


@blueprint.get("/numbers/<number>")
@authenticated
def read_number(number: str) -> Response:
    """Show one number."""
    found = None
    if is_e164(number):
        with database().transaction() as connection:
            found = store.number(connection, bearer().project_id, number)
    if found is None:
        raise NotFound("There is no such number.")
    return jsonify(show_number(found))
