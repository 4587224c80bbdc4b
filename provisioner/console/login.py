"""Logging in and out, and the language of the pages."""

import time
from collections.abc import Iterable
from datetime import datetime

from flask import Response, flash, g, redirect, render_template, request, session
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import login_store, logins
from provisioner.access import Permission
from provisioner.api.context import database, services
from provisioner.console import entrance, language, messages
from provisioner.console.forms import Form
from provisioner.console.guesses import guesses
from provisioner.console.visits import Pages, Visit, visiting
from provisioner.db import Connection
from provisioner.errors import CodeRefused, LoginRefused
from provisioner.logins import Login, Refused
from provisioner.tenancy import EMAIL_LENGTH, User

START = "/console/accounts"
PASSED_FOR = 300  # seconds in which a code follows its password
# Seconds that a refusal takes, so that it does not tell how many users were looked at.
REFUSED_AFTER = 0.3

pages = Pages("login")


@pages.open("GET", "/")
def show_start() -> AnyResponse:
    """Lead to the first page."""
    return redirect(START)


@pages.open("GET", "/login")
def show_login() -> AnyResponse:
    """Ask who it is; whoever has logged in already goes on."""
    following = request.args.get("following", "")
    with database().transaction() as connection:
        if visiting(connection) is not None:
            return redirect(following if entrance.is_ours(following) else START)
    return entrance.login_page(Form({}), following=following)


@pages.open("POST", "/login")
def log_in() -> AnyResponse:
    """Begin a session for whoever knows a password; ask for the code where he needs one."""
    began = time.monotonic()
    form = Form()
    source, email = request.remote_addr or "", form["email"]
    if not guesses().take_password(source, email):
        form.errors[""] = gettext("Too many attempts. Please wait a minute and try again.")
        return _ask(form, 429)
    candidates = _candidates(email)
    try:
        login = logins.authenticate(candidates, request.form.get("password", ""))
        guesses().password_was_right(source, email)
        if login.needs_second_factor:
            _remember(login)
            return _ask(form, 200, asks_code=True)
        with database().transaction() as connection:
            _begin(connection, login)
    except LoginRefused as error:
        _tell([one.user for one in candidates], Refused.PASSWORD)
        form.errors["password"] = messages.of_error(error)
        time.sleep(max(0.0, began + REFUSED_AFTER - time.monotonic()))
        return _ask(form, 401)
    return _go_on(form)


@pages.open("POST", "/login/code")
def check_code() -> AnyResponse:
    """Begin a session for whoever has given his password before, and gives his code now."""
    form = Form()
    login = _remembered()
    if login is None:
        flash(gettext("Please give your password again."))
        return redirect(entrance.LOGIN)
    source = request.remote_addr or ""
    if not guesses().take_code(source, login.user_id):
        form.errors[""] = gettext("Too many wrong codes. Please try again in an hour.")
        return _ask(form, 429, asks_code=True)
    try:
        with database().transaction() as connection:
            sealer = services().sealer
            logins.check_second_factor(connection, login.user_id, form["code"], sealer)
            _begin(connection, login)
    except CodeRefused as error:
        with database().transaction() as connection:
            secrets = login_store.locked(connection, login.user_id)
        _tell([secrets.user] if secrets else [], Refused.CODE)
        form.errors["code"] = messages.of_error(error)
        return _ask(form, 401, asks_code=True)
    except LoginRefused:
        session.pop("passed", None)
        form.errors[""] = gettext("Please give your password again.")
        return _ask(form, 401)
    guesses().code_was_right(source, login.user_id)
    return _go_on(form)


@pages.post("/logout", Permission.OWN)
def log_out(visit: Visit) -> AnyResponse:
    """End the session."""
    logins.end(visit.connection, session["token"])
    forget(visit)
    return redirect(entrance.LOGIN)


def forget(visit: Visit) -> None:
    """Forget who visits, but not his language."""
    g.pop("visit", None)
    session.clear()
    language.choose(visit.session.user.language)


@pages.open("POST", "/language")
def choose_language() -> AnyResponse:
    """Speak another language, and remember it of whoever has logged in."""
    wanted = request.form.get("language", "")
    with database().transaction() as connection:
        visit = visiting(connection)
        language.choose(wanted)
        if visit is not None and wanted in language.LANGUAGES:
            logins.set_language(connection, visit.session.user.id, wanted)
    following = request.form.get("following", "")
    return redirect(following if entrance.is_ours(following) else START)


def _candidates(email: str) -> list[login_store.Secrets]:
    """Find those who log in with an email address; the longest that there can be."""
    if len(email) > EMAIL_LENGTH or not email.isprintable():
        return []
    with database().transaction() as connection:
        return login_store.candidates(connection, email)


def _remember(login: Login) -> None:
    """Note in the visitor's cookie, which nobody else can write, that his password was right."""
    changed_at = login.password_changed_at
    session["passed"] = {
        "user": login.user_id,
        "password_of": changed_at.isoformat() if changed_at else None,
        "until": time.time() + PASSED_FOR,
    }


def _remembered() -> Login | None:
    passed = session.get("passed")
    if passed is None or passed["until"] < time.time():
        return None
    changed_at = passed["password_of"]
    return Login(passed["user"], datetime.fromisoformat(changed_at) if changed_at else None, True)


def _begin(connection: Connection, login: Login) -> None:
    """Begin a session under a name that nobody knew before; a former one ends."""
    former = session.get("token")
    if former:
        logins.end(connection, former)
    token, user = logins.begin(
        connection,
        login,
        source=request.remote_addr,
        user_agent=request.user_agent.string,
        request_id=g.request_id,
    )
    session.clear()
    session["token"] = token
    language.choose(user.language)


def _tell(users: Iterable[User], reason: Refused) -> None:
    told = [user for user in users if guesses().may_tell(user.id)]
    with database().transaction() as connection:
        logins.tell_refused(
            connection, told, reason, source=request.remote_addr, request_id=g.request_id
        )


def _go_on(form: Form) -> AnyResponse:
    """Lead to where the visitor was going, with the form that he was sending."""
    following = form["following"]
    if not entrance.is_ours(following):
        return redirect(START)
    kept = entrance.carried()
    if kept is None:
        return redirect(following)
    flash(gettext("You have logged in again."), "success")
    return Response(render_template("again.html", kept=kept, action=following))


def _ask(form: Form, status: int, *, asks_code: bool = False) -> Response:
    response = entrance.login_page(
        form,
        status,
        following=form["following"],
        carried=entrance.carried(),
        asks_code=asks_code,
    )
    if status == 429:
        response.headers["Retry-After"] = "60"
    return response
