"""An account's bindings, as the nodes know them, which alone know them as they are now."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from provisioner import journal, sync_store
from provisioner.access import Actor
from provisioner.db import Connection
from provisioner.errors import NodeUnavailable, NotFound, RpcFailed
from provisioner.journal import Change
from provisioner.kamailio import TIMEOUT, Binding, KamailioNode, shown
from provisioner.model import Account, Node
from provisioner.sentences import Sentence

T = TypeVar("T")

PATIENCE = 1.0  # seconds that somebody who looks at a page waits for a node


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
    return Registrations(
        each_once((name, one) for name, found in answers for one in found), unavailable
    )


def each_once(bindings: Iterable[tuple[str, Binding]]) -> list[tuple[str, Binding]]:
    """Keep one of each binding of an account, where there is a choice that of the node at which the
    device has registered: nodes that share bindings all show all of them. Where a device has
    registered with two at once, they know it by two ids; an account has each contact once.
    """
    kept: dict[str, tuple[str, Binding]] = {}
    for name, binding in bindings:
        if binding.contact not in kept or (binding.local and not kept[binding.contact][1].local):
            kept[binding.contact] = (name, binding)
    return list(kept.values())


def of_all(
    connection: Connection, accounts: Sequence[Account], rpc_token: str
) -> tuple[dict[int, list[tuple[str, Binding]]], list[str]]:
    """Ask every node for the bindings of several accounts; return them by account id, and the names
    of the nodes that did not answer. One that the worker finds away is not waited for.
    """
    aors = {one.id: aor_of(one.username, one.realm) for one in accounts}

    def question(kamailio: KamailioNode) -> dict[int, list[Binding]]:
        return {account_id: kamailio.bindings(aor) for account_id, aor in aors.items()}

    nodes = sync_store.nodes(connection)
    away = [node.name for node in nodes if node.state == "away"]
    present = [node for node in nodes if node.state != "away"]
    answers, unavailable = ask(present, rpc_token, question, timeout=PATIENCE)
    found: dict[int, list[tuple[str, Binding]]] = {}
    for name, by_account in answers:
        for account_id, bindings in by_account.items():
            found.setdefault(account_id, []).extend((name, one) for one in bindings)
    once = {account_id: each_once(bindings) for account_id, bindings in found.items()}
    return once, away + unavailable


def drop(
    connection: Connection, actor: Actor, account: Account, binding_id: str, rpc_token: str
) -> None:
    """Drop one binding on every node that holds it; the device may register again.

    Raises:
        NotFound: no node has such a binding of the account.
        NodeUnavailable: a node did not answer, and no other has it.
    """
    aor = aor_of(account.username, account.realm)
    nodes = sync_store.nodes(connection)
    answers, unavailable = ask(nodes, rpc_token, lambda kamailio: kamailio.bindings(aor))
    known = [(name, one) for name, found in answers for one in found]
    contacts = {one.contact for _, one in known if one.ruid == binding_id}
    dropped = [(name, one) for name, one in known if one.contact in contacts]
    if not dropped and not unavailable:
        raise NotFound("The account has no such registration.")

    def drop_there(kamailio: KamailioNode) -> None:
        for contact in contacts:
            kamailio.drop_binding(aor, contact)

    names = {name for name, _ in dropped}
    _, refusing = ask([one for one in nodes if one.name in names], rpc_token, drop_there)
    if refusing or not dropped:
        away = (refusing or unavailable)[0]
        raise NodeUnavailable(
            Sentence("Nodes that may have it do not answer: %(nodes)s.", nodes=away)
        )
    # Its row would bring it back when the node restarts.
    for _, binding in dropped:
        sync_store.erase_binding(connection, binding.ruid)
    for name, binding in each_once(dropped):
        _record(connection, actor, account, name, binding)


def _record(
    connection: Connection, actor: Actor, account: Account, node: str, binding: Binding
) -> None:
    contact, agent = shown(binding.contact), shown(binding.user_agent)
    facts = {"node": node, "contact": contact, "source": binding.source, "user_agent": agent}
    change = Change(
        type="registrations.dropped",
        subject="account",
        subject_id=account.id,
        before=facts,
        customer_id=account.customer_id,
        project_id=account.project_id,
        version=account.convergence.generation,
    )
    journal.record(connection, actor, change)


def ask(
    nodes: Sequence[Node],
    rpc_token: str,
    question: Callable[[KamailioNode], T],
    *,
    timeout: float = TIMEOUT,
) -> tuple[list[tuple[str, T]], list[str]]:
    """Ask nodes something; return each one's name and answer, and the names of those without.

    A node has `timeout` seconds for each command.
    """
    answers, unavailable = [], []
    for node in nodes:
        kamailio = KamailioNode(node.rpc_url, rpc_token, timeout=timeout)
        try:
            answers.append((node.name, question(kamailio)))
        except (NodeUnavailable, RpcFailed):
            unavailable.append(node.name)
        finally:
            kamailio.close()
    return answers, unavailable
