"""`/console/profile`: one's own password, second factor and sessions."""

from flask import Response, flash, make_response, redirect, render_template, request, session
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import login_store, logins
from provisioner.access import Permission
from provisioner.api.context import services
from provisioner.console.forms import Form
from provisioner.console.guesses import guesses
from provisioner.console.qr import qr_code
from provisioner.console.visits import Pages, Visit
from provisioner.errors import InvalidInput, NotFound

pages = Pages("profile", "/profile")

OWN = "/console/profile"


@pages.get("", Permission.OWN)
def show_profile(visit: Visit) -> str:
    """Show who one is, and what one logs in with."""
    return _profile(visit, Form({}))


@pages.post("/password", Permission.OWN)
def change_password(visit: Visit) -> Response | AnyResponse:
    """Change one's password; all other sessions end."""
    form = Form()
    with form.attempt(visit.connection):
        chosen, user = new_password(form), visit.session.user
        _check_own(visit, form, "password_old")
        logins.set_password(visit.connection, visit.actor, user, chosen, keep=visit.session.id)
        flash(gettext("The password has been changed; your other sessions have ended."), "success")
        return redirect(OWN)
    return make_response(_profile(visit, form), 422)


@pages.get("/second-factor", Permission.OWN)
def ask_second_factor(visit: Visit) -> str | AnyResponse:
    """Show a new secret to scan, which counts once a code of it was typed."""
    if visit.session.user.has_second_factor:
        return redirect(OWN)
    if "new_factor" not in session:
        session["new_factor"] = logins.new_second_factor(visit.session.user)
    return _second_factor(Form({}))


@pages.post("/second-factor", Permission.OWN)
def add_second_factor(visit: Visit) -> Response | AnyResponse:
    """Ask for a code at each login from now on."""
    form = Form()
    if "new_factor" not in session:
        return redirect(f"{OWN}/second-factor")
    secret, _ = session["new_factor"]
    with form.attempt(visit.connection):
        logins.add_second_factor(
            visit.connection,
            visit.actor,
            visit.session.user,
            secret,
            form["code"],
            services().sealer,
        )
        session.pop("new_factor")
        flash(gettext("From now on a code is asked for when you log in."), "success")
        return redirect(OWN)
    return make_response(_second_factor(form), 422)


@pages.post("/second-factor/remove", Permission.OWN)
def remove_second_factor(visit: Visit) -> Response | AnyResponse:
    """Ask for no code any more, if it is really he who asks for that."""
    form = Form()
    with form.attempt(visit.connection):
        _check_own(visit, form, "password_of_factor")
        logins.drop_second_factor(visit.connection, visit.actor, visit.session.user)
        flash(gettext("The second factor has been removed."), "success")
        return redirect(OWN)
    return make_response(_profile(visit, form), 422)


@pages.post("/sessions/<id:session_id>/end", Permission.OWN)
def end_session(visit: Visit, session_id: int) -> AnyResponse:
    """End one of one's sessions."""
    if not login_store.end_session_by_id(visit.connection, visit.session.user.id, session_id):
        raise NotFound()
    flash(gettext("The session has ended."), "success")
    return redirect(OWN)


def _check_own(visit: Visit, form: Form, field: str) -> None:
    """Check that it is really he who asks; guesses count as those of logins do.

    Raises:
        InvalidInput: it is not his password, or too many were not.
    """
    source, email = request.remote_addr or "", visit.session.user.email
    if not guesses().take_password(source, email):
        raise InvalidInput(field, "was wrong too often; wait a minute")
    logins.check_password(visit.connection, visit.session, form.values.get(field, ""), field)
    guesses().password_was_right(source, email)


def new_password(form: Form) -> str:
    """Return the password that was chosen; the same twice, or it may be misspelt.

    Raises:
        InvalidInput: it was not.
    """
    password: str = form.values.get("password", "")
    logins.check_repeated(password, form.values.get("password_again", ""))
    return password


def _profile(visit: Visit, form: Form) -> str:
    return render_template(
        "people/profile.html",
        person=visit.session.user,
        form=form,
        sessions=login_store.sessions(visit.connection, visit.session.user.id),
        present=visit.session.id,
    )


def _second_factor(form: Form) -> str:
    secret, uri = session["new_factor"]
    return render_template("people/second_factor.html", form=form, secret=secret, qr=qr_code(uri))
