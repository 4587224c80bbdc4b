"""`/nodes`: the Kamailio nodes, whether they obey, and which are being emptied."""

from collections.abc import Callable

from provisioner import nodes, sync_store
from provisioner.access import Permission
from provisioner.api import waiting
from provisioner.api.bodies import NodeBody
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.view import Page
from provisioner.api.views import NodeView
from provisioner.db import Connection
from provisioner.errors import NodeExists
from provisioner.model import Node

resource = Resource("Nodes", "/nodes")

ONE = "/<node_name>"


def _settle(call: Call, node: Node, reached: Callable[[Node], bool]) -> NodeView:
    """Wait, as the client prefers, until the worker has seen the node where it shall be."""

    def pending(connection: Connection) -> int:
        now = sync_store.node(connection, node.name)
        return int(now is not None and not reached(now))

    waiting.settle(
        call,
        reached(node),
        pending,
        lambda connection: NodeView.of(nodes.read(connection, node.name)),
    )
    return NodeView.of(node)


@resource.get("", Permission.NODES_READ)
def list_nodes(call: Call) -> Page[NodeView]:
    """List the Kamailio nodes."""
    found = sync_store.nodes(call.connection)
    return Page[NodeView](items=[NodeView.of(node) for node in found], next=None)


@resource.get(ONE, Permission.NODES_READ)
def read_node(call: Call, node_name: str) -> NodeView:
    """Show one node."""
    return NodeView.of(nodes.read(call.connection, node_name))


@resource.post("", Permission.NODES_MANAGE, status=201, errors=[NodeExists])
def add_node(call: Call, body: NodeBody) -> NodeView:
    """Have a node join; from now on every change waits for it, too.

    `Prefer: wait` waits until it has converged. To add it again changes nothing.
    """
    node = nodes.add(call.connection, call.actor, body.name, body.rpc_url)
    call.created(f"/nodes/{node.name}")
    return _settle(call, node, lambda now: now.converged)


@resource.post(f"{ONE}/drain", Permission.NODES_MANAGE)
def drain_node(call: Call, node_name: str) -> NodeView:
    """Have a node take nothing new; its calls go on.

    `Prefer: wait` waits until the last of them has ended.
    """
    node = nodes.set_draining(call.connection, call.actor, node_name, draining=True)
    return _settle(call, node, lambda now: now.drained)


@resource.post(f"{ONE}/resume", Permission.NODES_MANAGE)
def resume_node(call: Call, node_name: str) -> NodeView:
    """Have a node that drains take registrations and calls again."""
    node = nodes.set_draining(call.connection, call.actor, node_name, draining=False)
    return NodeView.of(node)


@resource.delete(ONE, Permission.NODES_MANAGE)
def forget_node(call: Call, node_name: str) -> None:
    """Stop waiting for a node that is gone."""
    nodes.forget(call.connection, call.actor, node_name)
