"""`/sip-accounts`: accounts and their state."""

from provisioner import accounts, listings, store
from provisioner.access import Permission
from provisioner.api import paging, waiting
from provisioner.api.bodies import AccountPatch, AccountsQuery, NewAccountBody
from provisioner.api.context import services
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.view import Page
from provisioner.api.views import AccountView, SecretView, TariffView
from provisioner.credentials import new_secret
from provisioner.errors import (
    DeletionRefused,
    ExternalIdTaken,
    InvalidInput,
    NameTaken,
    NumberNotActive,
    NumberTaken,
    NumberUnknown,
    UsernameTaken,
)
from provisioner.model import Account, AccountState, NewAccount, username_of

resource = Resource("SIP accounts", "/sip-accounts")

ONE = "/<id:account_id>"


def current(call: Call, account_id: int) -> AccountView:
    """Show an account and keep it as it is until the transaction ends."""
    return AccountView.of(accounts.locked(call.connection, call.actor, account_id))


def settle(call: Call, account: Account) -> None:
    """Wait until the nodes obey an account's change, as the client prefers."""
    waiting.settle(
        call,
        account.convergence.converged,
        lambda connection: store.unconfirmed_kicks(connection, account.username),
        lambda connection: AccountView.of(accounts.read(connection, call.actor, account.id)),
    )


@resource.post(
    "",
    Permission.ACCOUNTS_MANAGE,
    status=201,
    errors=[
        NameTaken,
        NumberTaken,
        NumberNotActive,
        NumberUnknown,
        UsernameTaken,
        ExternalIdTaken,
    ],
)
def create_account(call: Call, body: NewAccountBody) -> SecretView:
    """Create a disabled account.

    The password is in this answer and nowhere else, ever.
    """
    secret = new_secret(username_of(body.main_number), call.realm)
    account = accounts.create(call.connection, call.actor, NewAccount(**dict(body)), secret)
    call.created(f"/sip-accounts/{account.id}")
    waiting.settle(call, converged=True, pending=lambda _: 0)
    return SecretView.with_secret(account, secret, services().settings)


@resource.get("", Permission.ACCOUNTS_READ)
def list_accounts(call: Call, query: AccountsQuery) -> Page[AccountView]:
    """List accounts; `q` finds a part of a name or main number."""
    return paging.page(
        call,
        listings.ACCOUNTS,
        query,
        AccountView,
        lambda row: AccountView.of(Account.from_row(row)),
    )


@resource.get(ONE, Permission.ACCOUNTS_READ)
def read_account(call: Call, account_id: int) -> AccountView:
    """Show one account."""
    return AccountView.of(accounts.read(call.connection, call.actor, account_id))


@resource.patch(ONE, Permission.ACCOUNTS_MANAGE, guard=current, errors=[NameTaken, ExternalIdTaken])
def change_account(call: Call, body: AccountPatch, account_id: int) -> AccountView:
    """Change what may change of an account. Its main number may not."""
    changes = body.given()
    number = changes.pop("main_number", None)
    if number not in (None, accounts.read(call.connection, call.actor, account_id).main_number):
        raise InvalidInput("main_number", "is permanent; delete the account and create another")
    account = accounts.configure(call.connection, call.actor, account_id, changes)
    settle(call, account)
    return AccountView.of(account)


@resource.post(ONE + "/enable", Permission.ACCOUNTS_OPERATE, guard=current)
def enable_account(call: Call, account_id: int) -> AccountView:
    """Let the account register from anywhere its networks allow."""
    return _set_state(call, account_id, AccountState.ENABLED)


@resource.post(ONE + "/disable", Permission.ACCOUNTS_OPERATE, guard=current)
def disable_account(call: Call, account_id: int) -> AccountView:
    """Refuse the account's registrations and drop its bindings."""
    return _set_state(call, account_id, AccountState.DISABLED)


@resource.post(ONE + "/link-to-teams", Permission.ACCOUNTS_OPERATE, guard=current)
def link_account_to_teams(call: Call, account_id: int) -> AccountView:
    """Send the account's calls to Teams; it registers from CloudFire's networks only."""
    return _set_state(call, account_id, AccountState.LINKED_TO_TEAMS)


def _set_state(call: Call, account_id: int, state: AccountState) -> AccountView:
    account = accounts.set_state(call.connection, call.actor, account_id, state)
    settle(call, account)
    return AccountView.of(account)


@resource.get(ONE + "/tariff-history", Permission.ACCOUNTS_READ)
def list_tariffs(call: Call, account_id: int) -> Page[TariffView]:
    """List the tariffs that the account has had, the latest first."""
    accounts.read(call.connection, call.actor, account_id)
    found = store.tariffs(call.connection, account_id)
    return Page[TariffView](items=[TariffView.of(one) for one in found], next=None)


@resource.delete(ONE, Permission.ACCOUNTS_MANAGE, guard=current, errors=[DeletionRefused])
def delete_account(call: Call, account_id: int) -> None:
    """Erase a disabled account and free its number.

    A refusal lists everything that is in the way, as `reasons`.
    """
    account = accounts.delete(call.connection, call.actor, account_id)
    pending = lambda connection: store.unconfirmed_kicks(connection, account.username)  # noqa: E731 - of one line, with the account's name bound
    waiting.settle(call, converged=False, pending=pending)
