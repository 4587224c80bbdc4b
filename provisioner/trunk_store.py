"""Trunks: one function a query, as in `store`."""

from dataclasses import asdict

from psycopg.rows import DictRow

from provisioner.db import Connection, one, rows, run
from provisioner.model import NewTrunk, Trunk
from provisioner.queries import TRUNKS


def trunk(connection: Connection, trunk_id: int, *, lock: bool = False) -> Trunk | None:
    """Find a trunk; with `lock` after all other changes of it."""
    row = one(connection, TRUNKS["trunk_lock"] if lock else TRUNKS["trunk"], id=trunk_id)
    return Trunk.from_row(row) if row else None


def insert_trunk(connection: Connection, new: NewTrunk) -> Trunk:
    """Add a trunk. TrunkNameTaken where it collides."""
    return _written(one(connection, TRUNKS["trunk_insert"], **asdict(new)))


def update_trunk(connection: Connection, trunk: Trunk) -> Trunk:
    """Write what may change of a trunk. TrunkNameTaken where it collides."""
    return _written(one(connection, TRUNKS["trunk_update"], **asdict(trunk)))


def delete_trunk(connection: Connection, trunk_id: int) -> None:
    """Remove a trunk."""
    run(connection, TRUNKS["trunk_delete"], id=trunk_id)


def destinations(connection: Connection) -> list[DictRow]:
    """List what Kamailio's dispatcher loads: setid, destination, flags, priority, attrs."""
    return rows(connection, TRUNKS["destinations"])


def _written(row: DictRow | None) -> Trunk:
    assert row is not None  # noqa: S101 - RETURNING, and the caller has locked it
    return Trunk.from_row(row)
