"""`provisioner account …`."""

import argparse
import sys
import time

from provisioner import accounts, listings
from provisioner.api.bodies import AccountPatch, NewAccountBody
from provisioner.api.views import AccountView, SecretView
from provisioner.cli.exits import Exit
from provisioner.cli.parsing import (
    Commands,
    add_account,
    add_limit,
    add_project,
    given,
    positive,
)
from provisioner.cli.session import Session
from provisioner.credentials import Secret
from provisioner.errors import InvalidInput
from provisioner.model import Account, AccountState, NewAccount, Tariff

COLUMNS = ("id", "name", "main_number", "state", "voice_channels", "tariff", "external_id")
LOOK = 0.05  # seconds between two looks at what is awaited
SETTABLE = (
    "name",
    "voice_channels",
    "tariff",
    "cloudfire_only",
    "allowed_networks",
    "external_id",
)


def add_commands(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("account", "SIP accounts.")
    lists = group.add("list", _list, "List accounts.")
    lists.add_argument("--state", choices=[*AccountState])
    lists.add_argument("--q", metavar="TEXT", help="part of the name or number")
    add_project(lists, "of this project")
    add_limit(lists)
    add_account(group.add("show", _show, "Show an account."))
    create = group.add("create", _create, "Create a disabled account; its password shows once.")
    create.add_argument("name")
    create.add_argument("main_number", metavar="MAIN_NUMBER", help="an active, free number")
    _add_fields(create, channels=True)
    add_project(create, "the project (the first one)")
    change = group.add("set", _set, "Change an account.")
    add_account(change)
    change.add_argument("--name")
    _add_fields(change, channels=False)
    for name, state, text in (
        ("enable", AccountState.ENABLED, "Let an account register."),
        ("disable", AccountState.DISABLED, "Refuse an account, and drop its registrations."),
        ("link-to-teams", AccountState.LINKED_TO_TEAMS, "Send an account's calls to Teams."),
    ):
        parser = group.add(name, _set_state, text)
        parser.set_defaults(state=state)
        parser.add_argument(
            "--wait", type=positive, metavar="SECONDS", help="until every node obeys"
        )
        add_account(parser)
    add_account(group.add("rotate", _rotate, "Replace an account's password at once."))
    delete = group.add("delete", _delete, "Erase a disabled account, and free its number.")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    add_account(delete)


def _add_fields(parser: argparse.ArgumentParser, *, channels: bool) -> None:
    parser.add_argument(
        "--voice-channels", type=positive, required=channels, metavar="N", help="calls at once"
    )
    parser.add_argument("--tariff", choices=[*Tariff])
    parser.add_argument("--cloudfire-only", action=argparse.BooleanOptionalAction)
    parser.add_argument("--allowed-networks", nargs="*", metavar="CIDR", help="its own networks")
    parser.add_argument("--external-id", metavar="ID", help="the portal's own key")


def _list(session: Session) -> Exit:
    filters = given(session.options, "state", "q", "project")
    session.list(
        listings.ACCOUNTS, lambda row: AccountView.of(Account.from_row(row)), COLUMNS, **filters
    )
    return Exit.DONE


def _show(session: Session) -> Exit:
    with session.transaction() as connection:
        account = session.account(connection)
    session.output.one(AccountView.of(account))
    return Exit.DONE


def _create(session: Session) -> Exit:
    options = session.options
    fields = given(options, "main_number", "project", *SETTABLE)
    if "project" in fields:
        fields["project_id"] = fields.pop("project")
    new = NewAccount(**dict(NewAccountBody.model_validate(fields)))
    with session.transaction() as connection:
        secret = accounts.new_secret(connection, new.main_number)
        account = accounts.create(connection, session.actor, new, secret)
    _show_secret(session, account, secret)
    return Exit.DONE


def _set(session: Session) -> Exit:
    fields = given(session.options, *SETTABLE)
    if not fields:
        raise InvalidInput("options", "must name something to change; see --help")
    if fields.get("external_id") == "":
        fields["external_id"] = None
    if fields.get("allowed_networks") == []:
        fields["allowed_networks"] = None
    changes = AccountPatch.model_validate(fields).given()
    with session.transaction() as connection:
        account = session.account(connection)
        account = accounts.configure(connection, session.actor, account.id, changes)
    session.output.one(AccountView.of(account))
    return Exit.DONE


def _set_state(session: Session) -> Exit:
    with session.transaction() as connection:
        account = session.account(connection)
        account = accounts.set_state(connection, session.actor, account.id, session.options.state)
    if session.options.wait:
        account = _awaited(session, account)
    session.output.one(AccountView.of(account))
    unmet = session.options.wait and not account.convergence.converged
    return Exit.IN_PART if unmet else Exit.DONE


def _awaited(session: Session, account: Account) -> Account:
    """Look until every node obeys, or the time is over."""
    deadline = time.monotonic() + session.options.wait
    while not account.convergence.converged and time.monotonic() < deadline:
        time.sleep(LOOK)
        with session.transaction() as connection:
            account = accounts.read(connection, session.actor, account.id)
    return account


def _rotate(session: Session) -> Exit:
    with session.transaction() as connection:
        account = session.account(connection)
        account, secret = accounts.rotate_credentials(connection, session.actor, account.id)
    _show_secret(session, account, secret)
    return Exit.DONE


def _delete(session: Session) -> Exit:
    with session.transaction() as connection:
        account = session.account(connection)
        _confirm(session, account)
        accounts.delete(connection, session.actor, account.id)
    session.output.say(f"{account.name} ({account.main_number}) is erased; its number is free.")
    if session.output.as_json:
        session.output.data({"id": account.id, "deleted": True})
    return Exit.DONE


def _confirm(session: Session, account: Account) -> None:
    """Ask before something is erased.

    Raises:
        InvalidInput: the answer is not yes, or nobody is there to be asked.
    """
    if session.options.yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput("--yes", "must be given where nobody can be asked")
    question = f"Erase {account.name} ({account.main_number}) and all its data? [y/N] "
    if input(question).strip().lower() not in ("y", "yes"):
        raise InvalidInput("answer", "was not yes; nothing was changed")


def _show_secret(session: Session, account: Account, secret: Secret) -> None:
    view = SecretView.with_secret(account, secret, session.settings)
    session.output.one(view, after="The password is shown this once and kept nowhere.")
