"""The operations on networks that accounts share."""

from collections.abc import Sequence

from provisioner import store
from provisioner.db import Connection, Database
from provisioner.errors import NotFound
from provisioner.model import Network


def read(database: Database, name: str) -> Network:
    """Return a network.

    Raises:
        NotFound: there is no network of that name.
    """
    with database.transaction() as connection:
        return _present(connection, name)


def replace(database: Database, name: str, cidrs: Sequence[str]) -> Network:
    """Make a network consist of `cidrs`; every node loads it again and drops what it shuts out.

    Raises:
        NotFound: there is no network of that name.
    """
    with database.transaction() as connection:
        _present(connection, name)
        if store.replace_cidrs(connection, name, cidrs):
            store.project_addresses(connection)
            store.reload_allowlists(connection)
        return _present(connection, name)


def _present(connection: Connection, name: str) -> Network:
    network = store.network(connection, name) if name.isprintable() else None
    if network is None:
        raise NotFound("There is no such network.")
    return network
