"""`/networks`: allowlists that accounts share."""

from provisioner import networks, store
from provisioner.access import Permission
from provisioner.api import waiting
from provisioner.api.bodies import NetworkBody
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.view import Page
from provisioner.api.views import NetworkView

resource = Resource("Networks", "/networks")


def _current(call: Call, name: str) -> NetworkView:
    store.lock_networks(call.connection)
    return NetworkView.of(networks.read(call.connection, name))


@resource.get("", Permission.NETWORKS_READ)
def list_networks(call: Call) -> Page[NetworkView]:
    """List the networks that accounts share."""
    found = store.networks(call.connection)
    return Page[NetworkView](items=[NetworkView.of(network) for network in found], next=None)


@resource.get("/<name>", Permission.NETWORKS_READ)
def read_network(call: Call, name: str) -> NetworkView:
    """Show a network: `cloudfire`, or `carriers`."""
    return NetworkView.of(networks.read(call.connection, name))


@resource.put("/<name>", Permission.NETWORKS_MANAGE, guard=_current)
def replace_network(call: Call, body: NetworkBody, name: str) -> NetworkView:
    """Make a network consist of the CIDRs given.

    Nodes load it again and drop the bindings that it shuts out.
    """
    network = networks.replace(call.connection, call.actor, name, body.cidrs)
    waiting.settle(
        call,
        network.convergence.converged,
        store.unconfirmed_reloads,
        lambda connection: NetworkView.of(networks.read(connection, name)),
    )
    return NetworkView.of(network)
