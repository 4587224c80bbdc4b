"""The operations on networks that accounts share."""

from collections.abc import Sequence

from provisioner import journal, store
from provisioner.access import Actor
from provisioner.db import Connection
from provisioner.errors import NotFound
from provisioner.journal import Change
from provisioner.model import Network


def read(connection: Connection, name: str) -> Network:
    """Return a network.

    Raises:
        NotFound: there is no network of that name.
    """
    network = store.network(connection, name) if name.isprintable() else None
    if network is None:
        raise NotFound("There is no such network.")
    return network


def replace(connection: Connection, actor: Actor, name: str, cidrs: Sequence[str]) -> Network:
    """Make a network consist of `cidrs`; every node loads it again and drops what it shuts out.

    Raises:
        NotFound: there is no network of that name.
    """
    store.lock_networks(connection)
    before = read(connection, name)
    if not store.replace_cidrs(connection, name, cidrs):
        return before
    store.project_addresses(connection)
    store.reload_allowlists(connection)
    after = read(connection, name)
    change = Change(
        type="network.updated",
        subject="network",
        subject_id=name,
        before={"cidrs": before.cidrs},
        after={"cidrs": after.cidrs},
        version=after.convergence.generation,
    )
    journal.record(connection, actor, change)
    return after
