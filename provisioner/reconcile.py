"""Compares what ought to be with what is. The plan is a value; nothing here acts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Target(StrEnum):
    """What a repair puts right."""

    SUBSCRIBER = "subscriber"
    ADDRESS = "address"
    BINDING = "binding"
    ALLOWLIST = "allowlist"
    TRUNKS = "trunks"
    CALL = "call"


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
    `kick`: the account's bindings and calls must be looked at; `drop_all`: all of them go.
    """

    target: Target
    action: Action
    key: str
    detail: str
    account_id: int = 0
    node_id: int | None = None
    kick: bool = True
    drop_all: bool = False

    def __str__(self) -> str:
        return f"{self.action:<6} {self.target:<10} {self.key}  ({self.detail})"


@dataclass(frozen=True)
class Limits:
    """How much a plan may delete: a share of the rows (0 to 1), or a number that is always fine."""

    share: float
    floor: int


def split(
    plan: Sequence[Repair], present: Mapping[Target, int], limits: Limits
) -> tuple[list[Repair], str]:
    """Part a plan into what may be done, and why the rest may not (empty where all of it may).

    Deletions of a target are refused together where they exceed the limits; everything else may
    be done.
    """
    refused: dict[Target, str] = {}
    for target, total in present.items():
        count = sum(one.target is target and one.action is Action.DELETE for one in plan)
        if count > limits.floor and count > limits.share * total:
            refused[target] = (
                f"The plan would delete {count} of {total} {target} rows, more than "
                f"{limits.share:.0%} of them. Look at it with `provisioner sync`; if it is right, "
                "apply it with `provisioner sync --apply --force`."
            )
    safe = [one for one in plan if one.target not in refused or one.action is not Action.DELETE]
    return safe, " ".join(refused.values())


def difference(*, missing: int, surplus: int) -> str:
    """Put in words how what is loaded differs; empty where it does not."""
    if not missing + surplus:
        return ""
    return f"{missing} entries missing, {surplus} too many in the node's memory"
