"""A new account: a form, a confirmation that repeats the data, and then the account."""

from typing import Any

from flask import Response, jsonify, render_template, request

from provisioner import accounts, listings, numbers
from provisioner.access import Permission
from provisioner.api.bodies import NewAccountBody
from provisioner.console import submissions
from provisioner.console.credentials_page import show_credentials
from provisioner.console.forms import Form
from provisioner.console.language import marked
from provisioner.console.visits import Pages, Visit
from provisioner.credentials import Secret
from provisioner.errors import InvalidInput, NotFound
from provisioner.listing import Order, containing
from provisioner.model import Account, NewAccount, Tariff

pages = Pages("new_account", "/accounts")

OFFERED = 100  # numbers at the most; where there are more they are searched for
CHANNELS = 2  # that a new account has unless others are chosen
BETWEEN_DIGITS = str.maketrans("", "", " ./()-\N{NO-BREAK SPACE}")

Answer = str | tuple[str, int]


@pages.get("/new", Permission.ACCOUNTS_MANAGE)
def ask(visit: Visit) -> str:
    """Ask what the account shall be."""
    number = request.args.get("main_number", "")
    return _form(visit, Form({"voice_channels": CHANNELS, "main_number": number}))


@pages.get("/new/numbers", Permission.ACCOUNTS_MANAGE)
def search_numbers(visit: Visit) -> Response:
    """Find choosable numbers with some digits in them, each with what it belongs to."""
    return jsonify(_choosable(visit, request.args.get("q", ""))[:OFFERED])


@pages.post("/new", Permission.ACCOUNTS_MANAGE)
def confirm(visit: Visit) -> Answer:
    """Show once more what was asked for, or the form where something is wrong with it.

    With `back` among its fields the form is shown as it was filled in.
    """
    form = Form()
    if "back" in form.values:
        return _form(visit, form)
    with form.attempt(visit.connection):
        new = _wanted(visit, form)
        # Whatever refuses it then refuses it now, too.
        with visit.connection.transaction(force_rollback=True):
            _create(visit, new)
    if form.errors:
        return _form(visit, form), 422
    return render_template("accounts/confirm.html", form=form, new=new)


@pages.post("", Permission.ACCOUNTS_MANAGE)
def create(visit: Visit) -> Answer:
    """Create the account, once, and show its credentials, once."""
    form = Form()
    with form.attempt(visit.connection):
        former = submissions.claim(visit, form)
        if former is not None:
            return render_template("accounts/created_before.html", form=form, location=former)
        account, secret = _create(visit, _wanted(visit, form))
        submissions.done(visit, form, f"/console/accounts/{account.id}")
    if form.errors:
        return _form(visit, form), 422
    return show_credentials(visit, account, secret, created=True)


def _create(visit: Visit, new: NewAccount) -> tuple[Account, Secret]:
    secret = accounts.new_secret(visit.connection, new.main_number)
    return accounts.create(visit.connection, visit.actor, new, secret), secret


def _wanted(visit: Visit, form: Form) -> NewAccount:
    """Read what was asked for; the account goes to the project of its number.

    Raises:
        pydantic.ValidationError: a field does not follow its rule.
        InvalidInput: the number is not one that the visitor sees.
    """
    body = form.read(
        NewAccountBody,
        {
            "name": form["name"],
            "main_number": form["main_number"].translate(BETWEEN_DIGITS),
            "voice_channels": form.number("voice_channels"),
            "tariff": Tariff.FLAT if form.checked("flat") else Tariff.PAY_PER_USE,
            "cloudfire_only": form.checked("cloudfire_only"),
        },
    )
    try:
        number = numbers.read(visit.connection, visit.actor, body.main_number)
    except NotFound:
        raise InvalidInput("main_number", marked("must be one of your numbers")) from None
    return NewAccount(**{**dict(body), "project_id": number.project_id})


def _form(visit: Visit, form: Form) -> str:
    found = _choosable(visit)
    return render_template(
        "accounts/new.html",
        form=form,
        numbers=found[:OFFERED],
        searched=len(found) > OFFERED,
    )


def _choosable(visit: Visit, digits: str = "") -> list[tuple[str, str]]:
    """Return numbers that can be chosen, each with what is shown of it; one more than is offered
    tells that there are others.
    """
    wanted = containing(digits.translate(BETWEEN_DIGITS)) if digits else None
    found = listings.CHOOSABLE_NUMBERS.page(
        visit.connection, visit.actor, {"q": wanted}, Order("number"), None, OFFERED + 1
    )
    several = len({row["project_id"] for row in found}) > 1
    return [(row["number"], _label(visit, row, several=several)) for row in found]


def _label(visit: Visit, row: dict[str, Any], *, several: bool) -> str:
    """Say whose a number is, where that is not clear."""
    if not several:
        return str(row["number"])
    if visit.actor.customer_id is None:
        return f"{row['number']} · {row['customer']} · {row['project']}"
    return f"{row['number']} · {row['project']}"
