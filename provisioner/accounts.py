"""The operations on SIP accounts: each decides, then writes, in the caller's one transaction.

What a transaction has committed, the next REGISTER obeys, because Kamailio reads the projection
that it wrote. A change that takes something away also leaves a row of work for every node, so
that bindings which are no longer allowed go at once. Every change is told to the journal.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provisioner import credentials, journal, loops, numbers, store
from provisioner.access import Actor
from provisioner.credentials import Secret
from provisioner.db import Connection
from provisioner.errors import (
    DeletionRefused,
    MainNumberPermanent,
    NotFound,
    TransferLoop,
    UsernameTaken,
)
from provisioner.journal import Change
from provisioner.model import Account, AccountState, NewAccount, Number, username_of

_STATE_CHANGES = {
    AccountState.ENABLED: "account.enabled",
    AccountState.DISABLED: "account.disabled",
    AccountState.LINKED_TO_TEAMS: "account.teams_linked",
}


def new_secret(connection: Connection, main_number: str) -> Secret:
    """Make the secret of an account that will have this main number."""
    return credentials.new_secret(username_of(main_number), store.realm(connection))


def create(
    connection: Connection, actor: Actor, new: NewAccount, secret: Secret | None = None
) -> Account:
    """Create a disabled account on a choosable number; without a secret it cannot register.

    Raises:
        InvalidInput: there is no such project.
        NameTaken, NumberTaken, NumberNotActive, NumberUnknown, ExternalIdTaken, UsernameTaken: as
            they say.
    """
    account, heard = store.create_account(connection, actor, new, secret)
    if heard:
        journal.tell(connection, _told("account.created", None, account))
    return account


def read(connection: Connection, actor: Actor, account_id: int) -> Account:
    """Return an account that the actor sees.

    Raises:
        NotFound: there is no such account.
    """
    account = store.account(connection, actor, account_id)
    if account is None:
        raise NotFound("There is no such account.")
    return account


def locked(connection: Connection, actor: Actor, account_id: int) -> Account:
    """Return an account, and wait for all other changes of it.

    Raises:
        NotFound: there is no such account.
    """
    store.lock_account(connection, actor, account_id)
    return read(connection, actor, account_id)


def configure(
    connection: Connection, actor: Actor, account_id: int, changes: Mapping[str, Any]
) -> Account:
    """Change an account's name, voice channels, tariff, networks or external id.

    Raises:
        NotFound, NameTaken, ExternalIdTaken: as they say.
    """
    before = locked(connection, actor, account_id)
    after = _change(connection, before, changes)
    if after.tariff is not before.tariff:
        store.insert_tariff(connection, actor, account_id, after.tariff)
    if after is not before:
        after = read(connection, actor, account_id)
        _record(connection, actor, "account.updated", before, after)
    return after


def set_state(
    connection: Connection, actor: Actor, account_id: int, state: AccountState
) -> Account:
    """Enable, disable or link an account to Teams; repeating it changes nothing.

    Raises:
        NotFound: there is no such account.
    """
    before = locked(connection, actor, account_id)
    after = _change(connection, before, {"state": state})
    if after is not before:
        after = read(connection, actor, account_id)
        _record(connection, actor, _STATE_CHANGES[state], before, after)
    return after


def rotate_credentials(
    connection: Connection, actor: Actor, account_id: int
) -> tuple[Account, Secret]:
    """Replace the password at once; bindings made with the former one go.

    Raises:
        NotFound: there is no such account.
        UsernameTaken: an account that had no password cannot get one, as it says.
    """
    before = locked(connection, actor, account_id)
    secret = new_secret(connection, before.main_number)
    store.save_credentials(connection, account_id, secret)
    touch(connection, before)
    if before.has_credentials:
        store.kick(connection, before.username, drop_all=True)
    account = read(connection, actor, account_id)
    _record(connection, actor, "credentials.rotated", None, account, facts=False)
    return account, secret


def drop_registrations(connection: Connection, actor: Actor, account_id: int) -> Account:
    """Drop all of an account's bindings, which leaves its configuration as it is.

    Raises:
        NotFound: there is no such account.
    """
    account = locked(connection, actor, account_id)
    store.kick(connection, account.username, drop_all=True)
    _record(connection, actor, "registrations.dropped", None, account, facts=False)
    return account


def delete(connection: Connection, actor: Actor, account_id: int) -> Account:
    """Erase an account and free its main number; returns what it was.

    Call records, tariffs and the audit trail keep its id.

    Raises:
        NotFound: there is no such account.
        DeletionRefused: with all that is in the way.
    """
    account = locked(connection, actor, account_id)
    reasons = deletion_reasons(
        account,
        store.additional_numbers(connection, account_id),
        [rule.id for rule in store.caller_id_rules(connection, account_id)],
    )
    if reasons:
        raise DeletionRefused(reasons)
    store.kick(connection, account.username, drop_all=True)
    store.erase_subscriber(connection, account_id)
    store.free_number(connection, account_id, account.main_number)
    store.delete_account(connection, account_id)
    _record(connection, actor, "account.deleted", account, None)
    return account


def deletion_reasons(
    account: Account, additional_numbers: list[str], rules: list[int]
) -> list[dict[str, Any]]:
    """Say all that forbids deleting an account; nothing where it may be deleted."""
    found = [
        (
            "account_not_disabled",
            "Disable the account first.",
            [account.state] if account.state is not AccountState.DISABLED else [],
        ),
        ("numbers_linked", "Unlink the additional numbers first.", additional_numbers),
        ("caller_id_rules", "Remove the caller ID rules first.", rules),
    ]
    return [
        {"code": code, "detail": detail, "items": items} for code, detail, items in found if items
    ]


def takes_away(before: Account, after: Account) -> bool:
    """Say whether a change may leave bindings that are no longer allowed."""
    if not before.state.may_register:
        return False
    disabled = not after.state.may_register
    return disabled or not after.sources.cover(before.sources)


def link_number(connection: Connection, actor: Actor, account_id: int, number: str) -> Number:
    """Link an additional number to an account; one that is linked to it stays so.

    Raises:
        NotFound: there is no such account or number.
        NumberTaken, NumberNotActive: as they say.
        NumberUnknown: it is a number of another project.
        TransferLoop: the account's calls are transferred to this number.
    """
    account = locked(connection, actor, account_id)
    before = numbers.locked(connection, actor, number)
    if before.account_id == account_id:
        return before
    numbers.take(connection, account.project_id, number, account_id)
    if loops.closing(connection, account, store.call_transfer(connection, account_id)):
        raise TransferLoop("number")
    touch(connection, account)
    after = numbers.read(connection, actor, number)
    numbers.record(connection, actor, "number.linked", before, after)
    return after


def unlink_number(connection: Connection, actor: Actor, account_id: int, number: str) -> None:
    """Unlink an additional number, which is choosable again at once.

    Raises:
        NotFound: there is no such account, or the number is not linked to it.
        MainNumberPermanent: it is the account's main number.
        NumberInCallerIdRule: a rule of the account presents it.
    """
    account = locked(connection, actor, account_id)
    if number == account.main_number:
        raise MainNumberPermanent()
    before = numbers.locked(connection, actor, number)
    if before.account_id != account_id:
        raise NotFound("The number is not linked to this account.")
    store.free_number(connection, account_id, number)
    touch(connection, account)
    after = numbers.read(connection, actor, number)
    numbers.record(connection, actor, "number.unlinked", before, after)


def touch(connection: Connection, account: Account) -> None:
    """Make what belongs to an account a new generation of it, and project it."""
    store.update_account(connection, account)
    _project(connection, account.id)


def _change(connection: Connection, before: Account, changes: Mapping[str, Any]) -> Account:
    after = replace(before, **changes)
    if after == before:
        return before
    touch(connection, after)
    if takes_away(before, after):
        drop_all = not after.state.may_register
        store.kick(connection, after.username, drop_all=drop_all)
    return after


def _project(connection: Connection, account_id: int) -> None:
    """Copy the account's desired row to Kamailio; one without credentials has none."""
    store.erase_unwanted_subscriber(connection, account_id)
    projected = store.project_subscriber(connection, account_id)
    if not projected and store.has_credentials(connection, account_id):
        raise UsernameTaken()


def _record(
    connection: Connection,
    actor: Actor,
    kind: str,
    before: Account | None,
    after: Account | None,
    *,
    facts: bool = True,
) -> None:
    journal.record(connection, actor, _told(kind, before, after, facts=facts))


def _told(
    kind: str, before: Account | None, after: Account | None, *, facts: bool = True
) -> Change:
    about = after or before
    assert about is not None  # noqa: S101 - one of the two is given
    return Change(
        type=kind,
        subject="account",
        subject_id=about.id,
        before=before if facts else None,
        after=after if facts else None,
        customer_id=about.customer_id,
        project_id=about.project_id,
        version=about.convergence.generation,
    )
