"""`/sip-accounts`: accounts, their state, credentials and registrations."""

from typing import Any

from flask import Blueprint, Response, jsonify, make_response

from provisioner import accounts, registrations, store
from provisioner.api import paging, waiting
from provisioner.api.context import authenticated, bearer, body, database, no_body, services
from provisioner.api.numbers import e164_or_404
from provisioner.api.schemas import (
    AccountPatch,
    NewAccountBody,
    show_account,
    show_binding,
    show_number,
    show_secret,
)
from provisioner.errors import DatabaseUnavailable, InvalidInput, NotFound
from provisioner.model import Account, AccountState

blueprint = Blueprint("sip_accounts", __name__, url_prefix="/sip-accounts")

ONE = "/<int(max=9223372036854775807):account_id>"
DROP_WAIT = 2.0  # seconds that dropping bindings takes its time to be sure


@blueprint.post("")
@authenticated
def create_account() -> Response:
    """Create a disabled account; the password is in this answer and nowhere else, ever."""
    new = accounts.NewAccount(**dict(body(NewAccountBody)))
    account, secret = accounts.create(database(), bearer().project_id, new)
    response = jsonify(show_secret(account, secret, services().settings))
    response.status_code = 201
    response.headers["Location"] = f"/api/v1/sip-accounts/{account.id}"
    return waiting.applied(response, converged=True)


@blueprint.get("")
@authenticated
def list_accounts() -> Response:
    """List the project's accounts, oldest first."""
    after = paging.cursor() or "0"
    if not after.isdigit():
        raise InvalidInput("cursor", "must be the cursor of an earlier page")
    with database().transaction() as connection:
        found = store.accounts(connection, bearer().project_id, int(after), paging.limit() + 1)
    return paging.page(found, lambda account: account.id, show_account)


@blueprint.get(ONE)
@authenticated
def read_account(account_id: int) -> Response:
    """Show one account."""
    return jsonify(show_account(_account(account_id)))


@blueprint.patch(ONE)
@authenticated
def change_account(account_id: int) -> Response:
    """Change what may change of an account."""
    patch = body(AccountPatch)
    changes: dict[str, Any] = {name: getattr(patch, name) for name in patch.model_fields_set}
    number = changes.pop("main_number", None)
    if number is not None and number != _account(account_id).main_number:
        raise InvalidInput("main_number", "is permanent; delete the account and create another")
    account = accounts.configure(database(), bearer().project_id, account_id, changes)
    return _converging(account)


@blueprint.post(ONE + "/enable")
@authenticated
def enable_account(account_id: int) -> Response:
    """Let the account register from anywhere its networks allow."""
    return _set_state(account_id, AccountState.ENABLED)


@blueprint.post(ONE + "/disable")
@authenticated
def disable_account(account_id: int) -> Response:
    """Refuse the account's registrations and drop its bindings."""
    return _set_state(account_id, AccountState.DISABLED)


@blueprint.post(ONE + "/link-to-teams")
@authenticated
def link_account_to_teams(account_id: int) -> Response:
    """Send the account's calls to Teams; it registers from CloudFire's networks only."""
    return _set_state(account_id, AccountState.LINKED_TO_TEAMS)


@blueprint.post(ONE + "/credentials")
@authenticated
def rotate_credentials(account_id: int) -> Response:
    """Replace the password; the new one is in this answer and nowhere else, ever."""
    no_body()
    project_id = bearer().project_id
    account, secret = accounts.rotate_credentials(database(), project_id, account_id)
    converged = _wait(account)
    response = jsonify(show_secret(_as_it_is(account), secret, services().settings))
    return waiting.applied(response, converged)


@blueprint.get(ONE + "/registrations")
@authenticated
def list_registrations(account_id: int) -> Response:
    """Show the account's bindings, asked of every node now."""
    found = registrations.read(database(), _account(account_id), services().settings.rpc_token)
    return jsonify(
        items=[show_binding(node, binding) for node, binding in found.bindings],
        next=None,
        unavailable_nodes=found.unavailable_nodes,
    )


@blueprint.delete(ONE + "/registrations")
@authenticated
def drop_registrations(account_id: int) -> Response:
    """Drop all bindings; an enabled account's device may register again."""
    account = accounts.drop_registrations(database(), bearer().project_id, account_id)
    seconds = waiting.preferred_wait()
    converged = waiting.account_converged(account, DROP_WAIT if seconds is None else seconds)
    return waiting.applied(_no_content(204 if converged else 202), converged)


@blueprint.get(ONE + "/numbers")
@authenticated
def list_linked_numbers(account_id: int) -> Response:
    """List the account's numbers, main and additional."""
    _account(account_id)
    with database().transaction() as connection:
        found = store.linked_numbers(connection, account_id)
    return jsonify(items=[show_number(number) for number in found], next=None)


@blueprint.put(ONE + "/numbers/<number>")
@authenticated
def link_number(account_id: int, number: str) -> Response:
    """Link an additional number."""
    e164_or_404(number)
    linked = accounts.link_number(database(), bearer().project_id, account_id, number)
    return jsonify(show_number(linked))


@blueprint.delete(ONE + "/numbers/<number>")
@authenticated
def unlink_number(account_id: int, number: str) -> Response:
    """Unlink an additional number."""
    e164_or_404(number)
    accounts.unlink_number(database(), bearer().project_id, account_id, number)
    return _no_content(204)


@blueprint.delete(ONE)
@authenticated
def delete_account(account_id: int) -> Response:
    """Erase a disabled account and free its number."""
    account = accounts.delete(database(), bearer().project_id, account_id)
    converged = waiting.account_converged(account, waiting.preferred_wait() or 0)
    return waiting.applied(_no_content(204), converged)


def _no_content(status: int) -> Response:
    response = make_response("", status)
    del response.headers["Content-Type"]
    return response


def _account(account_id: int) -> Account:
    with database().transaction() as connection:
        account = store.account(connection, bearer().project_id, account_id)
    if account is None:
        raise NotFound("There is no such account.")
    return account


def _set_state(account_id: int, state: AccountState) -> Response:
    no_body()
    return _converging(accounts.set_state(database(), bearer().project_id, account_id, state))


def _wait(account: Account) -> bool:
    """Wait as the client prefers; True where every node has confirmed."""
    seconds = waiting.preferred_wait()
    if seconds is None or account.convergence.converged:
        return account.convergence.converged
    return waiting.account_converged(account, seconds)


def _converging(account: Account) -> Response:
    converged = _wait(account)
    if converged and not account.convergence.converged:
        account = _as_it_is(account)
    return waiting.applied(jsonify(show_account(account)), converged)


def _as_it_is(account: Account) -> Account:
    """Read an account again after a change; as it was then, if the database went away since."""
    try:
        return _account(account.id)
    except DatabaseUnavailable:
        return account
