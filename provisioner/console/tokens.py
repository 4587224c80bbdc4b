"""`/console/tokens`: what programs bear instead of a password."""

from datetime import UTC, datetime, time
from typing import Any

from flask import Response, flash, make_response, redirect, render_template
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import users
from provisioner.access import Permission, Role
from provisioner.api.bodies import TokenBody
from provisioner.console import submissions
from provisioner.console.choices import projects
from provisioner.console.forms import Form
from provisioner.console.people import LIST
from provisioner.console.visits import Pages, Visit
from provisioner.users import NewToken

pages = Pages("tokens", "/tokens")


@pages.get("/new", Permission.TOKENS_MANAGE)
def ask_token(visit: Visit) -> str:
    """Ask for a new token."""
    return _new(visit, Form({"role": Role.READ_ONLY}))


@pages.post("/new", Permission.TOKENS_MANAGE)
def make_token(visit: Visit) -> Response | AnyResponse | str:
    """Make a token, and show its text once."""
    form = Form()
    with form.attempt(visit.connection):
        body = form.read(TokenBody, _given(form))
        if submissions.claim(visit, form) is not None:
            flash(
                gettext(
                    "The token exists already; its text was in the first answer. "
                    "Revoke it and make another one if you do not have it."
                )
            )
            return redirect(LIST)
        token, text = users.create_token(visit.connection, visit.actor, NewToken(**dict(body)))
        return render_template("people/token.html", token=token, text=text)
    return make_response(_new(visit, form), 422)


@pages.get("/<id:token_id>/revoke", Permission.TOKENS_MANAGE)
def ask_revocation(visit: Visit, token_id: int) -> str:
    """Ask whether a token shall really be revoked."""
    token = users.token_of(visit.connection, visit.actor, token_id)
    return render_template("people/revoke.html", token=token)


@pages.post("/<id:token_id>/revoke", Permission.TOKENS_MANAGE)
def revoke_token(visit: Visit, token_id: int) -> AnyResponse:
    """Revoke a token."""
    users.revoke_token(visit.connection, visit.actor, token_id)
    flash(gettext("The token is refused from now on."), "success")
    return redirect(LIST)


def _given(form: Form) -> dict[str, Any]:
    given: dict[str, Any] = {"name": form["name"], "role": form["role"]}
    if form["project_id"]:
        given["project_id"] = form.number("project_id")
    if form["expires_at"]:
        given["expires_at"] = _end_of(form["expires_at"])
    return given


def _end_of(day: str) -> datetime | str:
    """Return the end of a day, or the text, of which the model then complains."""
    try:
        return datetime.combine(datetime.fromisoformat(day).date(), time.max, UTC)
    except ValueError:
        return day


def _new(visit: Visit, form: Form) -> str:
    found = projects(visit)
    return render_template("people/new_token.html", form=form, projects=found, roles=[*Role])
