"""`provisioner user …` and `provisioner token …`."""

import argparse
import sys
from getpass import getpass

from provisioner import listings, logins, users
from provisioner.access import Role
from provisioner.api.bodies import TokenBody, UserBody, UserPatch
from provisioner.api.tenancy_views import InvitationView, NewTokenView, TokenView, UserView
from provisioner.cli.exits import Exit
from provisioner.cli.parsing import Commands, add_limit, add_project, given, positive
from provisioner.cli.session import Session
from provisioner.errors import InvalidInput
from provisioner.tenancy import Token, User
from provisioner.users import NewToken

USER_COLUMNS = ("id", "email", "name", "role", "active", "customer_id")
TOKEN_COLUMNS = ("id", "name", "role", "customer_id", "project_id", "user_id", "expires_at")


def add_commands(commands: Commands) -> None:
    """Declare the commands."""
    _add_users(commands.group("user", "People."))
    _add_tokens(commands.group("token", "API tokens."))


def _add_users(group: Commands) -> None:
    lists = group.add("list", _list_users, "List users.")
    lists.add_argument("--q", metavar="TEXT", help="part of the name or email address")
    lists.add_argument("--role", choices=[*Role])
    add_customer(lists, "of this customer")
    add_limit(lists)
    create = group.add("create", _create_user, "Add a user.")
    create.add_argument("email")
    create.add_argument("name")
    create.add_argument("--role", choices=[*Role], required=True)
    add_customer(create, "of this customer (of the operator)")
    change = group.add("set", _set_user, "Change a user.")
    _add_id(change)
    change.add_argument("--email")
    change.add_argument("--name")
    change.add_argument("--role", choices=[*Role])
    change.add_argument("--active", action=argparse.BooleanOptionalAction)
    _add_id(group.add("delete", _delete_user, "Remove a user and his tokens."))
    _add_id(group.add("invite", _invite_user, "Let a user choose a password for the console."))
    _add_id(group.add("password", _set_password, "Set a user's password, of standard input."))


def _add_tokens(group: Commands) -> None:
    lists = group.add("list", _list_tokens, "List tokens.")
    lists.add_argument("--user", type=positive, metavar="ID", help="of this user")
    add_customer(lists, "of this customer")
    add_limit(lists)
    create = group.add("create", _create_token, "Make a token; its text shows once.")
    create.add_argument("name")
    create.add_argument("--role", choices=[*Role])
    create.add_argument("--user", type=positive, metavar="ID", help="with this user's role")
    create.add_argument("--expires-at", metavar="TIME", help="like 2027-01-31T12:00:00Z")
    add_customer(create, "for this customer (for the operator)")
    add_project(create, "for this project (for all)")
    _add_id(group.add("revoke", _revoke_token, "Remove a token: it is refused from now on."))


def add_customer(parser: argparse.ArgumentParser, text: str) -> None:
    """Let a command name a customer."""
    parser.add_argument("--customer", type=positive, metavar="ID", help=text)


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=positive, metavar="ID")


def _list_users(session: Session) -> Exit:
    filters = given(session.options, "q", "role", "customer")
    session.list(
        listings.USERS, lambda row: UserView.of(User.from_row(row)), USER_COLUMNS, **filters
    )
    return Exit.DONE


def _create_user(session: Session) -> Exit:
    fields = given(session.options, "email", "name", "role", "customer")
    if "customer" in fields:
        fields["customer_id"] = fields.pop("customer")
    body = UserBody.model_validate(fields)
    with session.transaction() as connection:
        user = users.create_user(connection, session.actor, **dict(body))
    session.output.one(UserView.of(user))
    return Exit.DONE


def _set_user(session: Session) -> Exit:
    fields = given(session.options, "email", "name", "role", "active")
    if not fields:
        raise InvalidInput("options", "must name something to change; see --help")
    changes = UserPatch.model_validate(fields).given()
    with session.transaction() as connection:
        user = users.change_user(connection, session.actor, session.options.id, changes)
    session.output.one(UserView.of(user))
    return Exit.DONE


def _delete_user(session: Session) -> Exit:
    with session.transaction() as connection:
        users.delete_user(connection, session.actor, session.options.id)
    return _gone(session, "The user is removed, and so are his tokens.")


def _invite_user(session: Session) -> Exit:
    with session.transaction() as connection:
        invitation = logins.invite(connection, session.actor, session.options.id)
    path = f"/console/invitations/{invitation.text}"
    session.output.one(
        InvitationView(url=path, expires_at=invitation.expires_at),
        after="The path is shown this once; put the console's host before it.",
    )
    return Exit.DONE


def _set_password(session: Session) -> Exit:
    if sys.stdin.isatty():
        password = getpass()
        logins.check_repeated(password, getpass("The same again: "))
    else:
        password = sys.stdin.readline().rstrip("\n")
    with session.transaction() as connection:
        user = users.user(connection, session.actor, session.options.id, lock=True)
        logins.set_password(connection, session.actor, user, password)
    session.output.say("The password is set; all of the user's sessions have ended.")
    if session.output.as_json:
        session.output.data({"id": session.options.id})
    return Exit.DONE


def _list_tokens(session: Session) -> Exit:
    filters = given(session.options, "user", "customer")
    session.list(
        listings.TOKENS, lambda row: TokenView.of(Token.from_row(row)), TOKEN_COLUMNS, **filters
    )
    return Exit.DONE


def _create_token(session: Session) -> Exit:
    fields = given(session.options, "name", "role", "user", "customer", "project", "expires_at")
    for name in ("user", "customer", "project"):
        if name in fields:
            fields[f"{name}_id"] = fields.pop(name)
    new = NewToken(**dict(TokenBody.model_validate(fields)))
    with session.transaction() as connection:
        token, text = users.create_token(connection, session.actor, new)
    view = NewTokenView.with_text(token, text)
    session.output.one(view, after="The token is shown this once and kept nowhere.")
    return Exit.DONE


def _revoke_token(session: Session) -> Exit:
    with session.transaction() as connection:
        users.revoke_token(connection, session.actor, session.options.id)
    return _gone(session, "The token is removed: it is refused from now on.")


def _gone(session: Session, sentence: str) -> Exit:
    session.output.say(sentence)
    if session.output.as_json:
        session.output.data({"id": session.options.id, "deleted": True})
    return Exit.DONE
