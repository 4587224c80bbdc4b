"""The full comparison: read what is, plan what to put right, apply it.

It finds what a notification missed and what was edited by hand: in Kamailio's tables, in the
bindings and in the allowlists of each node's memory. Tables are repaired here; a node's memory is
repaired by leaving work for it, the same work that a change leaves.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

from provisioner import journal, reconcile, store, sync_store, tallies, trunk_store
from provisioner.access import WORKER, Actor
from provisioner.db import Connection
from provisioner.errors import PlanDangerous
from provisioner.journal import Change
from provisioner.kamailio import Destination, KamailioNode
from provisioner.model import Node
from provisioner.reconcile import Action, Limits, Repair, Target
from provisioner.registrations import aor_of
from provisioner.sources import is_inside

log = logging.getLogger(__name__)

BATCH = 100  # repairs of one transaction, so that account operations do not wait for all of them

LISTED_BY_NODE = 10_000  # bindings of all nodes together up to which a node lists its own
CALL_AGE = 10.0  # seconds; the dialog of a younger call is not looked for
PROBING = 8  # the dispatcher's flag of what is asked by OPTIONS

# Who has registered by a row that differed in one of these may have to go; by another secret, must.
_SECRET = {"ha1", "ha1_sha256"}
_ADMITTING = {*_SECRET, "registration_allowed", "source_group", "allowed_networks"}


def plan_tables(connection: Connection) -> tuple[list[Repair], dict[Target, int]]:
    """Plan what to put right in Kamailio's tables; also count our rows in them."""
    plan = [
        Repair(
            Target.SUBSCRIBER,
            Action(row["action"]),
            row["username"],
            ", ".join(row["columns"]) or f"account {row['account_id']}",
            account_id=row["account_id"],
            kick=not row["columns"] or not _ADMITTING.isdisjoint(row["columns"]),
            drop_all=not _SECRET.isdisjoint(row["columns"]),
        )
        for row in sync_store.subscriber_differences(connection)
    ]
    plan += [
        Repair(Target.ADDRESS, Action(row["action"]), row["cidr"], row["tag"] or "")
        for row in sync_store.address_differences(connection)
    ]
    present = sync_store.rows_present(connection)
    counts = {
        Target.SUBSCRIBER: int(present["subscriber"]),
        Target.ADDRESS: int(present["address"]),
    }
    return plan, counts


def plan_node(connection: Connection, node: Node, kamailio: KamailioNode) -> list[Repair]:
    """Plan what to put right in a node's memory.

    All of it follows from the accounts' own words, so no limit applies: a binding goes because
    its account is disabled, or bound from outside its networks.
    """
    realm = store.realm(connection)
    usernames = bound_usernames(connection, kamailio, realm)
    plan = [
        *_bindings_unwanted(connection, node, kamailio, usernames, realm),
        *_bindings_outside(connection, node, kamailio, usernames, realm),
        *_calls_over(connection, node, kamailio),
    ]
    if not sync_store.reload_pending(connection, node.id):
        difference = allowlist_difference(connection, kamailio)
        if difference:
            repair = (Target.ALLOWLIST, Action.RELOAD, node.name, difference)
            plan.append(Repair(*repair, node_id=node.id))
        difference = trunks_difference(connection, kamailio)
        if difference:
            repair = (Target.TRUNKS, Action.RELOAD, node.name, difference)
            plan.append(Repair(*repair, node_id=node.id))
    return plan


def repair(
    connection: Connection,
    plan: Sequence[Repair],
    present: Mapping[Target, int],
    limits: Limits | None,
    actor: Actor = WORKER,
) -> list[Repair]:
    """Put a plan right, batch by batch, and write it down; return what was put right.

    Deletions beyond the limits (None: no limits) are left out, the rest is done. The connection
    must not be in a transaction.

    Raises:
        PlanDangerous: deletions were left out.
    """
    safe, refusal = reconcile.split(plan, present, limits) if limits else (plan, None)
    done = []
    addresses = [one for one in safe if one.target is Target.ADDRESS]
    others = [one for one in safe if one.target is not Target.ADDRESS]
    if addresses:
        with connection.transaction():
            _repair_addresses(connection)
            done += [one for one in addresses if _apply(connection, actor, one)]
    for start in range(0, len(others), BATCH):
        with connection.transaction():
            done += [one for one in others[start : start + BATCH] if _apply(connection, actor, one)]
    if refusal:
        raise PlanDangerous(refusal)
    return done


def _apply(connection: Connection, actor: Actor, one: Repair) -> bool:
    if not _REPAIRS[one.target](connection, one):
        log.error("cannot repair: %s: a row of the operator's own is in its place", one)
        return False
    sync_store.record_repair(connection, one)
    journal.record(connection, actor, _change(one))
    tallies.REPAIRS.labels(one.target, one.action).inc()
    log.warning("repair: %s", one)
    return True


def _change(one: Repair) -> Change:
    return Change(
        type=f"repair.{one.target}",
        subject=one.target,
        subject_id=one.key,
        after={"action": one.action, "detail": one.detail},
    )


def _repair_subscriber(connection: Connection, one: Repair) -> bool:
    sync_store.lock_account(connection, one.account_id)
    store.erase_unwanted_subscriber(connection, one.account_id)
    projected = store.project_subscriber(connection, one.account_id)
    if one.kick:
        store.kick(connection, one.key, drop_all=one.drop_all)
    return projected or one.action is Action.DELETE


def _repair_addresses(connection: Connection) -> None:
    """One statement puts all addresses right."""
    store.lock_networks(connection)
    if store.repair_addresses(connection):
        store.reload_allowlists(connection)


def _repaired_together(_: Connection, __: Repair) -> bool:
    return True


def _repair_binding(connection: Connection, one: Repair) -> bool:
    store.kick(connection, one.key, drop_all=one.drop_all, node_id=one.node_id)
    return True


def _repair_call(connection: Connection, one: Repair) -> bool:
    if one.kick:
        store.kick(connection, one.key, drop_all=False, node_id=one.node_id)
    else:
        sync_store.forget_call(connection, one.node_id, int(one.key))
    return True


def _repair_reload(connection: Connection, one: Repair) -> bool:
    store.reload_allowlists(connection, one.node_id)
    return True


_REPAIRS = {
    Target.SUBSCRIBER: _repair_subscriber,
    Target.ADDRESS: _repaired_together,
    Target.BINDING: _repair_binding,
    Target.ALLOWLIST: _repair_reload,
    Target.TRUNKS: _repair_reload,
    Target.CALL: _repair_call,
}


def bound_usernames(connection: Connection, kamailio: KamailioNode, realm: str) -> list[str]:
    """List the usernames of our realm that have bindings on a node. Ours are digits.

    Where there are many, they are those of the table, for a node takes longer to list them than it
    may (9 s for 60,000). What it has yet to write, within 10 s, the next comparison finds.
    """
    if sync_store.count_bindings(connection, LISTED_BY_NODE + 1) > LISTED_BY_NODE:
        return sync_store.bound_usernames(connection)
    suffix = aor_of("", realm)
    names = (aor.removesuffix(suffix) for aor in kamailio.aors() if aor.endswith(suffix))
    return [name for name in names if name.isascii() and name.isdigit()]


def _bindings_unwanted(
    connection: Connection,
    node: Node,
    kamailio: KamailioNode,
    usernames: Sequence[str],
    realm: str,
) -> Iterator[Repair]:
    """Find bindings of accounts that are disabled or have no credentials."""
    for row in sync_store.unwanted_bindings(connection, node.id, usernames):
        if kamailio.bindings(aor_of(row["username"], realm)):
            key, detail = row["username"], f"account {row['account_id']} may not register"
            yield Repair(Target.BINDING, Action.DELETE, key, detail, node_id=node.id, drop_all=True)


def _bindings_outside(
    connection: Connection,
    node: Node,
    kamailio: KamailioNode,
    usernames: Sequence[str],
    realm: str,
) -> Iterator[Repair]:
    """Find restricted accounts with a binding from outside their networks."""
    cloudfire = sync_store.cloudfire_cidrs(connection)
    restricted = sync_store.restricted_accounts(connection, usernames, idle_at=node.id)
    for username, sources in restricted:
        bindings = kamailio.bindings(aor_of(username, realm))
        cidrs = sources.networks(cloudfire)
        outside = [b.source for b in bindings if not is_inside(b.source_address, cidrs)]
        if outside:
            detail = f"bound from {', '.join(outside)}, outside the account's networks"
            yield Repair(Target.BINDING, Action.DELETE, username, detail, node_id=node.id)


def _calls_over(connection: Connection, node: Node, kamailio: KamailioNode) -> Iterator[Repair]:
    """Find calls that are over, or ought to be: a node's word that one has ended was lost, or its
    account was disabled while it began.
    """
    incarnation = kamailio.incarnation()
    if incarnation is None:
        return
    for row in sync_store.calls_unwanted(connection, node.id, incarnation):
        key, detail = row["username"], f"account {row['account_id']} may not have calls"
        yield Repair(Target.CALL, Action.DELETE, key, detail, node_id=node.id)
    # The calls first: a dialog that is gone by then has told what became of its call.
    begun = sync_store.calls_begun(connection, incarnation, CALL_AGE)
    dialogs = kamailio.dialogs() if begun else set()
    if dialogs is None:
        return
    legs = [row for row in begun if (row["dialog_entry"], row["dialog_id"]) not in dialogs]
    for call, numbers in _numbers_by_call(legs).items():
        detail = f"of {', '.join(numbers)}; the node does not know it"
        yield Repair(Target.CALL, Action.DELETE, str(call), detail, node_id=node.id, kick=False)


def _numbers_by_call(legs: Sequence[Mapping[str, Any]]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for leg in legs:
        found.setdefault(leg["call"], []).append(leg["account_number"])
    return found


def trunks_difference(connection: Connection, kamailio: KamailioNode) -> str:
    """Say how the trunks that a node has loaded differ from ours; empty where they do not, or
    where it has no dispatcher.
    """
    loaded = kamailio.trunks()
    if loaded is None:
        return ""
    wanted = {
        Destination(
            row["setid"],
            row["destination"],
            row["priority"],
            bool(row["flags"] & PROBING),
            row["attrs"],
        )
        for row in trunk_store.destinations(connection)
    }
    return reconcile.difference(missing=len(wanted - loaded), surplus=len(loaded - wanted))


def allowlist_difference(connection: Connection, kamailio: KamailioNode) -> str:
    """Say how what a node has loaded of our groups differs from the table; empty where it does not.

    Every row of ours must be loaded. Rows of the operator's own may be, as far as Kamailio can
    read them; anything else must not.
    """
    ours, known = set(), set()
    for row in sync_store.allowlist_rows(connection):
        with suppress(ValueError):
            entry = (row["grp"], str(ip_network((row["ip_addr"], row["mask"]), strict=False)))
            known.add(entry)
            ours |= {entry} if row["ours"] else set()
            # A mask of 0 is loaded as a single address.
            known.add((row["grp"], str(ip_network(row["ip_addr"]))))
    groups = sync_store.own_groups(connection)
    loaded = {entry for entry in kamailio.allowlist() if entry[0] in groups}
    return reconcile.difference(missing=len(ours - loaded), surplus=len(loaded - known))
