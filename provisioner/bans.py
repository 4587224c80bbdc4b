"""Who is banned, as the nodes know it, each for itself; and how a ban is lifted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from provisioner import journal, registrations, sync_store
from provisioner.access import Actor
from provisioner.ban import Ban, source_of
from provisioner.db import Connection
from provisioner.errors import NodeUnavailable, NotFound
from provisioner.journal import Change
from provisioner.kamailio import TIMEOUT, KamailioNode
from provisioner.sentences import Sentence


@dataclass(frozen=True)
class Bans:
    """Bans with the name of the node that holds them, and the nodes that did not answer."""

    bans: list[tuple[str, Ban]]
    unavailable_nodes: list[str]


def read(connection: Connection, rpc_token: str, *, timeout: float = TIMEOUT) -> Bans:
    """Ask every node for its bans, the latest first; a node has `timeout` seconds."""
    nodes = sync_store.nodes(connection)
    answers, unavailable = registrations.ask(
        nodes, rpc_token, lambda kamailio: kamailio.bans(), timeout=timeout
    )
    return Bans(_in_force(answers), unavailable)


def lift(connection: Connection, actor: Actor, address: str, rpc_token: str) -> Bans:
    """Lift all bans of an address on every node; return them.

    Raises:
        NotFound: no node has a ban of the address.
        NodeUnavailable: a node did not answer, and no other has one.
    """
    try:
        source = source_of(address)
    except ValueError:
        raise NotFound("There is no such ban.") from None

    def lift_there(kamailio: KamailioNode) -> list[Ban]:
        found = [ban for ban in kamailio.bans() if ban.source == source]
        for ban in found:
            kamailio.lift_ban(ban)
        return found

    answers, unavailable = registrations.ask(sync_store.nodes(connection), rpc_token, lift_there)
    lifted = Bans(_in_force(answers), unavailable)
    if not lifted.bans and unavailable:
        raise NodeUnavailable(
            Sentence("Nodes that may have it do not answer: %(nodes)s.", nodes=unavailable[0])
        )
    if not lifted.bans:
        raise NotFound("There is no such ban.")
    _record(connection, actor, source, lifted)
    return lifted


def strangers(connection: Connection, rpc_token: str) -> list[Ban]:
    """List the sources that are banned as a whole and that nobody's device has registered from:
    those that a packet filter may drop without locking anybody out.

    Raises:
        NodeUnavailable: a node did not answer, which might know such a device.
    """
    found = read(connection, rpc_token)
    latest = {ban.source: ban for _, ban in reversed(found.bans) if ban.username is None}

    def homes(kamailio: KamailioNode) -> set[str]:
        return {ban.source for ban in latest.values() if kamailio.is_home(ban)}

    answers, unavailable = registrations.ask(sync_store.nodes(connection), rpc_token, homes)
    silent = found.unavailable_nodes + unavailable
    if silent:
        raise NodeUnavailable(
            Sentence("Nodes that may have it do not answer: %(nodes)s.", nodes=silent[0])
        )
    known = {source for _, sources in answers for source in sources}
    return [ban for source, ban in latest.items() if source not in known]


def _in_force(answers: Sequence[tuple[str, list[Ban]]]) -> list[tuple[str, Ban]]:
    """Leave out bans that have ended; a node forgets them a few seconds later."""
    now = datetime.now(UTC)
    found = [(name, ban) for name, bans in answers for ban in bans if ban.until > now]
    return sorted(found, key=lambda one: one[1].since, reverse=True)


def _record(connection: Connection, actor: Actor, source: str, lifted: Bans) -> None:
    facts = {
        "nodes": sorted({name for name, _ in lifted.bans}),
        "usernames": sorted({ban.username for _, ban in lifted.bans if ban.username}),
        "unavailable_nodes": lifted.unavailable_nodes,
    }
    change = Change(type="ban.lifted", subject="address", subject_id=source, before=facts)
    journal.record(connection, actor, change)
