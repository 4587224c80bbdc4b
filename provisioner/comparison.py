"""The full comparison: read what is, plan what to put right, apply it.

It finds what a notification missed and what was edited by hand: in Kamailio's tables, in the
bindings and in the allowlists of each node's memory. Tables are repaired here; a node's memory is
repaired by leaving work for it, the same work that a change leaves.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network

from provisioner import reconcile, store, sync_store
from provisioner.db import Connection
from provisioner.kamailio import KamailioNode
from provisioner.model import Node
from provisioner.reconcile import Action, Limits, Repair, Target
from provisioner.registrations import aor_of

log = logging.getLogger(__name__)


def plan_tables(connection: Connection) -> tuple[list[Repair], dict[Target, int]]:
    """Plan what to put right in Kamailio's tables; also count our rows in them."""
    plan = [
        Repair(
            Target.SUBSCRIBER,
            Action(row["action"]),
            row["username"],
            ", ".join(row["columns"]) or f"account {row['account_id']}",
            account_id=row["account_id"],
            drop_all="ha1" in row["columns"],
        )
        for row in sync_store.subscriber_differences(connection)
    ]
    plan += [
        Repair(Target.ADDRESS, Action(row["action"]), row["cidr"], "cloudfire")
        for row in sync_store.address_differences(connection)
    ]
    present = sync_store.rows_present(connection)
    counts = {
        Target.SUBSCRIBER: int(present["subscriber"]),
        Target.ADDRESS: int(present["address"]),
    }
    return plan, counts


def plan_node(
    connection: Connection, node: Node, kamailio: KamailioNode
) -> tuple[list[Repair], dict[Target, int]]:
    """Plan what to put right in a node's memory; also count its AORs."""
    usernames = bound_usernames(connection, kamailio)
    plan = _bindings_unwanted(connection, node, kamailio, usernames)
    plan += _bindings_outside(connection, node, kamailio, usernames)
    if not sync_store.reload_pending(connection, node.id):
        repair = reconcile.allowlist_repair(
            node.id,
            node.name,
            _allowlist(connection),
            _own_groups(connection, kamailio),
        )
        plan += [repair] if repair else []
    return plan, {Target.BINDING: len(usernames)}


def apply(
    connection: Connection,
    plan: Sequence[Repair],
    present: Mapping[Target, int],
    limits: Limits | None,
) -> None:
    """Put a plan right in the present transaction, and record it.

    Raises:
        PlanDangerous: it deletes more than `limits` allow; nothing is done. None: no limits.
    """
    if limits:
        reconcile.check(plan, present, limits)
    for repair in plan:
        sync_store.record_repair(connection, repair)
        _REPAIRS[repair.target](connection, repair)


def repair(
    connection: Connection, plan: Sequence[Repair], present: Mapping[Target, int], limits: Limits
) -> None:
    """Apply a plan, and log what it puts right; PlanDangerous as `apply` does."""
    apply(connection, plan, present, limits)
    for one in plan:
        log.warning("repair: %s", one)


def _repair_subscriber(connection: Connection, repair: Repair) -> None:
    sync_store.lock_account(connection, repair.account_id)
    sync_store.erase_unwanted_subscriber(connection, repair.account_id)
    store.project_subscriber(connection, repair.account_id)
    # Who registered with the row as it was may not be allowed to.
    store.kick(connection, repair.key, drop_all=repair.drop_all)


def _repair_address(connection: Connection, _: Repair) -> None:
    if store.project_addresses(connection):
        store.reload_allowlists(connection)


def _repair_binding(connection: Connection, repair: Repair) -> None:
    store.kick(connection, repair.key, drop_all=repair.drop_all, node_id=repair.node_id)


def _repair_allowlist(connection: Connection, repair: Repair) -> None:
    store.reload_allowlists(connection, repair.node_id)


_REPAIRS = {
    Target.SUBSCRIBER: _repair_subscriber,
    Target.ADDRESS: _repair_address,
    Target.BINDING: _repair_binding,
    Target.ALLOWLIST: _repair_allowlist,
}


def bound_usernames(connection: Connection, kamailio: KamailioNode) -> list[str]:
    """List the usernames of our realm that have bindings on a node."""
    suffix = aor_of("", store.realm(connection))
    return [aor.removesuffix(suffix) for aor in kamailio.aors() if aor.endswith(suffix)]


def _bindings_unwanted(
    connection: Connection, node: Node, kamailio: KamailioNode, usernames: Sequence[str]
) -> list[Repair]:
    """Find bindings of accounts that are disabled or gone."""
    realm = store.realm(connection)
    return [
        Repair(
            Target.BINDING,
            Action.DELETE,
            row["username"],
            row["reason"],
            account_id=row["account_id"],
            node_id=node.id,
            drop_all=True,
        )
        for row in sync_store.unwanted_bindings(connection, node.id, usernames)
        if kamailio.bindings(aor_of(row["username"], realm))
    ]


def _bindings_outside(
    connection: Connection, node: Node, kamailio: KamailioNode, usernames: Sequence[str]
) -> list[Repair]:
    """Find restricted accounts with a binding from outside CloudFire's networks."""
    realm = store.realm(connection)
    cidrs = sync_store.cloudfire_cidrs(connection)
    found = []
    for username in sync_store.restricted_usernames(connection, usernames):
        bindings = kamailio.bindings(aor_of(username, realm))
        outside = [b.source for b in bindings if not is_inside(b.source_address, cidrs)]
        if outside:
            detail = f"bound from {', '.join(outside)}, outside CloudFire's networks"
            found.append(Repair(Target.BINDING, Action.DELETE, username, detail, node_id=node.id))
    return found


def is_inside(source: str, cidrs: Sequence[str]) -> bool:
    """Say whether an IP address is in one of the networks; what is no address is in none."""
    try:
        address = ip_address(source)
    except ValueError:
        return False
    return any(address in ip_network(cidr) for cidr in cidrs)


def _allowlist(connection: Connection) -> set[tuple[int, str]]:
    """List what Kamailio loads of our groups; it loads no row that is not an IP network."""
    entries = set()
    for row in sync_store.allowlist_rows(connection):
        with suppress(ValueError):
            network = ip_network((row["ip_addr"], row["mask"]), strict=False)
            entries.add((row["grp"], str(network)))
    return entries


def _own_groups(connection: Connection, kamailio: KamailioNode) -> set[tuple[int, str]]:
    groups = sync_store.own_groups(connection)
    return {entry for entry in kamailio.allowlist() if entry[0] in groups}
