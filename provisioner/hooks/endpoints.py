"""The operations on webhook endpoints: where events are sent, and what was sent there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from provisioner import journal, webhook_store
from provisioner.access import WORKER, Actor
from provisioner.db import Connection
from provisioner.errors import Conflict, NotFound
from provisioner.hooks.addresses import Network, checked
from provisioner.hooks.signature import new_secret
from provisioner.journal import Change
from provisioner.sealing import Sealer
from provisioner.users import customer_for
from provisioner.webhook_store import Delivery, Endpoint

ENDPOINTS_MAX = 50  # of one customer
REPLAY_BATCH = 1000  # events in one statement
FORMER_KEY_SIGNS = 24 * 3600  # seconds that a replaced key signs beside the new one


class TooManyEndpoints(Conflict):
    """The customer has 50 webhook endpoints; delete one first."""

    code = "too-many-endpoints"


class EndpointInactive(Conflict):
    """The endpoint is not active; activate it first."""

    code = "endpoint-inactive"


@dataclass(frozen=True)
class NewEndpoint:
    """What is chosen when an endpoint is added."""

    url: str
    types: Sequence[str] = ()
    description: str = ""
    customer_id: int | None = None


def create(
    connection: Connection,
    actor: Actor,
    sealer: Sealer,
    allowed: Sequence[Network],
    new: NewEndpoint,
) -> tuple[Endpoint, str]:
    """Add an endpoint and the secret that signs what it gets, which is returned here only.

    Raises:
        InvalidInput: webhooks cannot be sent to the URL, or there is no such customer.
        TooManyEndpoints: as it says.
    """
    checked(new.url, allowed)
    customer_id = customer_for(connection, actor, new.customer_id)
    if customer_id is not None:
        count = webhook_store.count_endpoints(connection, customer_id)
        if count >= ENDPOINTS_MAX:
            raise TooManyEndpoints()
    endpoint_id = webhook_store.insert_endpoint(
        connection,
        customer_id=customer_id,
        project_id=actor.project_id,
        url=new.url,
        types=list(new.types),
        description=new.description,
    )
    secret = new_secret()
    webhook_store.insert_endpoint_key(connection, endpoint_id, sealer.seal(secret))
    endpoint = read(connection, actor, endpoint_id)
    _record(connection, actor, "webhook_endpoint.created", None, endpoint)
    return endpoint, secret


def read(connection: Connection, actor: Actor, endpoint_id: int, *, lock: bool = False) -> Endpoint:
    """Return an endpoint that the actor sees; with `lock` after all other changes of it.

    Raises:
        NotFound: there is no such endpoint.
    """
    if lock:
        webhook_store.lock_endpoint(connection, actor, endpoint_id)
    found = webhook_store.endpoint(connection, actor, endpoint_id)
    if found is None:
        raise NotFound("There is no such webhook endpoint.")
    return found


def change(
    connection: Connection,
    actor: Actor,
    allowed: Sequence[Network],
    endpoint_id: int,
    changes: Mapping[str, Any],
) -> Endpoint:
    """Change where an endpoint is, what it gets, or whether it gets anything.

    Raises:
        NotFound: there is no such endpoint.
        InvalidInput: webhooks cannot be sent to the URL.
    """
    url = changes.get("url")
    if url not in (None, read(connection, actor, endpoint_id).url):
        checked(url, allowed)  # before anybody has to wait
    before = read(connection, actor, endpoint_id, lock=True)
    after = replace(before, **changes)
    if after == before:
        return before
    webhook_store.update_endpoint(connection, after)
    after = read(connection, actor, endpoint_id)
    _record(connection, actor, "webhook_endpoint.updated", before, after)
    return after


def delete(connection: Connection, actor: Actor, endpoint_id: int) -> None:
    """Remove an endpoint with all that was to be sent there.

    Raises:
        NotFound: there is no such endpoint.
    """
    before = read(connection, actor, endpoint_id, lock=True)
    webhook_store.delete_endpoint(connection, endpoint_id)
    _record(connection, actor, "webhook_endpoint.deleted", before, None)


def rotate_secret(
    connection: Connection, actor: Actor, sealer: Sealer, endpoint_id: int
) -> tuple[Endpoint, str]:
    """Give an endpoint a new secret; for a day the former one signs beside it.

    Raises:
        NotFound: there is no such endpoint.
    """
    endpoint = read(connection, actor, endpoint_id, lock=True)
    webhook_store.expire_endpoint_keys(connection, endpoint_id, FORMER_KEY_SIGNS)
    secret = new_secret()
    webhook_store.insert_endpoint_key(connection, endpoint_id, sealer.seal(secret))
    _record(connection, actor, "webhook_endpoint.secret_rotated", None, endpoint)
    return endpoint, secret


def test(connection: Connection, actor: Actor, endpoint_id: int) -> Delivery:
    """Send an endpoint an event of type `ping`.

    Raises:
        NotFound, EndpointInactive: as they say.
    """
    endpoint = read(connection, actor, endpoint_id, lock=True)
    _ensure_active(endpoint)
    data = {"endpoint_id": endpoint.id}
    delivery_id = webhook_store.publish_to(connection, endpoint_id, "ping", data)
    _record(connection, actor, "webhook_endpoint.tested", endpoint, endpoint)
    return delivery(connection, actor, delivery_id)


def replay_since(connection: Connection, actor: Actor, endpoint_id: int, since: datetime) -> int:
    """Send an endpoint again all events since a moment; return how many.

    Raises:
        NotFound, EndpointInactive: as they say.
    """
    webhook_store.hold_endpoint(connection, endpoint_id)
    endpoint = read(connection, actor, endpoint_id)
    _ensure_active(endpoint)
    count, last = 0, (since, "")
    while batch := webhook_store.replay_after(connection, endpoint_id, last, REPLAY_BATCH):
        count += batch.count
        last = batch.last
    _record(connection, actor, "webhook_endpoint.replayed", None, endpoint)
    return count


def delivery(connection: Connection, actor: Actor, delivery_id: int) -> Delivery:
    """Return a delivery that the actor sees.

    Raises:
        NotFound: there is no such delivery.
    """
    found = webhook_store.delivery(connection, actor, delivery_id)
    if found is None:
        raise NotFound("There is no such delivery.")
    return found


def replay(connection: Connection, actor: Actor, delivery_id: int) -> Delivery:
    """Send an event to an endpoint again, for three more days if need be.

    Raises:
        NotFound, EndpointInactive: as they say.
    """
    found = delivery(connection, actor, delivery_id)
    _ensure_active(read(connection, actor, found.endpoint_id))
    webhook_store.replay_delivery(connection, delivery_id)
    _record_replay(connection, actor, found)
    return delivery(connection, actor, delivery_id)


def gone(connection: Connection, endpoint_id: int) -> None:
    """Send an endpoint nothing more, as it has asked by answering 410."""
    before = webhook_store.endpoint(connection, WORKER, endpoint_id)
    if before is not None and webhook_store.endpoint_gone(connection, endpoint_id):
        after = replace(before, active=False)
        _record(connection, WORKER, "webhook_endpoint.updated", before, after)


def _ensure_active(endpoint: Endpoint) -> None:
    if not endpoint.active:
        raise EndpointInactive()


def _record(
    connection: Connection,
    actor: Actor,
    kind: str,
    before: Endpoint | None,
    after: Endpoint | None,
) -> None:
    about = after or before
    assert about is not None  # noqa: S101 - one of the two is given
    change = Change(
        type=kind,
        subject="webhook_endpoint",
        subject_id=about.id,
        before=_facts(before) if before else None,
        after=_facts(after) if after else None,
        customer_id=about.customer_id,
        project_id=about.project_id,
    )
    journal.record(connection, actor, change)


def _record_replay(connection: Connection, actor: Actor, replayed: Delivery) -> None:
    change = Change(
        type="webhook_delivery.replayed",
        subject="webhook_delivery",
        subject_id=replayed.id,
        before={"event_id": replayed.event_id, "state": replayed.state},
        after={"event_id": replayed.event_id, "state": "pending"},
        customer_id=replayed.customer_id,
        project_id=replayed.project_id,
    )
    journal.record(connection, actor, change)


def _facts(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "types": list(endpoint.types),
        "description": endpoint.description,
        "active": endpoint.active,
    }
