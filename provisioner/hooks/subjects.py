"""What there is of a subject, and how what its events decide is carried out."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from provisioner import accounts, hook_store, numbers
from provisioner.access import Actor
from provisioner.db import Connection
from provisioner.errors import MainNumberPermanent
from provisioner.hook_store import Subject
from provisioner.hooks.fold import Decision, Kind, steps
from provisioner.model import (
    Account,
    AccountState,
    NewAccount,
    NewNumber,
    NumberState,
    Tariff,
)

Fields = Mapping[str, Any]

# What an account is created with and keeps; a later event that names it changes nothing.
_PERMANENT = {"main_number", "project_id", "external_id"}
_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "tariff": Tariff,
    "allowed_networks": lambda cidrs: tuple(cidrs or ()),
}


def meet(
    connection: Connection, actor: Actor, subject: Subject, settled: int
) -> tuple[Subject, Fields | None]:
    """Return what there is of a subject, locked; None where there is nothing.

    What events have not made becomes the base of their fold. If it has taken the place of
    something that they knew, events up to the version `settled` are about that.
    """
    found = _account(connection, actor, subject)
    if subject.kind == Kind.NUMBER:
        found = _number(connection, subject)
    if found is None:
        return subject, None
    names, actual = found
    if subject.base is None and subject.born_version is None:
        subject = replace(subject, **names, base=_base(actual), ignored_to=settled)
    elif subject.account_id != names.get("account_id"):
        subject = replace(
            subject, **names, base=_base(actual), born_version=None, ignored_to=settled
        )
    return subject, actual


def _base(actual: Fields) -> Fields:
    return {name: actual[name] for name in ("state", "main_number") if name in actual}


def _account(
    connection: Connection, actor: Actor, subject: Subject
) -> tuple[dict[str, Any], Fields] | None:
    if subject.kind != Kind.ACCOUNT:
        return None
    account_id = hook_store.account_of_subject(connection, subject)
    if account_id is None:
        return None
    return {"account_id": account_id}, _facts(accounts.read(connection, actor, account_id))


def _facts(account: Account) -> Fields:
    """Return an account's fields as events name them, and as JSON has them."""
    names = {field.name for field in fields(NewAccount)} | {"state"}
    facts = {name: value for name, value in account.facts().items() if name in names}
    if "allowed_networks" in facts:
        facts["allowed_networks"] = list(facts["allowed_networks"] or ())  # null: from anywhere
    return facts


def _number(connection: Connection, subject: Subject) -> tuple[dict[str, Any], Fields] | None:
    row = hook_store.number_of_subject(connection, subject)
    if row is None:
        return None
    return {"number": row["number"]}, {"state": row["state"]}


def carry_out(
    connection: Connection,
    actor: Actor,
    subject: Subject,
    actual: Fields | None,
    decision: Decision,
) -> Subject:
    """Do what was decided, by the operations that everybody uses; return what is known then.

    Raises:
        ProvisionerError: an operation refuses.
    """
    if subject.kind == Kind.NUMBER:
        return _carry_out_number(connection, actor, subject, actual, decision)
    if decision.delete and subject.account_id is not None:
        accounts.set_state(connection, actor, subject.account_id, AccountState.DISABLED)
        accounts.delete(connection, actor, subject.account_id)
        subject = replace(subject, account_id=None, born_version=None, born_event=None)
    if decision.create is not None:
        subject = _create(connection, actor, subject, decision)
    if decision.change and subject.account_id is not None:
        _change(connection, actor, subject.account_id, decision.change)
    return subject


def _create(connection: Connection, actor: Actor, subject: Subject, decision: Decision) -> Subject:
    assert decision.create is not None  # noqa: S101 - the caller has looked
    names = {field.name for field in fields(NewAccount)}
    given = {name: value for name, value in decision.create.items() if name in names}
    account = accounts.create(connection, actor, NewAccount(**_typed(given)))
    accounts.set_state(connection, actor, account.id, AccountState(decision.create["state"]))
    version, event = decision.begun
    return replace(
        subject,
        owner_id=account.customer_id,
        account_id=account.id,
        born_version=version,
        born_event=event,
    )


def _change(connection: Connection, actor: Actor, account_id: int, change: Fields) -> None:
    if "main_number" in change:
        raise MainNumberPermanent(field="main_number")
    changes = {
        name: value for name, value in change.items() if name not in _PERMANENT and name != "state"
    }
    if changes:
        accounts.configure(connection, actor, account_id, _typed(changes))
    if "state" in change:
        accounts.set_state(connection, actor, account_id, AccountState(change["state"]))


def _typed(given: Fields) -> dict[str, Any]:
    """Turn what JSON can hold into the model's types."""
    return {name: _KINDS.get(name, _as_it_is)(value) for name, value in given.items()}


def _as_it_is(value: Any) -> Any:
    return value


def _carry_out_number(
    connection: Connection,
    actor: Actor,
    subject: Subject,
    actual: Fields | None,
    decision: Decision,
) -> Subject:
    if decision.create is not None and subject.number is not None:
        new = NewNumber(
            number=subject.number,
            state=NumberState(decision.create["state"]),
            external_id=decision.create.get("external_id"),
            project_id=decision.create.get("project_id"),
        )
        numbers.create(connection, actor, new)
        version, event = decision.begun
        return replace(subject, born_version=version, born_event=event)
    state = decision.change.get("state")
    if state is not None and actual is not None and subject.number is not None:
        for step in steps(decision.path, actual["state"], state):
            numbers.change(connection, actor, subject.number, {"state": NumberState(step)})
    return subject
