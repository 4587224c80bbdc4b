"""The operations on SIP accounts: each decides, then writes in one transaction.

What a transaction has committed, the next REGISTER obeys, because Kamailio reads the projection
that it wrote. A change that takes something away also leaves a row of work for every node, so
that bindings which are no longer allowed go at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from provisioner import numbers, store
from provisioner.credentials import Secret, new_secret
from provisioner.db import Connection, Database
from provisioner.errors import (
    DeletionRefused,
    MainNumberPermanent,
    NotFound,
    UsernameTaken,
)
from provisioner.model import Account, AccountState, Number, Tariff, username_of


@dataclass(frozen=True)
class NewAccount:
    """What a person chooses when an account is created."""

    name: str
    main_number: str
    voice_channels: int
    tariff: Tariff
    cloudfire_only: bool


def create(database: Database, project_id: int, new: NewAccount) -> tuple[Account, Secret]:
    """Create a disabled account on a choosable number; the secret is returned here only.

    Raises:
        NameTaken, NumberTaken, NumberNotActive, NumberUnknown, UsernameTaken: as they say.
    """
    with database.transaction() as connection:
        secret = new_secret(username_of(new.main_number), store.realm(connection))
        account_id = store.insert_account(
            connection,
            project_id=project_id,
            name=new.name,
            main_number=new.main_number,
            voice_channels=new.voice_channels,
            tariff=new.tariff,
            cloudfire_only=new.cloudfire_only,
        )
        numbers.take(connection, project_id, new.main_number, account_id, field="main_number")
        store.save_credentials(connection, account_id, secret)
        _project(connection, account_id)
        return _present(connection, project_id, account_id), secret


def configure(
    database: Database, project_id: int, account_id: int, changes: Mapping[str, Any]
) -> Account:
    """Change an account's name, voice channels, tariff or networks.

    Raises:
        NotFound, NameTaken: as they say.
    """
    return _change(database, project_id, account_id, **changes)


def set_state(database: Database, project_id: int, account_id: int, state: AccountState) -> Account:
    """Enable, disable or link an account to Teams; repeating it changes nothing.

    Raises:
        NotFound: there is no such account.
    """
    return _change(database, project_id, account_id, state=state)


def rotate_credentials(
    database: Database, project_id: int, account_id: int
) -> tuple[Account, Secret]:
    """Replace the password at once; bindings made with the former one go.

    Raises:
        NotFound: there is no such account.
    """
    with database.transaction() as connection:
        account = _locked(connection, project_id, account_id)
        secret = new_secret(account.username, store.realm(connection))
        store.save_credentials(connection, account_id, secret)
        store.update_account(connection, account)
        _project(connection, account_id)
        store.kick(connection, account.username, drop_all=True)
        return _present(connection, project_id, account_id), secret


def drop_registrations(database: Database, project_id: int, account_id: int) -> Account:
    """Drop all of an account's bindings, which leaves its configuration as it is.

    Raises:
        NotFound: there is no such account.
    """
    with database.transaction() as connection:
        account = _locked(connection, project_id, account_id)
        store.kick(connection, account.username, drop_all=True)
        return account


def delete(database: Database, project_id: int, account_id: int) -> Account:
    """Erase an account and free its main number; returns what it was.

    Raises:
        NotFound: there is no such account.
        DeletionRefused: with all that is in the way.
    """
    with database.transaction() as connection:
        account = _locked(connection, project_id, account_id)
        additional = store.additional_numbers(connection, account_id)
        reasons = deletion_reasons(account, additional)
        if reasons:
            raise DeletionRefused(reasons)
        store.kick(connection, account.username, drop_all=True)
        store.erase_subscriber(connection, account_id)
        store.free_number(connection, account_id, account.main_number)
        store.delete_account(connection, account_id)
        return account


def deletion_reasons(account: Account, additional_numbers: list[str]) -> list[dict[str, Any]]:
    """Say all that forbids deleting an account; nothing where it may be deleted."""
    reasons: list[dict[str, Any]] = []
    if account.state is not AccountState.DISABLED:
        reasons.append(
            {
                "code": "account_not_disabled",
                "detail": "Disable the account first.",
                "items": [account.state],
            }
        )
    if additional_numbers:
        reasons.append(
            {
                "code": "numbers_linked",
                "detail": "Unlink the additional numbers first.",
                "items": additional_numbers,
            }
        )
    return reasons


def takes_away(before: Account, after: Account) -> bool:
    """Say whether a change may leave bindings that are no longer allowed."""
    if not before.state.may_register:
        return False
    disabled = not after.state.may_register
    restricted = after.cloudfire_sources_only and not before.cloudfire_sources_only
    return disabled or restricted


def _change(database: Database, project_id: int, account_id: int, **changes: Any) -> Account:
    with database.transaction() as connection:
        before = _locked(connection, project_id, account_id)
        after = replace(before, **changes)
        if after == before:
            return before
        store.update_account(connection, after)
        _project(connection, account_id)
        if takes_away(before, after):
            drop_all = not after.state.may_register
            store.kick(connection, after.username, drop_all=drop_all)
        return _present(connection, project_id, account_id)


def _locked(connection: Connection, project_id: int, account_id: int) -> Account:
    if not store.lock_account(connection, project_id, account_id):
        raise NotFound("There is no such account.")
    return _present(connection, project_id, account_id)


def _present(connection: Connection, project_id: int, account_id: int) -> Account:
    account = store.account(connection, project_id, account_id)
    if account is None:
        raise NotFound("There is no such account.")
    return account


def link_number(database: Database, project_id: int, account_id: int, number: str) -> Number:
    """Link an additional number to an account; one that is linked to it stays so.

    Raises:
        NotFound: there is no such account or number.
        NumberTaken, NumberNotActive: as they say.
    """
    with database.transaction() as connection:
        account = _locked(connection, project_id, account_id)
        found = numbers.locked(connection, project_id, number)
        if found.account_id != account_id:
            numbers.take(connection, project_id, number, account_id)
            store.update_account(connection, account)
        return numbers.locked(connection, project_id, number)


def unlink_number(database: Database, project_id: int, account_id: int, number: str) -> None:
    """Unlink an additional number, which is choosable again at once.

    Raises:
        NotFound: there is no such account, or the number is not linked to it.
        MainNumberPermanent: it is the account's main number.
    """
    with database.transaction() as connection:
        account = _locked(connection, project_id, account_id)
        if number == account.main_number:
            raise MainNumberPermanent()
        if number not in store.additional_numbers(connection, account_id):
            raise NotFound("The number is not linked to this account.")
        store.free_number(connection, account_id, number)
        store.update_account(connection, account)


def _project(connection: Connection, account_id: int) -> None:
    store.erase_unwanted_subscriber(connection, account_id)
    if not store.project_subscriber(connection, account_id):
        raise UsernameTaken()
