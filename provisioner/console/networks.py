"""`/console/networks`: the allowlists that accounts share."""

from flask import Response, flash, get_template_attribute, make_response, redirect, render_template
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import networks, store
from provisioner.access import Permission
from provisioner.api.bodies import NetworkBody
from provisioner.console import conflicts
from provisioner.console.forms import Form
from provisioner.console.visits import Pages, Visit
from provisioner.model import Network

pages = Pages("networks", "/networks")

LIST = "/console/networks"


@pages.get("", Permission.NETWORKS_READ)
def show_networks(visit: Visit) -> str:
    """List the networks."""
    return render_template("networks/list.html", networks=store.networks(visit.connection))


@pages.live("/live", Permission.NETWORKS_READ)
def live_networks(visit: Visit) -> dict[str, str]:
    """Show on how many nodes each network is in force."""
    converged = get_template_attribute("macros.html", "converged")
    found = store.networks(visit.connection)
    return {f"nodes-{one.name}": str(converged(one.convergence)) for one in found}


@pages.get("/<name>", Permission.NETWORKS_MANAGE)
def ask_network(visit: Visit, name: str) -> str:
    """Ask what a network shall consist of."""
    network = networks.read(visit.connection, name)
    return _edit(visit, network, Form({"cidrs": _text(network)}))


@pages.post("/<name>", Permission.NETWORKS_MANAGE)
def change_network(visit: Visit, name: str) -> Response | AnyResponse:
    """Make a network consist of what is given."""
    store.lock_networks(visit.connection)
    network = networks.read(visit.connection, name)
    form = Form()
    labels = {"cidrs": gettext("Networks")}
    differences = conflicts.found(form, {"cidrs": _text(network)}, labels)
    if differences:
        return make_response(_edit(visit, network, form, differences), 409)
    with form.attempt(visit.connection):
        body = form.read(NetworkBody, {"cidrs": form.lines("cidrs")})
        networks.replace(visit.connection, visit.actor, name, body.cidrs)
        flash(gettext("Saved."), "success")
        return redirect(LIST)
    return make_response(_edit(visit, network, form), 422)


def _text(network: Network) -> str:
    return " ".join(network.cidrs)


def _edit(
    visit: Visit,
    network: Network,
    form: Form,
    differences: list[conflicts.Difference] | None = None,
) -> str:
    changer = conflicts.last_changed(visit, "network", network.name) if differences else None
    return render_template(
        "networks/edit.html",
        network=network,
        form=form,
        was=_text(network),
        differences=differences,
        changer=changer,
    )
