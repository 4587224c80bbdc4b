"""What belongs to an account: credentials, registrations, numbers, caller ID rules, transfer."""

from provisioner import accounts, caller_id, registrations, store, transfers
from provisioner.access import Permission
from provisioner.api import waiting
from provisioner.api.bodies import CallerIdRuleBody, CallTransferBody
from provisioner.api.context import services
from provisioner.api.numbers import e164_or_404
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.sip_accounts import ONE, current
from provisioner.api.view import Page
from provisioner.api.views import (
    BindingView,
    CallerIdRuleView,
    CallTransferView,
    NumberView,
    RegistrationsView,
    SecretView,
)
from provisioner.errors import (
    MainNumberPermanent,
    NodeUnavailable,
    NumberInCallerIdRule,
    NumberNotActive,
    NumberTaken,
    NumberUnknown,
    PrefixTaken,
    TransferContradictory,
    TransferLoop,
    UsernameTaken,
)
from provisioner.transfers import Country

resource = Resource("Account parts", "/sip-accounts" + ONE)

RULE = "/<id:rule_id>"
DROP_WAIT = 2.0  # seconds that dropping bindings takes its time to be sure


@resource.post("/credentials", Permission.ACCOUNTS_OPERATE, guard=current, errors=[UsernameTaken])
def rotate_credentials(call: Call, account_id: int) -> SecretView:
    """Replace the password; the new one is in this answer and nowhere else, ever."""
    account, secret = accounts.rotate_credentials(call.connection, call.actor, account_id)
    settings = services().settings
    waiting.settle(
        call,
        account.convergence.converged,
        lambda connection: store.unconfirmed_kicks(connection, account.username),
        lambda connection: SecretView.with_secret(
            accounts.read(connection, call.actor, account_id), secret, settings
        ),
    )
    return SecretView.with_secret(account, secret, settings)


@resource.get("/registrations", Permission.REGISTRATIONS_READ)
def list_registrations(call: Call, account_id: int) -> RegistrationsView:
    """Show the account's bindings, asked of every node now."""
    account = accounts.read(call.connection, call.actor, account_id)
    found = registrations.read(call.connection, account, services().settings.rpc_token)
    return RegistrationsView(
        items=[BindingView.of(node, binding) for node, binding in found.bindings],
        next=None,
        unavailable_nodes=found.unavailable_nodes,
    )


@resource.delete("/registrations", Permission.ACCOUNTS_OPERATE)
def drop_registrations(call: Call, account_id: int) -> None:
    """Drop all bindings; an enabled account's device may register again."""
    account = accounts.drop_registrations(call.connection, call.actor, account_id)
    waiting.settle(
        call,
        converged=False,
        pending=lambda connection: store.unconfirmed_kicks(connection, account.username),
        at_least=DROP_WAIT,
    )


@resource.delete(
    "/registrations/<registration_id>", Permission.ACCOUNTS_OPERATE, errors=[NodeUnavailable]
)
def drop_registration(call: Call, account_id: int, registration_id: str) -> None:
    """Drop one binding, by the id that the list shows; its device may register again."""
    account = accounts.read(call.connection, call.actor, account_id)
    rpc_token = services().settings.rpc_token
    registrations.drop(call.connection, call.actor, account, registration_id, rpc_token)


@resource.get("/numbers", Permission.NUMBERS_READ)
def list_linked_numbers(call: Call, account_id: int) -> Page[NumberView]:
    """List the account's numbers, main and additional."""
    accounts.read(call.connection, call.actor, account_id)
    found = store.linked_numbers(call.connection, account_id)
    return Page[NumberView](items=[NumberView.of(number) for number in found], next=None)


@resource.put(
    "/numbers/<number>",
    Permission.ACCOUNTS_MANAGE,
    errors=[NumberTaken, NumberNotActive, NumberUnknown, TransferLoop],
)
def link_number(call: Call, account_id: int, number: str) -> NumberView:
    """Link an additional number; it rings the account, too."""
    e164_or_404(number)
    return NumberView.of(accounts.link_number(call.connection, call.actor, account_id, number))


@resource.delete(
    "/numbers/<number>",
    Permission.ACCOUNTS_MANAGE,
    errors=[MainNumberPermanent, NumberInCallerIdRule],
)
def unlink_number(call: Call, account_id: int, number: str) -> None:
    """Unlink an additional number, which can be chosen again at once."""
    e164_or_404(number)
    accounts.unlink_number(call.connection, call.actor, account_id, number)


@resource.get("/caller-id-rules", Permission.ACCOUNTS_READ)
def list_caller_id_rules(call: Call, account_id: int) -> Page[CallerIdRuleView]:
    """List the account's caller ID rules; without one the main number is presented."""
    found = caller_id.rules(call.connection, call.actor, account_id)
    items = [CallerIdRuleView.of(rule) for rule in found]
    return Page[CallerIdRuleView](items=items, next=None)


@resource.post("/caller-id-rules", Permission.ACCOUNTS_MANAGE, status=201, errors=[PrefixTaken])
def add_caller_id_rule(call: Call, body: CallerIdRuleBody, account_id: int) -> CallerIdRuleView:
    """Present one of the account's own numbers, or none, to destinations with a prefix.

    Of several rules that fit a destination, the longest prefix decides.
    """
    rule = caller_id.add_rule(
        call.connection, call.actor, account_id, body.destination_prefix, body.number
    )
    return CallerIdRuleView.of(rule)


@resource.delete("/caller-id-rules" + RULE, Permission.ACCOUNTS_MANAGE)
def remove_caller_id_rule(call: Call, account_id: int, rule_id: int) -> None:
    """Remove a caller ID rule."""
    caller_id.remove_rule(call.connection, call.actor, account_id, rule_id)


def _current_transfer(call: Call, account_id: int) -> CallTransferView:
    accounts.locked(call.connection, call.actor, account_id)
    return CallTransferView.of(store.call_transfer(call.connection, account_id))


@resource.get("/call-transfer", Permission.ACCOUNTS_READ)
def read_call_transfer(call: Call, account_id: int) -> CallTransferView:
    """Show where the account's calls go when it does not take them."""
    return CallTransferView.of(transfers.read(call.connection, call.actor, account_id))


@resource.put(
    "/call-transfer",
    Permission.ACCOUNTS_MANAGE,
    guard=_current_transfer,
    errors=[TransferContradictory, TransferLoop],
)
def replace_call_transfer(call: Call, body: CallTransferBody, account_id: int) -> CallTransferView:
    """Set all of the account's transfers; one that is absent is off.

    Either `unconditional` alone, or `no_answer` (not answered within 20 seconds), `unreachable`
    (not registered, or disabled), or both of these.
    """
    settings = services().settings
    country = Country(settings.country_code, settings.emergency_numbers)
    transfer = transfers.replace(call.connection, call.actor, account_id, body.transfer(), country)
    return CallTransferView.of(transfer)
