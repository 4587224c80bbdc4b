"""The operations on hook sources: who may send events, and with which keys they are signed."""

from typing import Any

from provisioner import hook_store, journal
from provisioner.access import Actor
from provisioner.db import Connection
from provisioner.errors import Conflict, Forbidden, InvalidInput, NotFound
from provisioner.hook_store import Source
from provisioner.hooks.signature import new_secret
from provisioner.journal import Change
from provisioner.sealing import Sealer
from provisioner.sentences import Sentence
from provisioner.users import customer_for

SOURCES_MAX = 20  # of one customer
KEYS_MAX = 10  # of one source; two suffice to change a key


class TooManySources(Conflict):
    """The customer has 20 hook sources; delete one first."""

    code = "too-many-sources"


def create(
    connection: Connection, actor: Actor, sealer: Sealer, name: str, customer_id: int | None
) -> tuple[Source, str]:
    """Add a source and its first key, which is returned here only.

    A customer's source touches that customer's objects; the operator's, where no customer is
    named, everybody's.

    Raises:
        Forbidden: the actor sees one project only.
        InvalidInput: there is no such customer.
        TooManySources: as it says.
    """
    if actor.project_id is not None:
        raise Forbidden("Hooks concern a whole customer; this token sees one project only.")
    customer_id = customer_for(connection, actor, customer_id)
    if customer_id is not None and hook_store.count_sources(connection, customer_id) >= SOURCES_MAX:
        raise TooManySources()
    source_id = hook_store.insert_source(connection, customer_id, name)
    secret = new_secret()
    hook_store.insert_source_key(connection, source_id, sealer.seal(secret))
    source = read(connection, actor, source_id)
    _record(connection, actor, "hook_source.created", None, source)
    return source, secret


def read(connection: Connection, actor: Actor, source_id: int, *, lock: bool = False) -> Source:
    """Return a source that the actor sees; with `lock` after all other changes of it.

    Raises:
        NotFound: there is no such source.
    """
    if actor.project_id is not None:
        raise NotFound("There is no such hook source.")
    if lock:
        hook_store.lock_source(connection, actor.customer_id, source_id)
    found = hook_store.source(connection, actor.customer_id, source_id)
    if found is None:
        raise NotFound("There is no such hook source.")
    return found


def activate(connection: Connection, actor: Actor, source_id: int, *, active: bool) -> Source:
    """Let a source's messages count, or not.

    Raises:
        NotFound: there is no such source.
    """
    before = read(connection, actor, source_id, lock=True)
    if before.active is not active:
        hook_store.activate_source(connection, source_id, active=active)
        after = read(connection, actor, source_id)
        _record(connection, actor, "hook_source.updated", before, after)
    return read(connection, actor, source_id)


def add_key(
    connection: Connection, actor: Actor, sealer: Sealer, source_id: int
) -> tuple[Source, str]:
    """Give a source another key, which is returned here only; the former ones stay good.

    Raises:
        NotFound: there is no such source.
        InvalidInput: it has as many keys as it may have.
    """
    before = read(connection, actor, source_id, lock=True)
    if len(before.keys) >= KEYS_MAX:
        raise InvalidInput("keys", Sentence("may be %(count)s; remove one first", count=KEYS_MAX))
    secret = new_secret()
    hook_store.insert_source_key(connection, source_id, sealer.seal(secret))
    source = read(connection, actor, source_id)
    _record(connection, actor, "hook_source.key_added", before, source)
    return source, secret


def remove_key(connection: Connection, actor: Actor, source_id: int, key_id: int) -> None:
    """Take a key away from a source; what it signs is refused at once.

    Raises:
        NotFound: there is no such source, or it has no such key.
    """
    before = read(connection, actor, source_id, lock=True)
    if not hook_store.delete_source_key(connection, source_id, key_id):
        raise NotFound("There is no such hook source.")
    after = read(connection, actor, source_id)
    _record(connection, actor, "hook_source.key_removed", before, after)


def delete(connection: Connection, actor: Actor, source_id: int) -> None:
    """Remove a source and its keys; the events that it has sent stay.

    Raises:
        NotFound: there is no such source.
    """
    before = read(connection, actor, source_id, lock=True)
    hook_store.delete_source(connection, source_id)
    _record(connection, actor, "hook_source.deleted", before, None)


def _record(
    connection: Connection, actor: Actor, kind: str, before: Source | None, after: Source | None
) -> None:
    about = after or before
    assert about is not None  # noqa: S101 - one of the two is given
    change = Change(
        type=kind,
        subject="hook_source",
        subject_id=about.id,
        before=_facts(before) if before else None,
        after=_facts(after) if after else None,
        customer_id=about.customer_id,
    )
    journal.record(connection, actor, change)


def _facts(source: Source) -> dict[str, Any]:
    return {
        "id": source.id,
        "name": source.name,
        "active": source.active,
        "keys": [key["id"] for key in source.keys],
    }
