"""`/console/nodes`: the Kamailio nodes, whether they obey, whom they refuse, what was repaired."""

from flask import flash, get_template_attribute, redirect, render_template
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import bans, nodes, sync_store
from provisioner.access import Permission
from provisioner.api.context import services
from provisioner.bans import Bans
from provisioner.console import messages
from provisioner.console.forms import Form
from provisioner.console.visits import Pages, Visit
from provisioner.errors import NodeUnavailable, NotFound
from provisioner.registrations import PATIENCE

pages = Pages("nodes", "/nodes")

LIST = "/console/nodes"
REPAIRS = 25  # that are shown, the latest
BANS = 100  # the same


@pages.get("", Permission.NODES_READ)
def show_nodes(visit: Visit) -> str:
    """Show every node as its worker last saw it."""
    return render_template("nodes/list.html", **_present(visit))


@pages.live("/live", Permission.NODES_READ)
def live_nodes(visit: Visit) -> dict[str, str]:
    """Show the nodes and repairs anew."""
    present = _present(visit)
    return {
        name: str(get_template_attribute("nodes/parts.html", name)(value))
        for name, value in present.items()
    }


@pages.post("/drain", Permission.NODES_MANAGE)
def drain_node(visit: Visit) -> AnyResponse:
    """Have a node take nothing new."""
    name = _set_draining(visit, draining=True)
    if name:
        text = gettext("%(name)s takes nothing new; its calls go on.", name=name)
        flash(text, "success")
    return redirect(LIST)


@pages.post("/resume", Permission.NODES_MANAGE)
def resume_node(visit: Visit) -> AnyResponse:
    """Have a node take registrations and calls again."""
    name = _set_draining(visit, draining=False)
    if name:
        text = gettext("%(name)s takes registrations and calls again.", name=name)
        flash(text, "success")
    return redirect(LIST)


def _set_draining(visit: Visit, *, draining: bool) -> str:
    """Return the node's name; empty where it was forgotten meanwhile, which is told."""
    try:
        name = Form()["name"]
        return nodes.set_draining(visit.connection, visit.actor, name, draining=draining).name
    except NotFound as error:
        flash(messages.of_error(error), "error")
        return ""


@pages.post("/lift", Permission.BANS_LIFT)
def lift_bans(visit: Visit) -> AnyResponse:
    """Lift an address's bans; one that is not there any more is no error."""
    address, rpc_token = Form()["address"], services().settings.rpc_token
    try:
        bans.lift(visit.connection, visit.actor, address, rpc_token)
        flash(gettext("The bans of %(address)s are lifted.", address=address), "success")
    except (NotFound, NodeUnavailable) as error:
        flash(messages.of_error(error), "error")
    return redirect(LIST)


def _present(visit: Visit) -> dict[str, object]:
    found = bans.read(visit.connection, services().settings.rpc_token, timeout=PATIENCE)
    return {
        "bans": Bans(found.bans[:BANS], found.unavailable_nodes),
        "nodes": sync_store.nodes(visit.connection),
        "repairs": sync_store.latest_repairs(visit.connection, REPAIRS),
    }
