"""What a subject's events amount to, in whatever order they arrive. Nothing here acts.

Each subject (an account or a number of the portal) has events with a version. Its desired state is
the fold of all of them in the order of their versions, so the order of arrival cannot matter. What
an event changes is what it decides in that fold: the fields that no newer event sets.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any

from provisioner.model import AccountState, NumberState


class Kind(StrEnum):
    """What an event is about."""

    ACCOUNT = "account"
    NUMBER = "number"


class Status(StrEnum):
    """What became of an event. REJECTED and CONFLICT are not the fold's to say."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    WAITING = "waiting"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    DISMISSED = "dismissed"


STATES = {
    "account.enabled": AccountState.ENABLED,
    "account.disabled": AccountState.DISABLED,
    "account.teams_linked": AccountState.LINKED_TO_TEAMS,
    "number.ceased": NumberState.CEASED,
}


@dataclass(frozen=True)
class Event:
    """One event of a subject. `sets` are the fields that its data names, a state included."""

    id: str
    type: str
    version: int
    sets: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[int, str]:
        """Return what orders events; of two with one version always the same is the later."""
        return self.version, self.id

    @property
    def verb(self) -> str:
        """Return the second half of its type."""
        return self.type.partition(".")[2]

    @property
    def fields(self) -> dict[str, Any]:
        """Return all fields that it sets, with the state that its type stands for."""
        state = STATES.get(self.type)
        return dict(self.sets) | ({} if state is None else {"state": state.value})


@dataclass(frozen=True)
class Desired:
    """A subject as its events want it. `begun` is the rank of the last event that created it."""

    begun: tuple[int, str]
    fields: Mapping[str, Any]
    deciders: Mapping[str, str]  # field -> id of the event that decides it

    def with_fields(self, fields: Mapping[str, Any], event: Event) -> "Desired":
        """Return it with some fields decided by an event."""
        return replace(
            self,
            fields={**self.fields, **fields},
            deciders={**self.deciders, **dict.fromkeys(fields, event.id)},
        )


@dataclass(frozen=True)
class Folded:
    """The outcome: the subject (None: there is none), and the events that could not count.

    `waiting` are events without a subject; `illegal` those that a number's life does not allow;
    `path` the states that a number goes through.
    """

    subject: Desired | None
    waiting: frozenset[str]
    illegal: frozenset[str]
    path: tuple[str, ...]


BEFORE_ALL = (-1, "")  # the rank of what was there before the first event


def in_order(events: Iterable[Event]) -> list[Event]:
    """Sort events by rank, each once."""
    return sorted({event.id: event for event in events}.values(), key=lambda event: event.rank)


def fold(events: Iterable[Event], base: Mapping[str, Any] | None = None) -> Folded:
    """Fold a subject's events; `base` are its fields if it was there before the first of them."""
    subject = Desired(BEFORE_ALL, dict(base), {}) if base is not None else None
    waiting, illegal = set(), set()
    path = [base["state"]] if base is not None else []
    for event in in_order(events):
        if subject is None and event.verb != "created":
            waiting.add(event.id)
        elif subject is not None and not _is_legal(subject, event):
            illegal.add(event.id)
        else:
            subject = _after(subject, event)
            path += [subject.fields["state"]] if subject else []
    return Folded(subject, frozenset(waiting), frozenset(illegal), tuple(path))


def _is_legal(subject: Desired, event: Event) -> bool:
    """Say whether a number's life allows an event; an account's allows everything."""
    state = event.fields.get("state")
    if state is None or not event.type.startswith("number."):
        return True
    return NumberState(subject.fields["state"]).may_become(NumberState(state))


def _after(subject: Desired | None, event: Event) -> Desired | None:
    """Return a subject as an event leaves it. What is created has nothing of what was before."""
    if event.verb == "deleted":
        return None
    if subject is None or event.verb == "created":
        initial = {"state": AccountState.DISABLED.value} | event.fields
        return Desired(event.rank, {}, {}).with_fields(initial, event)
    return subject.with_fields(event.fields, event)


@dataclass(frozen=True)
class Decision:
    """What one event makes of a subject as it is: at most one deletion, creation and change."""

    status: Status
    delete: bool = False
    create: Mapping[str, Any] | None = None
    begun: tuple[int, str] = BEFORE_ALL
    change: Mapping[str, Any] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    illegal: bool = False

    @property
    def acts(self) -> bool:
        """True where something has to be done."""
        return self.delete or self.create is not None or bool(self.change)


def decide(
    event: Event,
    events: Iterable[Event],
    actual: Mapping[str, Any] | None,
    base: Mapping[str, Any] | None = None,
    born: tuple[int, str] = BEFORE_ALL,
) -> Decision:
    """Say what an event makes of a subject whose `events` (it among them) are known.

    `actual` is what there is of the subject, in the fields' names; None where there is nothing.
    `born` is the `begun` of the decision that created it.
    """
    events = list(events)
    before = fold([other for other in events if other.id != event.id], base)
    after = fold(events, base)
    if event.id in after.waiting:
        return Decision(Status.WAITING)
    if event.id in after.illegal:
        return Decision(Status.REJECTED, illegal=True)
    if after.subject is None:
        delete = actual is not None and before.subject is not None
        return Decision(_status(delete, event, events), delete=delete)
    if actual is None:
        return _without_it(event, before.subject, after.subject)
    if _is_another(born, after.subject, events):
        return _created(after.subject, delete=True)
    decided = _decided(event, before.subject, after.subject)
    change = {name: value for name, value in decided.items() if actual.get(name) != value}
    return Decision(_status(bool(decided), event, events), change=change, path=after.path)


def _created(desired: Desired, *, delete: bool = False) -> Decision:
    return Decision(Status.APPLIED, delete, desired.fields, desired.begun)


def _without_it(event: Event, before: Desired | None, desired: Desired) -> Decision:
    """Decide where the subject is not there: an event of its may wait for its creation only if
    that has been refused.
    """
    if before is None or event.verb == "created":
        return _created(desired)
    return Decision(Status.WAITING)


def _is_another(born: tuple[int, str], desired: Desired, events: Iterable[Event]) -> bool:
    """Say whether what there is ought to have been deleted before the desired one began."""
    return any(one.verb == "deleted" and born < one.rank < desired.begun for one in events)


def _decided(event: Event, before: Desired | None, after: Desired) -> dict[str, Any]:
    """Return the fields that an event decides, or that another event decides because of it."""
    former = before.deciders if before else {}
    return {
        name: value
        for name, value in after.fields.items()
        if name in after.deciders
        and (after.deciders[name] == event.id or after.deciders[name] != former.get(name))
    }


def _status(decides: bool, event: Event, events: Iterable[Event]) -> Status:
    """Call an event superseded where it decides nothing and a newer one has come."""
    newest = in_order(events)[-1]
    return Status.APPLIED if decides or newest.id == event.id else Status.SUPERSEDED


def settled(
    events: Iterable[Event], *, exists: bool, base: Mapping[str, Any] | None = None
) -> dict[str, Status]:
    """Say what became of events that have waited for their subject, once it is there (`exists`)
    or has been deleted again.
    """
    events = in_order(events)
    folded = fold(events, base)
    if folded.subject is not None and not exists:
        return {}
    counting = set(folded.subject.deciders.values()) if folded.subject else set()
    return {
        event.id: Status.APPLIED
        if event.id in counting or event is events[-1]
        else Status.SUPERSEDED
        for event in events
        if event.id not in folded.waiting | folded.illegal
    }


def steps(path: Sequence[str], present: str, wanted: str) -> list[str]:
    """Return the states through which a number goes from the present one to the wanted one, along
    the path that its events say.
    """
    if present not in path:
        return [wanted]
    start = len(path) - 1 - list(reversed(path)).index(present)
    return [state for former, state in pairwise(path[start:]) if state != former]
