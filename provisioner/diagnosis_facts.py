"""Gathers what a diagnosis needs, from the database and from every node."""

from collections.abc import Iterable

from provisioner import registrations, rotation, store, sync_store
from provisioner.attempt import Attempt
from provisioner.db import Connection
from provisioner.diagnosis import Facts, Registered
from provisioner.kamailio import Binding, KamailioNode, shown
from provisioner.model import Account


def read(connection: Connection, account: Account, rpc_token: str) -> Facts:
    """Return what is known of an account now."""

    def question(kamailio: KamailioNode) -> tuple[list[Binding], list[Attempt]]:
        aor = registrations.aor_of(account.username, account.realm)
        return kamailio.bindings(aor), kamailio.attempts(account.username)

    change = rotation.scheduled(connection, account.id)
    nodes = sync_store.nodes(connection)
    answers, unavailable = registrations.ask(nodes, rpc_token, question)
    return Facts(
        state=account.state,
        sources=account.sources,
        credentials_since=account.rotated_at,
        changes_at=change.due_at if change else None,
        cloudfire=sync_store.cloudfire_cidrs(connection),
        attempts=_latest(one for _, (_, attempts) in answers for one in attempts),
        registered=[
            Registered(shown(one.user_agent), one.source, name)
            for name, (bindings, _) in answers
            for one in bindings
        ],
        unavailable_nodes=unavailable,
        pending_nodes=_pending(connection, account),
    )


def _pending(connection: Connection, account: Account) -> list[str]:
    """Name the nodes that have yet to confirm the account, or the networks that it depends on."""
    pending = set(account.convergence.pending_nodes)
    network = store.network(connection, "cloudfire") if account.sources.cloudfire else None
    if network is not None:
        pending |= set(network.convergence.pending_nodes)
    return sorted(pending)


def _latest(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Pick the latest attempt with the right password and the latest without, of all nodes."""
    latest: dict[bool, Attempt] = {}
    for attempt in sorted(attempts, key=lambda attempt: attempt.at):
        latest[attempt.knew_the_password] = attempt
    return list(latest.values())
