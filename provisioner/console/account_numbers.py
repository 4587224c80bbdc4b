"""`/console/accounts/<id>/numbers`: the numbers that ring an account beside its main one."""

from flask import Response, flash, make_response, redirect, render_template
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import accounts, listings, store
from provisioner.access import Permission
from provisioner.api.bodies import NumberBody
from provisioner.console import messages
from provisioner.console.account import ONE, address
from provisioner.console.forms import Form
from provisioner.console.visits import Pages, Visit
from provisioner.errors import NotFound, NumberNotActive, NumberTaken, NumberUnknown
from provisioner.listing import Order
from provisioner.model import Account

OFFERED = 50  # choosable numbers; of more, only some are suggested

pages = Pages("account_numbers", ONE)


@pages.get("/numbers", Permission.NUMBERS_READ)
def show_numbers(visit: Visit, account_id: int) -> str:
    """List an account's numbers, and what can be linked to it."""
    return _page(visit, accounts.read(visit.connection, visit.actor, account_id), Form({}))


@pages.post("/numbers", Permission.ACCOUNTS_MANAGE)
def link_number(visit: Visit, account_id: int) -> Response | AnyResponse:
    """Link a number."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    form = Form()
    with form.attempt(visit.connection):
        number = form.read(NumberBody, {"number": form["number"]}).number
        _link(visit, account, number)
        flash(gettext("%(number)s is linked.", number=number), "success")
        return redirect(_tab(account_id))
    return make_response(_page(visit, account, form), 422)


@pages.post("/numbers/unlink", Permission.ACCOUNTS_MANAGE)
def unlink_number(visit: Visit, account_id: int) -> Response | AnyResponse:
    """Unlink a number; one that is not linked any more is no error."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    form = Form()
    with form.attempt(visit.connection):
        try:
            accounts.unlink_number(visit.connection, visit.actor, account_id, form["number"])
            flash(gettext("%(number)s can be chosen again.", number=form["number"]), "success")
        except NotFound as error:
            flash(messages.of_error(error), "error")
        return redirect(_tab(account_id))
    return make_response(_page(visit, account, Form({}), refused=form.errors), 409)


def _link(visit: Visit, account: Account, number: str) -> None:
    try:
        accounts.link_number(visit.connection, visit.actor, account.id, number)
    except NotFound:
        raise NumberUnknown("number") from None
    except (NumberTaken, NumberNotActive) as error:
        error.field = "number"
        raise


def _page(visit: Visit, account: Account, form: Form, refused: dict[str, str] | None = None) -> str:
    offered = _choosable(visit, account) if visit.actor.may(Permission.ACCOUNTS_MANAGE) else []
    return render_template(
        "accounts/numbers.html",
        account=account,
        form=form,
        numbers=store.linked_numbers(visit.connection, account.id),
        offered=offered[:OFFERED],
        options=[("", gettext("Choose a number")), *((one, one) for one in offered)],
        more=len(offered) > OFFERED,
        refused=list((refused or {}).values()),
    )


def _choosable(visit: Visit, account: Account) -> list[str]:
    """List numbers that the account can take; one more than is offered tells of others."""
    filters = {"choosable": True, "project": account.project_id}
    found = listings.NUMBERS.page(
        visit.connection, visit.actor, filters, Order("number"), None, OFFERED + 1
    )
    return [row["number"] for row in found]


def _tab(account_id: int) -> str:
    return f"{address(account_id)}/numbers"
