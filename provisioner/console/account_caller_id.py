"""`/console/accounts/<id>/caller-id`: which number an account presents to whom."""

from flask import Response, flash, make_response, redirect, render_template
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import accounts, caller_id, store
from provisioner.access import Permission
from provisioner.api.bodies import CallerIdRuleBody
from provisioner.console import messages, submissions
from provisioner.console.account import ONE, address
from provisioner.console.forms import Form
from provisioner.console.visits import Pages, Visit
from provisioner.errors import NotFound
from provisioner.model import Account

HIDDEN = "hidden"  # what the form says for no number

pages = Pages("account_caller_id", ONE)


@pages.get("/caller-id", Permission.ACCOUNTS_READ)
def show_rules(visit: Visit, account_id: int) -> str:
    """List an account's rules, and ask for another."""
    return _page(visit, accounts.read(visit.connection, visit.actor, account_id), Form({}))


@pages.post("/caller-id", Permission.ACCOUNTS_MANAGE)
def add_rule(visit: Visit, account_id: int) -> Response | AnyResponse:
    """Add a rule, once."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    form = Form()
    with form.attempt(visit.connection):
        if submissions.claim(visit, form) is None:
            body = form.read(CallerIdRuleBody, _rule(form))
            prefix, number = body.destination_prefix, body.number
            caller_id.add_rule(visit.connection, visit.actor, account_id, prefix, number)
            submissions.done(visit, form, _tab(account_id))
            flash(gettext("The rule has been added."), "success")
        return redirect(_tab(account_id))
    return make_response(_page(visit, account, form), 422)


@pages.post("/caller-id/<id:rule_id>/remove", Permission.ACCOUNTS_MANAGE)
def remove_rule(visit: Visit, account_id: int, rule_id: int) -> AnyResponse:
    """Remove a rule; one that is not there any more is no error."""
    accounts.read(visit.connection, visit.actor, account_id)
    try:
        caller_id.remove_rule(visit.connection, visit.actor, account_id, rule_id)
        flash(gettext("The rule has been removed."), "success")
    except NotFound as error:
        flash(messages.of_error(error), "error")
    return redirect(_tab(account_id))


def _rule(form: Form) -> dict[str, str | None]:
    number = None if form["number"] == HIDDEN else form["number"]
    return {"destination_prefix": form["destination_prefix"], "number": number}


def _page(visit: Visit, account: Account, form: Form) -> str:
    numbers = [one.number for one in store.linked_numbers(visit.connection, account.id)]
    return render_template(
        "accounts/caller_id.html",
        account=account,
        form=form,
        rules=store.caller_id_rules(visit.connection, account.id),
        options=[*((one, one) for one in numbers), (HIDDEN, gettext("Hidden"))],
    )


def _tab(account_id: int) -> str:
    return f"{address(account_id)}/caller-id"
