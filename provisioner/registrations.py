"""Reads an account's bindings from the nodes, which alone know them as they are now."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from provisioner import sync_store
from provisioner.db import Connection
from provisioner.errors import NodeUnavailable, RpcFailed
from provisioner.kamailio import Binding, KamailioNode
from provisioner.model import Account, Node

T = TypeVar("T")


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
    aor = aor_of(account.username, account.realm)
    answers, unavailable = ask(nodes, rpc_token, lambda kamailio: kamailio.bindings(aor))
    return Registrations([(name, one) for name, found in answers for one in found], unavailable)


def ask(
    nodes: Sequence[Node], rpc_token: str, question: Callable[[KamailioNode], T]
) -> tuple[list[tuple[str, T]], list[str]]:
    """Ask nodes something; return each one's name and answer, and the names of those without."""
    answers, unavailable = [], []
    for node in nodes:
        kamailio = KamailioNode(node.rpc_url, rpc_token)
        try:
            answers.append((node.name, question(kamailio)))
        except (NodeUnavailable, RpcFailed):
            unavailable.append(node.name)
        finally:
            kamailio.close()
    return answers, unavailable
