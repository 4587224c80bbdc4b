"""`/console/accounts/<id>/registrations`: an account's bindings on all nodes, live."""

from typing import Any

from flask import flash, get_template_attribute, redirect, render_template
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import accounts, registrations
from provisioner.access import Permission
from provisioner.api.context import services
from provisioner.console import messages
from provisioner.console.account import ONE, address
from provisioner.console.forms import Form
from provisioner.console.visits import Pages, Visit
from provisioner.errors import NotFound
from provisioner.model import Account

pages = Pages("account_registrations", ONE)


@pages.get("/registrations", Permission.REGISTRATIONS_READ)
def show_registrations(visit: Visit, account_id: int) -> str:
    """List an account's bindings."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    table, unavailable = _table(visit, account)
    return render_template(
        "accounts/registrations.html", account=account, table=table, unavailable=unavailable
    )


@pages.live("/registrations/live", Permission.REGISTRATIONS_READ)
def live_registrations(visit: Visit, account_id: int) -> dict[str, str]:
    """Show the bindings as they change."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    return {"bindings": str(_table(visit, account)[0])}


@pages.post("/registrations/drop", Permission.ACCOUNTS_OPERATE)
def drop_registration(visit: Visit, account_id: int) -> AnyResponse:
    """Drop one binding; one that is not there any more is no error."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    binding, rpc_token = Form()["registration"], services().settings.rpc_token
    try:
        registrations.drop(visit.connection, visit.actor, account, binding, rpc_token)
        flash(gettext("The registration is dropped; the phone may register again."), "success")
    except NotFound as error:
        flash(messages.of_error(error), "error")
    return redirect(_tab(account_id))


@pages.post("/registrations/drop-all", Permission.ACCOUNTS_OPERATE)
def drop_registrations(visit: Visit, account_id: int) -> AnyResponse:
    """Drop all bindings."""
    accounts.drop_registrations(visit.connection, visit.actor, account_id)
    flash(gettext("All registrations are being dropped; phones may register again."), "success")
    return redirect(_tab(account_id))


def _table(visit: Visit, account: Account) -> tuple[Any, list[str]]:
    """Make the table of bindings; name the nodes that do not answer."""
    rpc_token = services().settings.rpc_token
    found, unavailable = registrations.of_all(visit.connection, [account], rpc_token)
    table = get_template_attribute("accounts/bindings.html", "bindings")
    return table(found.get(account.id, [])), unavailable


def _tab(account_id: int) -> str:
    return f"{address(account_id)}/registrations"
