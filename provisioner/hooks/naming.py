"""What an event is about, and whose that is.

The portal's own keys are unique within a customer only. So an event of the operator's portal means
the customer that it names, by `customer_id` or by its project; else the one whose account or number
it has meant by that key before; else the only one who has such a key at all. Where that leaves more
than one, nothing is done: a person decides. A customer's sources mean that customer, always.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from provisioner import hook_store, tenancy_store
from provisioner.access import Actor
from provisioner.db import Connection
from provisioner.errors import Conflict
from provisioner.hook_store import Subject
from provisioner.hooks.fold import Kind, Status


class CustomerUnclear(Conflict):
    """More than one customer has this external_id; name the customer_id."""

    code = "customer-unclear"


@dataclass(frozen=True)
class _Named:
    """What an event says of its subject, and who says it."""

    source: Actor
    type: str
    data: Mapping[str, Any]

    @property
    def kind(self) -> Kind:
        return Kind(self.type.partition(".")[0])

    @property
    def creates(self) -> bool:
        return self.type.endswith(".created")


def place(
    connection: Connection, source: Actor, event_id: int, kind: str, data: Mapping[str, Any]
) -> bool:
    """Give an event of a type its subject, locked; False where a person has to say whose it is."""
    event = _Named(source, kind, data)
    try:
        subject = _claim(connection, event)
    except CustomerUnclear as error:
        names = {"customer_id": source.customer_id, "owner_id": None, "kind": event.kind}
        subject = hook_store.claim_subject(connection, **names)
        hook_store.settle_event(
            connection,
            event_id,
            subject.id,
            Status.CONFLICT,
            code=error.code,
            detail=error.detail,
        )
        return False
    hook_store.settle_event(connection, event_id, subject.id, Status.WAITING)
    return True


def _claim(connection: Connection, event: _Named) -> Subject:
    read = _account_names if event.kind is Kind.ACCOUNT else _number_names
    names = {"owner_id": None, "external_id": None, "account_id": None, "number": None}
    names |= read(connection, event)
    subject = hook_store.claim_subject(
        connection, customer_id=event.source.customer_id, kind=event.kind, **names
    )
    known = subject
    if subject.owner_id is None:
        known = replace(known, owner_id=names["owner_id"])
    if subject.number is None:
        known = replace(known, number=names["number"])
    if known != subject:
        hook_store.save_subject(connection, known)
    return known


def _account_names(connection: Connection, event: _Named) -> dict[str, Any]:
    """Return by what an account is known to the source, which may see it or have seen it."""
    customer_id, account_id = _named_customer(connection, event), event.data.get("id")
    external_id = event.data.get("external_id")
    if account_id is not None:
        seen = hook_store.account_names(connection, customer_id, account_id)
        seen = seen or hook_store.account_met(connection, event.source.customer_id, account_id)
        if seen and customer_id in (None, seen["owner_id"]):
            _lock(connection, event, seen["external_id"])
            return seen
    if external_id is None:
        return {"owner_id": customer_id}
    _lock(connection, event, external_id)
    owner_id = _owner(connection, event, customer_id)
    names = {"owner_id": owner_id, "external_id": external_id}
    return names | (hook_store.account_by_external_id(connection, owner_id, external_id) or {})


def _number_names(connection: Connection, event: _Named) -> dict[str, Any]:
    """Return by what a number is known; there is one of each in the world, whosever it is."""
    customer_id, number = _named_customer(connection, event), event.data.get("number")
    external_id = event.data.get("external_id")
    names = {"external_id": external_id, "number": number}
    _lock(connection, event, external_id or number)
    if number is not None:
        owner_id = hook_store.number_owner(connection, number)
        if owner_id is not None and customer_id not in (None, owner_id):
            raise CustomerUnclear("The number is another customer's than the event says.")
        names["owner_id"] = customer_id or owner_id or _owner_of_new(connection, event)
        return names
    names["owner_id"] = _owner(connection, event, customer_id)
    names["number"] = hook_store.number_by_external_id(connection, names["owner_id"], external_id)
    return names


def _lock(connection: Connection, event: _Named, name: str | None) -> None:
    if name is not None:
        hook_store.lock_names(connection, event.source.customer_id, event.kind, name)


def _named_customer(connection: Connection, event: _Named) -> int | None:
    """Return the customer that an event names, by himself or by a project, or that has sent it.

    Raises:
        CustomerUnclear: the source sees no such customer or project.
    """
    source, customer_id = event.source, event.data.get("customer_id")
    if customer_id is not None and tenancy_store.customer(connection, source, customer_id) is None:
        raise CustomerUnclear("There is no such customer.")
    project_id = event.data.get("project_id")
    if source.customer_id is not None or customer_id is not None or project_id is None:
        return source.customer_id or customer_id
    project = tenancy_store.project(connection, source, project_id)
    if project is None:
        raise CustomerUnclear("There is no such project.")
    return project.customer_id


def _owner(connection: Connection, event: _Named, customer_id: int | None) -> int | None:
    """Return whose the subject is that an event means by the portal's own key.

    Raises:
        CustomerUnclear: as it says.
    """
    if customer_id is not None:
        return customer_id
    if event.creates:
        return _owner_of_new(connection, event)
    external_id = event.data["external_id"]
    owners = hook_store.owners_met(connection, event.source.customer_id, event.kind, external_id)
    owners = owners or hook_store.owners_of(connection, event.kind, external_id)
    if len(owners) > 1:
        raise CustomerUnclear()
    return owners[0] if owners else None


def _owner_of_new(connection: Connection, event: _Named) -> int | None:
    if not event.creates:
        return None
    project = tenancy_store.default_project(connection, event.source)
    return project.customer_id if project else None
