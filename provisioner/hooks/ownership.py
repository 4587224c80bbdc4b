"""Whose a hook source or a webhook endpoint is."""

from provisioner import tenancy_store
from provisioner.access import Actor
from provisioner.db import Connection
from provisioner.errors import InvalidInput


def owner(connection: Connection, actor: Actor, customer_id: int | None) -> int | None:
    """Return the customer that is named, or else the actor's own; None for the operator.

    Raises:
        InvalidInput: there is no such customer that the actor sees.
    """
    if customer_id is None:
        return actor.customer_id
    if tenancy_store.customer(connection, actor, customer_id) is None:
        raise InvalidInput("customer_id", "must be a customer")
    return customer_id
