"""`/console/numbers`: the numbers of a customer's projects."""

from collections.abc import Sequence

from flask import Response, flash, make_response, redirect, render_template
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import listings, numbers, store
from provisioner.access import Permission
from provisioner.api.bodies import NumberBody, NumberPatch, NumbersQuery
from provisioner.api.numbers import e164_or_404
from provisioner.console import lists, submissions
from provisioner.console.choices import projects
from provisioner.console.forms import Form
from provisioner.console.visits import Pages, Visit
from provisioner.model import NewNumber, Number, NumberState

pages = Pages("numbers", "/numbers")

LIST = "/console/numbers"
SHOWN = 25  # numbers of a page


@pages.get("", Permission.NUMBERS_READ)
def show_numbers(visit: Visit) -> str:
    """List numbers, and who uses them."""
    query = lists.query(NumbersQuery, SHOWN)
    found = lists.page(visit, listings.NUMBERS, query, Number.from_row)
    return render_template(
        "numbers/list.html",
        numbers=found.items,
        accounts=_accounts(visit, found.items),
        following=found.following,
        first=found.first,
        query=query,
        searched=bool(query.q or query.state or query.choosable is not None),
        states=[*NumberState],
    )


@pages.get("/new", Permission.NUMBERS_MANAGE)
def ask_number(visit: Visit) -> str:
    """Ask for a new number."""
    return _new(visit, Form({"state": NumberState.ACTIVE}))


@pages.post("/new", Permission.NUMBERS_MANAGE)
def add_number(visit: Visit) -> Response | AnyResponse:
    """Add a number to a project."""
    form = Form()
    with form.attempt(visit.connection):
        given = {"number": form["number"].replace(" ", ""), "state": form["state"]}
        body = form.read(NumberBody, {**given, "project_id": form.number("project_id")})
        if submissions.claim(visit, form) is not None:
            return redirect(LIST)
        numbers.create(visit.connection, visit.actor, NewNumber(**dict(body)))
        flash(gettext("The number %(number)s has been added.", number=body.number), "success")
        return redirect(LIST)
    return make_response(_new(visit, form), 422)


@pages.get("/<number>", Permission.NUMBERS_READ)
def show_number(visit: Visit, number: str) -> str:
    """Show one number, and what may become of it."""
    e164_or_404(number)
    return _one(visit, numbers.read(visit.connection, visit.actor, number), Form({}))


@pages.post("/<number>", Permission.NUMBERS_MANAGE)
def change_number(visit: Visit, number: str) -> Response | AnyResponse:
    """Move a number to another state."""
    e164_or_404(number)
    form = Form()
    with form.attempt(visit.connection):
        changes = form.read(NumberPatch, {"state": form["state"]}).given()
        numbers.change(visit.connection, visit.actor, number, changes)
        flash(gettext("Saved."), "success")
        return redirect(f"{LIST}/{number}")
    present = numbers.read(visit.connection, visit.actor, number)
    return make_response(_one(visit, present, form), 422)


def _new(visit: Visit, form: Form) -> str:
    return render_template(
        "numbers/new.html",
        form=form,
        projects=projects(visit),
        states=_offered(NumberState.ORDERED),
    )


def _one(visit: Visit, number: Number, form: Form) -> str:
    states = [one for one in NumberState if number.state.may_become(one)]
    form.values.setdefault("state", number.state)
    return render_template(
        "numbers/one.html",
        number=number,
        accounts=_accounts(visit, [number]),
        form=form,
        states=states,
    )


def _accounts(visit: Visit, of: Sequence[Number]) -> dict[int, str]:
    """Return the names of the accounts that use numbers, by their ids."""
    ids = {one.account_id for one in of if one.account_id is not None}
    return store.account_names(visit.connection, visit.actor, ids)


def _offered(first: NumberState) -> list[NumberState]:
    return [one for one in NumberState if first.may_become(one) and one is not NumberState.CEASED]
