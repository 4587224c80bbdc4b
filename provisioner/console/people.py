"""`/console/people`: who may log in, and as what."""

from typing import Any

from flask import Response, flash, make_response, redirect, render_template, request
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import listings, logins, users
from provisioner.access import Permission, Role
from provisioner.api.bodies import UserBody, UserPatch, UsersQuery
from provisioner.console import lists, submissions
from provisioner.console.choices import customers
from provisioner.console.forms import Form
from provisioner.console.visits import Pages, Visit
from provisioner.errors import Conflict, InvalidInput
from provisioner.listing import Order
from provisioner.tenancy import Token, User

pages = Pages("people", "/people")

LIST = "/console/people"
SHOWN = 25  # people of a page
TOKENS_MAX = 100  # that are shown, the latest


class OwnPassword(Conflict):
    """Your own password and second factor are changed in your profile."""

    code = "own-password"


@pages.get("", Permission.USERS_MANAGE)
def show_people(visit: Visit) -> str:
    """List people, and the tokens that programs bear."""
    query = lists.query(UsersQuery, SHOWN)
    found = lists.page(visit, listings.USERS, query, User.from_row)
    latest = Order("id", descending=True)
    tokens = listings.TOKENS.page(visit.connection, visit.actor, {}, latest, None, TOKENS_MAX)
    return render_template(
        "people/list.html",
        people=found.items,
        following=found.following,
        first=found.first,
        query=query,
        roles=[*Role],
        tokens=[Token.from_row(row) for row in tokens],
    )


@pages.get("/new", Permission.USERS_MANAGE)
def ask_person(visit: Visit) -> str:
    """Ask for a new person."""
    return _new(visit, Form({"role": Role.ACCOUNTING}))


@pages.post("/new", Permission.USERS_MANAGE)
def add_person(visit: Visit) -> Response | AnyResponse | str:
    """Add a person, and invite him."""
    form = Form()
    with form.attempt(visit.connection):
        given: dict[str, Any] = {name: form[name] for name in ("email", "name", "role")}
        if form["customer_id"]:
            given["customer_id"] = form.number("customer_id")
        body = form.read(UserBody, given)
        earlier = submissions.claim(visit, form)
        if earlier is not None:
            return redirect(earlier or LIST)
        user = users.create_user(visit.connection, visit.actor, **dict(body))
        submissions.done(visit, form, f"{LIST}/{user.id}")
        return _invited(visit, user)
    return make_response(_new(visit, form), 422)


@pages.get("/<id:user_id>", Permission.USERS_MANAGE)
def show_person(visit: Visit, user_id: int) -> str:
    """Show one person."""
    user = users.user(visit.connection, visit.actor, user_id)
    return _one(visit, user, Form({**user.facts(), "active": user.active}))


@pages.post("/<id:user_id>", Permission.USERS_MANAGE)
def change_person(visit: Visit, user_id: int) -> Response | AnyResponse:
    """Change a person's name, email address, role, or whether he may log in."""
    form = Form()
    with form.attempt(visit.connection):
        changes = form.read(
            UserPatch,
            {
                "email": form["email"],
                "name": form["name"],
                "role": form["role"],
                "active": form.checked("active"),
            },
        ).given()
        _check_not_oneself(visit, user_id, changes)
        users.change_user(visit.connection, visit.actor, user_id, changes)
        flash(gettext("Saved."), "success")
        return redirect(f"{LIST}/{user_id}")
    user = users.user(visit.connection, visit.actor, user_id)
    return make_response(_one(visit, user, form), 422)


@pages.post("/<id:user_id>/invite", Permission.USERS_MANAGE)
def invite_person(visit: Visit, user_id: int) -> str:
    """Let him choose a new password."""
    _check_another(visit, user_id)
    return _invited(visit, users.user(visit.connection, visit.actor, user_id))


@pages.post("/<id:user_id>/second-factor", Permission.USERS_MANAGE)
def remove_second_factor(visit: Visit, user_id: int) -> AnyResponse:
    """Let him log in with his password alone."""
    _check_another(visit, user_id)
    logins.remove_second_factor(visit.connection, visit.actor, user_id)
    flash(gettext("The second factor has been removed."), "success")
    return redirect(f"{LIST}/{user_id}")


@pages.get("/<id:user_id>/delete", Permission.USERS_MANAGE)
def ask_deletion(visit: Visit, user_id: int) -> str:
    """Ask whether a person shall really be removed."""
    user = users.user(visit.connection, visit.actor, user_id)
    return render_template("people/delete.html", person=user)


@pages.post("/<id:user_id>/delete", Permission.USERS_MANAGE)
def delete_person(visit: Visit, user_id: int) -> Response | AnyResponse:
    """Remove a person and his tokens."""
    form = Form({})
    with form.attempt(visit.connection):
        _check_not_oneself(visit, user_id, {"active": False})
        user = users.user(visit.connection, visit.actor, user_id)
        users.delete_user(visit.connection, visit.actor, user_id)
        flash(gettext("%(name)s has been deleted.", name=user.name), "success")
        return redirect(LIST)
    user = users.user(visit.connection, visit.actor, user_id)
    return make_response(_one(visit, user, form), 422)


def _check_not_oneself(visit: Visit, user_id: int, changes: dict[str, Any]) -> None:
    """Let nobody shut himself out.

    Raises:
        InvalidInput: he would.
    """
    own = visit.session.user
    if user_id != own.id:
        return
    if not changes.get("active", True):
        raise InvalidInput("active", "must not be taken from yourself; ask another Admin")
    if changes.get("role", own.role) != own.role:
        raise InvalidInput("role", "must not be changed by yourself; ask another Admin")


def _check_another(visit: Visit, user_id: int) -> None:
    """Let nobody get round the password that his profile asks for.

    Raises:
        OwnPassword: it is the visitor himself.
    """
    if user_id == visit.session.user.id:
        raise OwnPassword()


def _invited(visit: Visit, user: User) -> str:
    invitation = logins.invite(visit.connection, visit.actor, user.id)
    url = f"{request.host_url}console/invitations/{invitation.text}"
    return render_template(
        "people/invited.html", person=user, url=url, expires_at=invitation.expires_at
    )


def _new(visit: Visit, form: Form) -> str:
    found = customers(visit)
    return render_template("people/new.html", form=form, customers=found, roles=_roles())


def _one(visit: Visit, user: User, form: Form) -> str:
    own = user.id == visit.session.user.id
    return render_template("people/one.html", person=user, form=form, roles=_roles(), own=own)


def _roles() -> list[Role]:
    return [*Role]
