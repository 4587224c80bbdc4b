"""`/console/accounts/<id>/advanced`: where an account's calls go when it does not take them."""

from flask import Response, flash, make_response, redirect, render_template
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import accounts, store, transfers
from provisioner.access import Permission
from provisioner.api.bodies import CallTransferBody
from provisioner.api.context import services
from provisioner.calling import NO_ANSWER_SECONDS, CallTransfer, Condition
from provisioner.console import conflicts
from provisioner.console.account import ONE, address
from provisioner.console.forms import Form
from provisioner.console.visits import Pages, Visit
from provisioner.model import Account
from provisioner.transfers import Country

pages = Pages("account_transfer", ONE)


@pages.get("/advanced", Permission.ACCOUNTS_READ)
def show_transfer(visit: Visit, account_id: int) -> str:
    """Show an account's transfers."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    present = _texts(store.call_transfer(visit.connection, account_id))
    return _page(visit, account, Form(present), present)


@pages.post("/advanced", Permission.ACCOUNTS_MANAGE)
def change_transfer(visit: Visit, account_id: int) -> Response | AnyResponse:
    """Set all of an account's transfers."""
    account = accounts.locked(visit.connection, visit.actor, account_id)
    present = _texts(store.call_transfer(visit.connection, account_id))
    form = Form()
    differences = conflicts.found(form, present, _labels())
    if differences:
        return make_response(_page(visit, account, form, present, differences), 409)
    with form.attempt(visit.connection):
        _replace(visit, account_id, form.read(CallTransferBody, _wanted(form)))
        flash(gettext("Saved."), "success")
        return redirect(f"{address(account_id)}/advanced")
    return make_response(_page(visit, account, form, present), 422)


def _replace(visit: Visit, account_id: int, body: CallTransferBody) -> None:
    settings = services().settings
    country = Country(settings.country_code, settings.emergency_numbers)
    transfers.replace(visit.connection, visit.actor, account_id, body.transfer(), country)


def _target(condition: Condition) -> str:
    """Name the field of a target, as errors do."""
    return f"{condition}/target"


def _texts(transfer: CallTransfer) -> dict[str, str]:
    """Return the transfers as the form shows them."""
    shown = {}
    for condition, one in transfer:
        shown[condition.value] = "on" if one.enabled else ""
        shown[_target(condition)] = one.target or ""
    return shown


def _wanted(form: Form) -> dict[str, object]:
    return {
        condition: {
            "enabled": form.checked(condition),
            "target": form[_target(condition)] or None,
        }
        for condition in Condition
    }


def _titles() -> dict[Condition, str]:
    return {
        Condition.UNCONDITIONAL: gettext("All calls"),
        Condition.NO_ANSWER: gettext("Calls that are not answered"),
        Condition.UNREACHABLE: gettext("Calls while it is unreachable"),
    }


def _labels() -> dict[str, str]:
    labels = {}
    for condition, title in _titles().items():
        labels[condition.value] = title
        labels[_target(condition)] = gettext("%(title)s, to number", title=title)
    return labels


def _page(
    visit: Visit,
    account: Account,
    form: Form,
    present: dict[str, str],
    differences: list[conflicts.Difference] | None = None,
) -> str:
    hints = {
        Condition.UNCONDITIONAL: gettext("Whatever happens, the phone does not ring."),
        Condition.NO_ANSWER: gettext("After it has rung for %(n)s seconds.", n=NO_ANSWER_SECONDS),
        Condition.UNREACHABLE: gettext("No phone is registered, or the account is disabled."),
    }
    return render_template(
        "accounts/transfer.html",
        account=account,
        form=form,
        was=present,
        differences=differences,
        changer=conflicts.last_changed(visit, "account", account.id) if differences else None,
        ways=[(one, _target(one), title, hints[one]) for one, title in _titles().items()],
    )
