"""The operations on caller ID rules: which number an account presents."""

from provisioner import accounts, journal, store
from provisioner.access import Actor
from provisioner.calling import CallerIdRule
from provisioner.db import Connection
from provisioner.errors import InvalidInput, NotFound
from provisioner.journal import Change
from provisioner.model import Account


def rules(connection: Connection, actor: Actor, account_id: int) -> list[CallerIdRule]:
    """List an account's rules.

    Raises:
        NotFound: there is no such account.
    """
    accounts.read(connection, actor, account_id)
    return store.caller_id_rules(connection, account_id)


def add_rule(
    connection: Connection, actor: Actor, account_id: int, prefix: str, number: str | None
) -> CallerIdRule:
    """Add a rule: present one of the account's own numbers, or none.

    Raises:
        NotFound: there is no such account.
        InvalidInput: the number is not one of the account's.
        PrefixTaken: as it says.
    """
    account = accounts.locked(connection, actor, account_id)
    if number is not None:
        own = {linked.number for linked in store.linked_numbers(connection, account_id)}
        if number not in own:
            raise InvalidInput("number", "must be one of the account's own numbers")
    rule = store.insert_caller_id_rule(connection, account_id, prefix, number)
    accounts.touch(connection, account)
    _record(connection, actor, account, "caller_id_rule.created", None, rule)
    return rule


def remove_rule(connection: Connection, actor: Actor, account_id: int, rule_id: int) -> None:
    """Remove a rule.

    Raises:
        NotFound: there is no such account or rule.
    """
    account = accounts.locked(connection, actor, account_id)
    rule = store.delete_caller_id_rule(connection, account_id, rule_id)
    if rule is None:
        raise NotFound("The account has no such caller ID rule.")
    accounts.touch(connection, account)
    _record(connection, actor, account, "caller_id_rule.deleted", rule, None)


def _record(
    connection: Connection,
    actor: Actor,
    account: Account,
    kind: str,
    before: CallerIdRule | None,
    after: CallerIdRule | None,
) -> None:
    change = Change(
        type=kind,
        subject="account",
        subject_id=account.id,
        before=before,
        after=after,
        customer_id=account.customer_id,
        project_id=account.project_id,
    )
    journal.record(connection, actor, change)
