"""`provisioner number …`."""

import argparse

from provisioner import accounts, listings, numbers
from provisioner.api.bodies import NumberBody, NumberPatch
from provisioner.api.views import NumberView
from provisioner.cli.exits import Exit
from provisioner.cli.parsing import Commands, add_account, add_limit, add_project, given
from provisioner.cli.session import Session
from provisioner.errors import InvalidInput, NotFound
from provisioner.model import NewNumber, Number, NumberState, is_e164

COLUMNS = ("number", "state", "project_id", "account_id", "external_id")


def add_commands(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("number", "Telephone numbers.")
    lists = group.add("list", _list, "List numbers.")
    lists.add_argument("--state", choices=[*NumberState])
    lists.add_argument("--choosable", action="store_true", default=None, help="active and free")
    lists.add_argument("--q", metavar="TEXT", help="part of the number")
    add_project(lists, "of this project")
    add_limit(lists)
    create = group.add("create", _create, "Add a number.")
    _add_number(create)
    create.add_argument("--state", choices=[*NumberState], help="where it is (active)")
    create.add_argument("--external-id", metavar="ID", help="the portal's own key")
    add_project(create, "the project (the first one)")
    change = group.add("set", _set, "Change a number.")
    _add_number(change)
    change.add_argument("--state", choices=[*NumberState])
    change.add_argument("--external-id", metavar="ID", help="the portal's own key; '' for none")
    link = group.add("link", _link, "Link an additional number to an account.")
    _add_number(link)
    add_account(link)
    _add_number(group.add("unlink", _unlink, "Unlink an additional number from its account."))


def _add_number(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("number", metavar="NUMBER", help="like +390612345678")


def _list(session: Session) -> Exit:
    filters = given(session.options, "state", "choosable", "q", "project")
    session.list(
        listings.NUMBERS, lambda row: NumberView.of(Number.from_row(row)), COLUMNS, **filters
    )
    return Exit.DONE


def _create(session: Session) -> Exit:
    fields = given(session.options, "number", "state", "external_id", "project")
    if "project" in fields:
        fields["project_id"] = fields.pop("project")
    new = NewNumber(**dict(NumberBody.model_validate(fields)))
    with session.transaction() as connection:
        number = numbers.create(connection, session.actor, new)
    session.output.one(NumberView.of(number))
    return Exit.DONE


def _set(session: Session) -> Exit:
    fields = given(session.options, "state", "external_id")
    if not fields:
        raise InvalidInput("options", "must name something to change; see --help")
    if fields.get("external_id") == "":
        fields["external_id"] = None
    changes = NumberPatch.model_validate(fields).given()
    with session.transaction() as connection:
        number = numbers.change(connection, session.actor, _number(session), changes)
    session.output.one(NumberView.of(number))
    return Exit.DONE


def _link(session: Session) -> Exit:
    with session.transaction() as connection:
        account = session.account(connection)
        number = accounts.link_number(connection, session.actor, account.id, _number(session))
    session.output.one(NumberView.of(number))
    return Exit.DONE


def _unlink(session: Session) -> Exit:
    with session.transaction() as connection:
        number = numbers.read(connection, session.actor, _number(session))
        if number.account_id is None:
            raise NotFound("The number is not linked to an account.")
        accounts.unlink_number(connection, session.actor, number.account_id, number.number)
        number = numbers.read(connection, session.actor, number.number)
    session.output.one(NumberView.of(number))
    return Exit.DONE


def _number(session: Session) -> str:
    number: str = session.options.number
    if not is_e164(number):
        raise NotFound("There is no such number.")
    return number
