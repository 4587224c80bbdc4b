"""`provisioner trunks …`."""

from provisioner import listings, trunks
from provisioner.api.bodies import TrunkBody
from provisioner.api.views import TrunkView
from provisioner.cli.exits import Exit
from provisioner.cli.parsing import Commands, add_limit, add_project, given, positive
from provisioner.cli.session import Session
from provisioner.model import TRUNK_PRIORITY_MAX, Transport, Trunk, TrunkKind

COLUMNS = ("id", "name", "kind", "host", "port", "transport", "priority", "keepalive", "project_id")


def add_commands(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("trunks", "Carriers, and projects' Teams trunks.")
    lists = group.add("list", _list, "List trunks.")
    lists.add_argument("--kind", choices=[*TrunkKind])
    add_project(lists, "of this project")
    add_limit(lists)
    add = group.add("add", _add, "Add a trunk; nodes load it at once.")
    add.add_argument("name")
    add.add_argument("host", metavar="HOST", help="an IPv4 address or host name")
    add.add_argument("--kind", choices=[*TrunkKind], default=TrunkKind.CARRIER)
    add.add_argument("--port", type=positive, metavar="PORT", help="5060; with TLS 5061")
    add.add_argument("--transport", choices=[*Transport], help="udp; to Teams tls")
    add.add_argument(
        "--priority", type=int, metavar="N", help=f"0 to {TRUNK_PRIORITY_MAX}; the highest is first"
    )
    add.add_argument("--keepalive", action="store_true", default=None, help="ask it by OPTIONS")
    add.add_argument("--fqdn", metavar="NAME", help="what Teams knows the project by")
    add_project(add, "whose Teams trunk it is")
    remove = group.add("remove", _remove, "Remove a trunk; calls in progress go on.", json=False)
    remove.add_argument("id", type=positive, metavar="ID")


def _list(session: Session) -> Exit:
    filters = given(session.options, "kind", "project")
    session.list(listings.TRUNKS, lambda row: TrunkView.of(Trunk.from_row(row)), COLUMNS, **filters)
    return Exit.DONE


def _add(session: Session) -> Exit:
    names = ("name", "host", "kind", "port", "transport", "priority", "keepalive", "fqdn")
    fields = given(session.options, *names, "project")
    if "project" in fields:
        fields["project_id"] = fields.pop("project")
    new = TrunkBody.model_validate(fields).new()
    with session.transaction() as connection:
        trunk = trunks.create(connection, session.actor, new)
    session.output.one(TrunkView.of(trunk))
    return Exit.DONE


def _remove(session: Session) -> Exit:
    with session.transaction() as connection:
        trunks.delete(connection, session.actor, session.options.id)
    session.output.say("The trunk is removed.")
    return Exit.DONE
