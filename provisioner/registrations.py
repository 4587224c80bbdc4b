"""Reads an account's bindings from the nodes, which alone know them as they are now."""

from dataclasses import dataclass

from provisioner import sync_store
from provisioner.db import Connection
from provisioner.errors import NodeUnavailable, RpcFailed
from provisioner.kamailio import Binding, KamailioNode
from provisioner.model import Account


@dataclass(frozen=True)
class Registrations:
    """Bindings with the name of the node that holds them, and the nodes that did not answer."""

    bindings: list[tuple[str, Binding]]
    unavailable_nodes: list[str]


def aor_of(username: str, realm: str) -> str:
    """Return the AOR of a username as Kamailio's usrloc writes it (`user@domain`)."""
    return f"{username}@{realm}"


def read(connection: Connection, account: Account, rpc_token: str) -> Registrations:
    """Ask every node for an account's bindings."""
    nodes = sync_store.nodes(connection)
    found = Registrations([], [])
    for node in nodes:
        kamailio = KamailioNode(node.rpc_url, rpc_token)
        try:
            bindings = kamailio.bindings(aor_of(account.username, account.realm))
            found.bindings.extend((node.name, binding) for binding in bindings)
        except (NodeUnavailable, RpcFailed):
            found.unavailable_nodes.append(node.name)
        finally:
            kamailio.close()
    return found
