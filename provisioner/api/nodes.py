"""`/nodes`: the Kamailio nodes and whether they obey."""

from provisioner import sync_store
from provisioner.access import Permission
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.view import Page
from provisioner.api.views import NodeView

resource = Resource("Nodes", "/nodes")


@resource.get("", Permission.NODES_READ)
def list_nodes(call: Call) -> Page[NodeView]:
    """List the Kamailio nodes."""
    found = sync_store.nodes(call.connection)
    return Page[NodeView](items=[NodeView.of(node) for node in found], next=None)
