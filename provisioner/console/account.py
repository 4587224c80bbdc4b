"""`/console/accounts/<id>`: an account's details, its state, and its end."""

from typing import Any

from flask import Response, flash, get_template_attribute, make_response, redirect, render_template
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import accounts, registrations, store
from provisioner.access import Permission
from provisioner.api.bodies import AccountPatch
from provisioner.api.context import services
from provisioner.console import conflicts, entrance
from provisioner.console.accounts import cells
from provisioner.console.credentials_page import show_credentials
from provisioner.console.forms import Form
from provisioner.console.language import marked
from provisioner.console.visits import Pages, Visit
from provisioner.errors import DeletionRefused
from provisioner.model import Account, AccountState, Tariff

ONE = "/accounts/<id:account_id>"

pages = Pages("account", ONE)

_DONE = {
    AccountState.ENABLED: marked("The SIP account is enabled."),
    AccountState.DISABLED: marked(
        "The SIP account is disabled: registrations and calls are ended."
    ),
    AccountState.LINKED_TO_TEAMS: marked("The SIP account is linked to Teams."),
}


def address(account_id: int) -> str:
    """Return where an account is shown."""
    return f"/console/accounts/{account_id}"


@pages.get("", Permission.ACCOUNTS_READ)
def show_account(visit: Visit, account_id: int) -> str:
    """Show an account's details."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    return _details(visit, account, Form(_texts(account)))


@pages.live("/live", Permission.ACCOUNTS_READ)
def live_account(visit: Visit, account_id: int) -> dict[str, str]:
    """Show what changes of an account by itself."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    return {name: str(html) for name, html in live_parts(visit, account)[0].items()}


def live_parts(visit: Visit, account: Account) -> tuple[dict[str, Any], list[str]]:
    """Make the parts that change by themselves; name the nodes that do not answer."""
    rpc_token = services().settings.rpc_token
    bindings, unavailable = registrations.of_all(visit.connection, [account], rpc_token)
    converged = get_template_attribute("macros.html", "converged")
    parts = cells(account, bindings.get(account.id, []))
    return {**parts, "convergence": converged(account.convergence)}, unavailable


@pages.post("", Permission.ACCOUNTS_MANAGE)
def change_account(visit: Visit, account_id: int) -> Response | AnyResponse:
    """Change an account's name, channels, tariff and networks."""
    account = accounts.locked(visit.connection, visit.actor, account_id)
    form = Form()
    differences = conflicts.found(form, _texts(account), _labels())
    if differences:
        return make_response(_details(visit, account, form, differences), 409)
    with form.attempt(visit.connection):
        changes = form.read(AccountPatch, _changes(form)).given()
        accounts.configure(visit.connection, visit.actor, account_id, changes)
        flash(gettext("Saved."), "success")
        return redirect(address(account_id))
    return make_response(_details(visit, account, form), 422)


@pages.post("/enable", Permission.ACCOUNTS_OPERATE)
def enable_account(visit: Visit, account_id: int) -> AnyResponse:
    """Let it register."""
    return _set_state(visit, account_id, AccountState.ENABLED)


@pages.post("/disable", Permission.ACCOUNTS_OPERATE)
def disable_account(visit: Visit, account_id: int) -> AnyResponse:
    """Refuse its registrations, and end its calls."""
    return _set_state(visit, account_id, AccountState.DISABLED)


@pages.post("/link-to-teams", Permission.ACCOUNTS_OPERATE)
def link_account_to_teams(visit: Visit, account_id: int) -> AnyResponse:
    """Send its calls to Teams."""
    return _set_state(visit, account_id, AccountState.LINKED_TO_TEAMS)


@pages.get("/credentials", Permission.ACCOUNTS_OPERATE)
def ask_rotation(visit: Visit, account_id: int) -> str:
    """Ask whether the password shall really be replaced."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    return render_template("accounts/rotate.html", account=account)


@pages.post("/credentials", Permission.ACCOUNTS_OPERATE)
def rotate_credentials(visit: Visit, account_id: int) -> str:
    """Replace the password, and show the new one once."""
    account, secret = accounts.rotate_credentials(visit.connection, visit.actor, account_id)
    return show_credentials(visit, account, secret)


@pages.get("/delete", Permission.ACCOUNTS_MANAGE)
def ask_deletion(visit: Visit, account_id: int) -> str:
    """Show what is in the way of deleting an account, or ask whether it shall be."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    return _deletion(account, _reasons(visit, account))


@pages.post("/delete", Permission.ACCOUNTS_MANAGE)
def delete_account(visit: Visit, account_id: int) -> Response | AnyResponse:
    """Erase a disabled account."""
    try:
        account = accounts.delete(visit.connection, visit.actor, account_id)
    except DeletionRefused:
        account = accounts.read(visit.connection, visit.actor, account_id)
        return make_response(_deletion(account, _reasons(visit, account)), 409)
    flash(gettext("%(name)s has been deleted.", name=account.name), "success")
    return redirect("/console/accounts")


def _details(
    visit: Visit,
    account: Account,
    form: Form,
    differences: list[conflicts.Difference] | None = None,
) -> str:
    parts, unavailable = live_parts(visit, account)
    return render_template(
        "accounts/details.html",
        account=account,
        form=form,
        was=_texts(account),
        differences=differences,
        changer=conflicts.last_changed(visit, "account", account.id) if differences else None,
        parts=parts,
        unavailable=unavailable,
    )


def _texts(account: Account) -> dict[str, str]:
    """Return the fields that can be changed as a form shows them."""
    return {
        "name": account.name,
        "voice_channels": str(account.voice_channels),
        "flat": "on" if account.tariff is Tariff.FLAT else "",
        "cloudfire_only": "on" if account.cloudfire_only else "",
        "allowed_networks": " ".join(account.allowed_networks),
    }


def _labels() -> dict[str, str]:
    return {
        "name": gettext("Name"),
        "voice_channels": gettext("Voice channels"),
        "flat": gettext("Apply the flat tariff"),
        "cloudfire_only": gettext("Reachable only from CloudFire networks"),
        "allowed_networks": gettext("Own networks"),
    }


def _changes(form: Form) -> dict[str, Any]:
    return {
        "name": form["name"],
        "voice_channels": form.number("voice_channels"),
        "tariff": Tariff.FLAT if form.checked("flat") else Tariff.PAY_PER_USE,
        "cloudfire_only": form.checked("cloudfire_only"),
        "allowed_networks": form.lines("allowed_networks") or None,
    }


def _set_state(visit: Visit, account_id: int, state: AccountState) -> AnyResponse:
    accounts.set_state(visit.connection, visit.actor, account_id, state)
    form = Form()
    if not form["inline"]:
        flash(gettext(_DONE[state]), "success")
    following = form["following"]
    return redirect(following if entrance.is_ours(following) else address(account_id))


def _reasons(visit: Visit, account: Account) -> list[dict[str, Any]]:
    numbers = store.additional_numbers(visit.connection, account.id)
    rules = [rule.id for rule in store.caller_id_rules(visit.connection, account.id)]
    return accounts.deletion_reasons(account, numbers, rules)


def _deletion(account: Account, reasons: list[dict[str, Any]]) -> str:
    return render_template("accounts/delete.html", account=account, reasons=reasons)
