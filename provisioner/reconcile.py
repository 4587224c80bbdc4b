"""Compares what ought to be with what is. The plan is a value; nothing here acts."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from provisioner.errors import PlanDangerous


class Target(StrEnum):
    """What a repair puts right."""

    SUBSCRIBER = "subscriber"
    ADDRESS = "address"
    BINDING = "binding"
    ALLOWLIST = "allowlist"


class Action(StrEnum):
    """How it is put right."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    RELOAD = "reload"


@dataclass(frozen=True)
class Repair:
    """One difference between the desired and the present state, and what becomes of it.

    `account_id` is 0 where no account of ours is concerned; `node_id` is None for the tables.
    """

    target: Target
    action: Action
    key: str
    detail: str
    account_id: int = 0
    node_id: int | None = None
    drop_all: bool = False

    def __str__(self) -> str:
        return f"{self.action:<6} {self.target:<10} {self.key}  ({self.detail})"


@dataclass(frozen=True)
class Limits:
    """How much a plan may delete: a share of the rows (0 to 1), or a number that is always fine."""

    share: float
    floor: int


def check(plan: Iterable[Repair], present: Mapping[Target, int], limits: Limits) -> None:
    """Refuse a plan that deletes more than it may of one target's present rows.

    Raises:
        PlanDangerous: names the target and both counts.
    """
    deletes: dict[Target, int] = {}
    for repair in plan:
        if repair.action is Action.DELETE:
            deletes[repair.target] = deletes.get(repair.target, 0) + 1
    for target, count in deletes.items():
        total = present.get(target, 0)
        if count > limits.floor and count > limits.share * total:
            raise PlanDangerous(
                f"The plan would delete {count} of {total} {target} rows, more than "
                f"{limits.share:.0%} of them: look at it with `provisioner sync`, and if it is "
                "right, apply it with `provisioner sync --apply --force`."
            )


def allowlist_repair(
    node_id: int,
    node: str,
    desired: Collection[tuple[int, str]],
    loaded: Collection[tuple[int, str]],
) -> Repair | None:
    """Say what a node's loaded allowlists lack or hold too much; None where they are right.

    Both sides are (group, CIDR) pairs of our own groups.
    """
    missing = len(set(desired) - set(loaded))
    surplus = len(set(loaded) - set(desired))
    if not missing + surplus:
        return None
    detail = f"{missing} entries missing, {surplus} too many in the node's memory"
    return Repair(Target.ALLOWLIST, Action.RELOAD, node, detail, node_id=node_id)
