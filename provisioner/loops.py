"""Whether an account's transfers lead back to it."""

from provisioner import store
from provisioner.calling import CallTransfer, Condition
from provisioner.db import Connection
from provisioner.model import Account


def closing(connection: Connection, account: Account, transfer: CallTransfer) -> Condition | None:
    """Return the transfer by which a call would come back to the account, if there is one.

    Other customers' transfers are not followed: whether they lead back is not for this customer to
    learn, and a call's own loop protection ends it. Holds a lock until the transaction ends, since
    two changes at once could close a loop that neither closes alone.
    """
    enabled = [(condition, one.target) for condition, one in transfer if one.enabled]
    if enabled:
        store.lock_transfers(connection, account.customer_id)
    for condition, target in enabled:
        if target and account.id in store.transfer_chain(connection, account, target):
            return condition
    return None
