"""The operations on call transfer: where an account's calls go when it does not take them."""

from collections.abc import Collection
from dataclasses import dataclass

from provisioner import accounts, journal, loops, store
from provisioner.access import Actor
from provisioner.calling import CallTransfer, Condition, is_emergency
from provisioner.db import Connection
from provisioner.errors import InvalidInput, TransferContradictory, TransferLoop
from provisioner.journal import Change
from provisioner.model import Account, is_e164


@dataclass(frozen=True)
class Country:
    """Where the service runs: its country code, and the emergency numbers as they are dialled."""

    code: str
    emergency_numbers: frozenset[str]


def read(connection: Connection, actor: Actor, account_id: int) -> CallTransfer:
    """Return an account's transfers.

    Raises:
        NotFound: there is no such account.
    """
    accounts.read(connection, actor, account_id)
    return store.call_transfer(connection, account_id)


def replace(
    connection: Connection,
    actor: Actor,
    account_id: int,
    transfer: CallTransfer,
    country: Country,
) -> CallTransfer:
    """Set all of an account's transfers.

    A target may be set while its transfer is off. It follows the same rules then, but may be part
    of a loop that is not closed.

    Raises:
        NotFound: there is no such account.
        TransferContradictory: as it says.
        InvalidInput: a target is missing, not in E.164 format, an emergency number, or one of the
            account's own numbers.
        TransferLoop: an enabled transfer's target leads back to the account.
    """
    if transfer.contradictory:
        raise TransferContradictory()
    account = accounts.locked(connection, actor, account_id)
    own = [number.number for number in store.linked_numbers(connection, account_id)]
    _check_targets(transfer, country, own)
    closing = loops.closing(connection, account, transfer)
    if closing is not None:
        raise TransferLoop(_field(closing))
    before = store.call_transfer(connection, account_id)
    if transfer != before:
        store.save_call_transfer(connection, account_id, transfer)
        accounts.touch(connection, account)
        _record(connection, actor, account, before, transfer)
    return transfer


def _check_targets(transfer: CallTransfer, country: Country, own: Collection[str]) -> None:
    for condition, one in transfer:
        if one.target is not None:
            _check_target(condition, one.target, country, own)
        elif one.enabled:
            raise InvalidInput(_field(condition), "must be given where the transfer is on")


def _check_target(
    condition: Condition, target: str, country: Country, own: Collection[str]
) -> None:
    if is_emergency(target, country.code, country.emergency_numbers):
        raise InvalidInput(_field(condition), "must not be an emergency number")
    if not is_e164(target):
        rule = "must be in E.164 format: + and 7 to 15 digits, like +390612345678"
        raise InvalidInput(_field(condition), rule)
    if target in own:
        raise InvalidInput(_field(condition), "must not be one of the account's own numbers")


def _field(condition: Condition) -> str:
    return f"{condition}/target"


def _record(
    connection: Connection,
    actor: Actor,
    account: Account,
    before: CallTransfer,
    after: CallTransfer,
) -> None:
    change = Change(
        type="call_transfer.updated",
        subject="account",
        subject_id=account.id,
        before=before,
        after=after,
        customer_id=account.customer_id,
        project_id=account.project_id,
    )
    journal.record(connection, actor, change)
