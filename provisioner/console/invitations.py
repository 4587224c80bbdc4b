"""`/console/invitations/<text>`: choosing a password, by whoever has been invited to."""

from flask import Response, flash, g, make_response, redirect, render_template, request
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import logins
from provisioner.api.context import database
from provisioner.console.forms import Form
from provisioner.console.profile import new_password
from provisioner.console.visits import Pages
from provisioner.tenancy import User

pages = Pages("invitations", "/invitations")


@pages.open("GET", "/<text>")
def show_invitation(text: str) -> Response:
    """Ask for a password."""
    with database().transaction() as connection:
        user = logins.invited(connection, text)
    return _ask(user, text, Form({}), 200)


@pages.open("POST", "/<text>")
def accept_invitation(text: str) -> Response | AnyResponse:
    """Set the password; who has one logs in with it, so that he knows that he can."""
    form = Form()
    with database().transaction() as connection:
        user = logins.invited(connection, text)
        with form.attempt(connection):
            logins.accept(
                connection,
                text,
                new_password(form),
                source=request.remote_addr,
                request_id=g.request_id,
            )
            flash(gettext("The password is set. Log in with it now."), "success")
            return redirect("/console/login")
    return _ask(user, text, form, 422)


def _ask(user: User, text: str, form: Form, status: int) -> Response:
    page = render_template("people/invitation.html", form=form, person=user, text=text)
    response = make_response(page, status)
    # The address is a secret: no request of this page tells it, not even to ourselves.
    response.headers["Referrer-Policy"] = "strict-origin"
    return response
