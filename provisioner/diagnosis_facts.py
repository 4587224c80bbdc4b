"""Gathers what a diagnosis needs, from the database and from every node."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from provisioner import guard_store, registrations, rotation, store, sync_store
from provisioner.attempt import Attempt
from provisioner.ban import Ban, source_of
from provisioner.call_diagnosis import CallFacts
from provisioner.db import Connection
from provisioner.diagnosis import Facts, Registered
from provisioner.kamailio import TIMEOUT, Binding, KamailioNode, shown
from provisioner.model import Account


def read(
    connection: Connection, account: Account, rpc_token: str, *, timeout: float = TIMEOUT
) -> Facts:
    """Return what is known of an account now; a node has `timeout` seconds for each command."""

    def question(kamailio: KamailioNode) -> tuple[list[Binding], list[Attempt], list[Ban]]:
        bindings = kamailio.bindings(registrations.aor_of(account.username, account.realm))
        attempts = kamailio.attempts(account.username)
        addresses = [one.source for one in attempts] + [one.source_address for one in bindings]
        return bindings, attempts, kamailio.bans_of(_sources(addresses), account.username)

    change = rotation.scheduled(connection, account.id)
    nodes = sync_store.nodes(connection)
    answers, unavailable = registrations.ask(nodes, rpc_token, question, timeout=timeout)
    return Facts(
        state=account.state,
        sources=account.sources,
        credentials_since=account.rotated_at,
        changes_at=change.due_at if change else None,
        cloudfire=sync_store.cloudfire_cidrs(connection),
        attempts=_latest(one for _, (_, attempts, _) in answers for one in attempts),
        bans=_in_force(one for _, (_, _, bans) in answers for one in bans),
        guessing=guard_store.guessing(connection, account.id),
        registered=[
            Registered(shown(one.user_agent), one.source, name)
            for name, one in registrations.each_once(
                (name, one) for name, (bindings, _, _) in answers for one in bindings
            )
        ],
        unavailable_nodes=unavailable,
        pending_nodes=_pending(connection, account),
    )


def read_calls(connection: Connection, account: Account) -> CallFacts:
    """Return what is known of an account's calls now."""
    return CallFacts(
        state=account.state,
        has_credentials=account.has_credentials,
        channels_used=account.channels_used,
        voice_channels=account.voice_channels,
        spend_left=guard_store.spend_left(connection, account.project_id),
        refusals=guard_store.refusals(connection, account.id),
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


def _sources(addresses: Iterable[str]) -> set[str]:
    """Return what may be banned of addresses; a contact may name a host, which is not."""
    sources = set()
    for address in addresses:
        with suppress(ValueError):
            sources.add(source_of(address))
    return sources


def _in_force(bans: Iterable[Ban]) -> list[Ban]:
    """Pick what still holds; nodes that share bans show each of them."""
    now = datetime.now(UTC)
    return [ban for ban in dict.fromkeys(bans) if ban.until > now]
