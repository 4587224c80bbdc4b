"""`provisioner bans` and `provisioner bans lift`."""

from datetime import UTC, datetime

from provisioner import bans
from provisioner.api.bans import BansView
from provisioner.cli import packet_filter
from provisioner.cli.exits import Exit
from provisioner.cli.parsing import Commands
from provisioner.cli.session import Session

COLUMNS = ("address", "username", "since", "until", "guesses", "node")


def add_commands(commands: Commands) -> None:
    """Declare the commands."""
    lists = commands.add(
        "bans", _list, "List the addresses that are banned for guessing passwords."
    )
    lists.add_argument(
        "--nft", action="store_true", help="print a packet filter's table, for `nft -f -`"
    )
    lift = Commands(lists, required=False).add("lift", _lift, "Lift all bans of an address.")
    lift.add_argument("address", metavar="ADDRESS")


def _list(session: Session) -> Exit:
    settings = session.settings
    with session.transaction() as connection:
        if session.options.nft:
            found = bans.strangers(connection, settings.rpc_token)
            table = packet_filter.table(found, settings.sip_port, datetime.now(UTC))
            session.output.say(table)
            return Exit.DONE
        view = BansView.of(bans.read(connection, settings.rpc_token))
    return _tell(session, view)


def _lift(session: Session) -> Exit:
    with session.transaction() as connection:
        address, rpc_token = session.options.address, session.settings.rpc_token
        view = BansView.of(bans.lift(connection, session.actor, address, rpc_token))
    session.output.say("Lifted:")
    return _tell(session, view)


def _tell(session: Session, view: BansView) -> Exit:
    if session.output.as_json:
        session.output.data(view.shown())
    else:
        session.output.rows([one.shown() for one in view.items], COLUMNS)
    for name in view.unavailable_nodes:
        session.output.say(f"{name} does not answer")
    return Exit.IN_PART if view.unavailable_nodes else Exit.DONE
