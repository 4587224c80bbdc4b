"""The operations on Kamailio nodes: join, drain, resume, forget. The worker makes them true."""

from provisioner import journal, sync_store
from provisioner.access import Actor
from provisioner.db import Connection
from provisioner.errors import NodeExists, NotFound
from provisioner.journal import Change
from provisioner.model import Node


def read(connection: Connection, name: str) -> Node:
    """Return a node as its worker last saw it.

    Raises:
        NotFound: there is no such node.
    """
    found = sync_store.node(connection, name)
    if found is None:
        raise NotFound("There is no such node.")
    return found


def add(connection: Connection, actor: Actor, name: str, rpc_url: str) -> Node:
    """Make a node known, for which every change waits from now on; nothing changes where it is.

    Raises:
        NodeExists: there is a node of this name elsewhere, or another one there.
    """
    added = sync_store.insert_node(connection, name, rpc_url)
    node = sync_store.node(connection, name)
    if node is None or node.rpc_url != rpc_url:
        raise NodeExists(field="rpc_url" if node is None else "name")
    if added:
        _record(connection, actor, "node.added", name, {"rpc_url": rpc_url})
    return node


def set_draining(connection: Connection, actor: Actor, name: str, *, draining: bool) -> Node:
    """Have a node take nothing new, or take it again; nothing changes where that is wanted already.

    Raises:
        NotFound: there is no such node.
    """
    if sync_store.drain_node(connection, name, draining=draining):
        kind = "node.draining" if draining else "node.resumed"
        _record(connection, actor, kind, name, {"draining": draining})
    return read(connection, name)


def forget(connection: Connection, actor: Actor, name: str) -> None:
    """Stop waiting for a node that is gone.

    Raises:
        NotFound: there is no such node.
    """
    if not sync_store.delete_node(connection, name):
        raise NotFound("There is no such node.")
    _record(connection, actor, "node.forgotten", name, None)


def _record(
    connection: Connection, actor: Actor, kind: str, name: str, after: dict[str, object] | None
) -> None:
    change = Change(type=kind, subject="node", subject_id=name, after=after)
    journal.record(connection, actor, change)
