"""What the worker reads and writes: one function a query, as in `store`."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import DictRow

from provisioner import webhook_store
from provisioner.db import Connection, atomically, one, rows, run, send, together
from provisioner.model import Node, NodeReplica
from provisioner.queries import NETWORKS, SYNC
from provisioner.reconcile import Repair
from provisioner.sources import Sources

REPAIRS_KEPT = 90  # days; the audit trail keeps them for good
PRUNED = 10_000  # repairs at once


@dataclass(frozen=True)
class Kick:
    """Work for one node about one username, and what decides it now.

    `confirmed` is True where the node has done it once and a second look is due; `asked_at` is when
    it was left, and `late` True where that was a while ago.
    """

    username: str
    generation: int
    drop_all: bool
    confirmed: bool
    may_register: bool
    cloudfire: bool
    own: Sequence[str]
    asked_at: datetime
    late: bool

    @property
    def sources(self) -> Sources:
        """Where bindings may come from."""
        return Sources(self.cloudfire, tuple(self.own))

    @property
    def drops_all(self) -> bool:
        """True where no binding may stay."""
        return self.drop_all or not self.may_register

    @property
    def drops_older(self) -> bool:
        """True where bindings may stay that are newer than the work: devices may have registered
        meanwhile, with other nodes that share their bindings with this one.
        """
        return self.drop_all and self.may_register and self.late

    @property
    def drops_everything(self) -> bool:
        """True where no binding may stay, however new it is."""
        return self.drops_all and not self.drops_older


@dataclass(frozen=True)
class Confirmed:
    """Work that a node has done: whose (None: not an account's), the request that asked for it, the
    span that it was asked in, and how long ago that was.
    """

    account_id: int | None
    generation: int
    request_id: str | None
    traceparent: str | None
    ms: float | None


@dataclass(frozen=True)
class LiveCall:
    """A call at a node, as the node knows it: its dialog, and the INVITE that began it."""

    call: int
    dialog_entry: int
    dialog_id: int
    sip_call_id: str
    sip_cseq: int
    answered: bool


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a node: that it drains, or not. And for how many seconds it has not done
    all that it was asked for; None where it has.
    """

    draining: bool
    behind: float | None


def nodes(connection: Connection) -> list[Node]:
    """List the nodes with how much each has yet to confirm."""
    return [Node.from_row(row) for row in rows(connection, SYNC["nodes"])]


def save_node(connection: Connection, name: str, rpc_url: str) -> None:
    """Make a node known, or its name or address what it is now."""
    run(connection, SYNC["node_rename"], name=name, rpc_url=rpc_url)
    run(connection, SYNC["node_upsert"], name=name, rpc_url=rpc_url)


def insert_node(connection: Connection, name: str, rpc_url: str) -> bool:
    """Make a node known; False where its name or its address is that of a node already."""
    return run(connection, SYNC["node_insert"], name=name, rpc_url=rpc_url) == 1


def drain_node(connection: Connection, name: str, *, draining: bool) -> bool:
    """Note whether a node shall drain; False where that was wanted already."""
    return run(connection, SYNC["node_drain"], name=name, draining=draining) == 1


def delete_node(connection: Connection, name: str) -> bool:
    """Forget a node and its pending work; False where there is none of that name."""
    return run(connection, SYNC["node_delete"], name=name) == 1


def lock_node(connection: Connection, node_id: int) -> bool:
    """Claim a node for this session; False where another session has it."""
    row = one(connection, SYNC["node_lock"], node_id=node_id)
    return bool(row and row["locked"])


def node(connection: Connection, name: str) -> Node | None:
    """Find a node by its name."""
    return next((node for node in nodes(connection) if node.name == name), None)


def node_seen(
    connection: Connection,
    node: Node,
    state: str,
    started_at: datetime,
    *,
    refuses: bool,
    dialogs: int | None,
) -> Wanted | None:
    """Record that a node answered, whether it refuses what is new, and how many calls it has;
    return what is wanted of it. None where it is no longer known by this address.
    """
    row = one(
        connection,
        SYNC["node_seen"],
        node_id=node.id,
        rpc_url=node.rpc_url,
        state=state,
        started_at=started_at,
        refuses=refuses,
        dialogs=dialogs,
    )
    return None if row is None else Wanted(**row)


def node_mark(connection: Connection, node_id: int) -> datetime | None:
    """Return when a node was last seen, by the database that is asked; None where it knows of no
    such node.
    """
    row = one(connection, SYNC["node_mark"], node_id=node_id)
    return None if row is None else row["last_seen_at"]


def node_replica(connection: Connection, node_id: int, replica: NodeReplica | None) -> None:
    """Record the replica that a node reads from, if it has one."""
    names = ("address", "state", "lag_seconds")
    found = dict.fromkeys(names) if replica is None else vars(replica)
    run(connection, SYNC["node_replica"], node_id=node_id, **found)


def node_calls_itself(connection: Connection, node_id: int, incarnation: str | None) -> None:
    """Note what a node calls itself; the calls of the process before it are over."""
    with connection.transaction():
        former = one(connection, SYNC["node_former"], node_id=node_id, incarnation=incarnation)
        if former:
            run(connection, SYNC["node_forget"], incarnation=former["incarnation"])
        run(connection, SYNC["node_incarnation"], node_id=node_id, incarnation=incarnation)


def node_away(connection: Connection, node_id: int, error: str) -> None:
    """Record that a node does not answer."""
    run(connection, SYNC["node_away"], node_id=node_id, error=error)


def node_failing(connection: Connection, node_id: int, error: str) -> None:
    """Record that a node answers, but not as it should."""
    run(connection, SYNC["node_failing"], node_id=node_id, error=error)


def node_compared(connection: Connection, node_id: int) -> None:
    """Record that a node has been compared with the desired state."""
    send(connection, SYNC["node_compared"], node_id=node_id)


def seconds_behind(connection: Connection, node_id: int) -> float | None:
    """Return for how long a node has not been told of all changes; None where it is not known."""
    row = one(connection, SYNC["node_behind"], node_id=node_id)
    return None if row is None else float(row["seconds"])


def work_due(
    connection: Connection, node_id: int, limit: int, longest: float
) -> tuple[list[Kick], int | None]:
    """Return the kicks that are due, oldest first, and the generation of the allowlists that the
    node has to load now, if any. `longest` is how far ahead a reload may have been put off (s).
    """
    with together(connection):
        kicks = connection.execute(SYNC["kicks_due"], {"node_id": node_id, "limit": limit})
        reloads = connection.execute(SYNC["reload_due"], {"node_id": node_id, "longest": longest})
    reload = reloads.fetchone()
    return [Kick(**row) for row in kicks], int(reload["generation"]) if reload else None


def second_looks_due(connection: Connection, node_id: int, limit: int) -> list[Kick]:
    """List work that was done once, and has to be done again by now."""
    found = rows(connection, SYNC["second_looks_due"], node_id=node_id, limit=limit)
    return [Kick(**row) for row in found]


def confirm_kicks(
    connection: Connection,
    node_id: int,
    kicks: Sequence[Kick],
    again_after: float,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Confirmed]:
    """Note that a node did its work; a second look is due `again_after` seconds from now.

    Returns what that confirms: all but what a newer change asks for again. Something else may be
    done `meanwhile`.
    """
    usernames = [kick.username for kick in kicks]
    confirm = {"node_id": node_id, "again_after": again_after, **_done(kicks)}
    with atomically(connection, meanwhile):
        send(connection, SYNC["accounts_lock"], usernames=usernames)
        confirmed = connection.execute(SYNC["kicks_confirm"], confirm)
        send(connection, SYNC["accounts_converged"], usernames=usernames)
        webhook_store.publish_converged(connection, usernames)
    return [Confirmed(**row) for row in confirmed]


def calls_to_end(
    connection: Connection,
    node_id: int,
    incarnation: str | None,
    usernames: Sequence[str],
    dropped: Sequence[str] = (),
) -> dict[str, list[LiveCall]]:
    """List the calls, by username, that a node has to end of those for whom work is due, after
    deleting the stored rows of the bindings that it has `dropped` from its memory.
    """
    parameters = {"node_id": node_id, "incarnation": incarnation, "usernames": list(usernames)}
    with together(connection):
        send(connection, SYNC["bindings_erase"], usernames=list(dropped))
        legs = connection.execute(SYNC["calls_to_end"], parameters)
    found: dict[str, list[LiveCall]] = {}
    for row in legs:
        found.setdefault(row.pop("username"), []).append(LiveCall(**row))
    return found


def end_calls(connection: Connection, calls: Sequence[int]) -> None:
    """Record answered calls as over that their node has ended, where it has not done so itself."""
    run(connection, SYNC["calls_end"], calls=list(calls))


def calls_unwanted(connection: Connection, node_id: int, incarnation: str) -> list[DictRow]:
    """List who has calls at a node that no work will end: account_id, username."""
    return rows(connection, SYNC["calls_unwanted"], node_id=node_id, incarnation=incarnation)


def calls_begun(connection: Connection, incarnation: str, seconds: float) -> list[DictRow]:
    """List the legs at a node that began more than `seconds` ago: call, account_number,
    dialog_entry, dialog_id.
    """
    return rows(connection, SYNC["calls_begun"], incarnation=incarnation, seconds=seconds)


def forget_call(connection: Connection, node_id: int | None, call: int) -> None:
    """Record a call that a node does not know any more as over."""
    send(connection, SYNC["call_forget"], node_id=node_id, call=call)


def record_lost_calls(connection: Connection) -> None:
    """Record the calls of nodes that have not been heard of for too long."""
    run(connection, SYNC["lost_calls_record"])


def shows_kicks(connection: Connection, node_id: int, kicks: Sequence[Kick]) -> bool:
    """Say whether a replica of the database shows work, and so the changes that left it."""
    row = one(connection, SYNC["kicks_shown"], node_id=node_id, **_done(kicks))
    return bool(row and row["shown"])


def postpone_kick(connection: Connection, node_id: int, kick: Kick, seconds: float) -> None:
    """Try a node's work about a username again later."""
    send(
        connection,
        SYNC["kick_postpone"],
        node_id=node_id,
        username=kick.username,
        seconds=seconds,
    )


def finish_kicks(connection: Connection, node_id: int, kicks: Sequence[Kick]) -> None:
    """Delete work that a node did twice."""
    send(connection, SYNC["kicks_finish"], node_id=node_id, **_done(kicks))


def _done(kicks: Sequence[Kick]) -> dict[str, list[Any]]:
    return {
        "usernames": [kick.username for kick in kicks],
        "generations": [kick.generation for kick in kicks],
    }


def seconds_to_next_work(connection: Connection, node_id: int) -> float | None:
    """Return how long until a node's next work is due; None where there is none."""
    row = one(connection, SYNC["kick_next"], node_id=node_id)
    if row is None or row["due_at"] is None:
        return None
    return max(0.0, float((row["due_at"] - row["now"]).total_seconds()))


def count_bindings(connection: Connection, limit: int) -> int:
    """Count the stored rows of bindings, up to a limit."""
    row = one(connection, SYNC["bindings_count"], limit=limit)
    return int(row["bindings"]) if row else 0


def bound_usernames(connection: Connection) -> list[str]:
    """List the usernames of our realm with stored rows of bindings, whichever node wrote them."""
    return [str(row["username"]) for row in rows(connection, SYNC["bound_usernames"])]


def erase_binding(connection: Connection, ruid: str) -> None:
    """Delete the stored row of one binding."""
    send(connection, SYNC["binding_erase"], ruid=ruid)


def reload_pending(connection: Connection, node_id: int) -> bool:
    """Say whether a node has yet to load the allowlists."""
    return one(connection, SYNC["reload_pending"], node_id=node_id) is not None


def postpone_reload(connection: Connection, node_id: int, seconds: float) -> None:
    """Try a node's reload again later."""
    send(connection, SYNC["reload_postpone"], node_id=node_id, seconds=seconds)


def finish_reload(connection: Connection, node_id: int, generation: int) -> list[Confirmed]:
    """Note that a node holds the allowlists of a generation; what that confirms, if anything."""
    finish = {"node_id": node_id, "generation": generation}
    with atomically(connection):
        # Locks in the order in which a change of a network takes them.
        send(connection, NETWORKS["networks_lock"])
        confirmed = connection.execute(SYNC["reload_finish"], finish)
    return [Confirmed(**row) for row in confirmed]


def restricted_accounts(
    connection: Connection, usernames: Collection[str], *, idle_at: int | None = None
) -> list[tuple[str, Sources]]:
    """Pick the usernames that may register, but not from anywhere, with where they may; of those
    about which the node `idle_at` has work none.
    """
    found = rows(
        connection, SYNC["restricted_accounts"], usernames=list(usernames), node_id=idle_at
    )
    return [(row["username"], Sources(row["cloudfire"], tuple(row["own"]))) for row in found]


def cloudfire_cidrs(connection: Connection) -> list[str]:
    """List CloudFire's networks."""
    return [str(row["cidr"]) for row in rows(connection, SYNC["cloudfire_cidrs"])]


def allowlist_rows(connection: Connection) -> list[DictRow]:
    """List the rows of Kamailio's address table in our groups: grp, ip_addr, mask, ours."""
    return rows(connection, SYNC["allowlist_rows"])


def own_groups(connection: Connection) -> set[int]:
    """Return the groups of Kamailio's address table that our networks have."""
    return {int(row["source_group"]) for row in rows(connection, SYNC["own_groups"])}


def unwanted_bindings(
    connection: Connection, node_id: int, usernames: Collection[str]
) -> list[DictRow]:
    """Pick the usernames of our accounts that may have no binding: username, account_id."""
    return rows(connection, SYNC["bindings_unwanted"], node_id=node_id, usernames=list(usernames))


def subscriber_differences(connection: Connection) -> list[DictRow]:
    """Subtract Kamailio's subscriber rows from those that ought to exist."""
    return rows(connection, SYNC["subscriber_differences"])


def address_differences(connection: Connection) -> list[DictRow]:
    """Subtract Kamailio's address rows from those that ought to exist."""
    return rows(connection, SYNC["address_differences"])


def rows_present(connection: Connection) -> DictRow:
    """Count our rows in Kamailio's tables: subscriber, address."""
    row = one(connection, SYNC["rows_present"])
    assert row is not None  # noqa: S101 - it counts
    return row


def claim_comparison(connection: Connection) -> bool:
    """Claim the tables' comparison for this session; False where another has it."""
    row = one(connection, SYNC["comparison_lock"])
    return bool(row and row["locked"])


def lock_account(connection: Connection, account_id: int) -> None:
    """Wait for all other changes of an account, if it exists."""
    send(connection, SYNC["account_lock"], account_id=account_id)


def record_repair(connection: Connection, repair: Repair) -> None:
    """Record what a comparison puts right."""
    send(
        connection,
        SYNC["repair_insert"],
        node_id=repair.node_id,
        target=repair.target,
        action=repair.action,
        key=repair.key,
        detail=repair.detail,
    )


def prune_repairs(connection: Connection) -> None:
    """Forget old repairs."""
    run(connection, SYNC["repairs_prune"], days=REPAIRS_KEPT, limit=PRUNED)


def latest_repairs(connection: Connection, limit: int) -> list[DictRow]:
    """List what was repaired last: `at`, `node` (its name, if one), `target`, `action`, `key`."""
    return rows(connection, SYNC["repairs_latest"], limit=limit)
