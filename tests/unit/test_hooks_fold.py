"""Whatever the order in which a story's events arrive, it ends in the same state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.hooks.fold import BEFORE_ALL, Decision, Event, Status, decide, fold
from provisioner.model import NumberState

CREATED = {"name": "Front desk", "main_number": "+390612345678", "voice_channels": 2}


def account(verb: str, version: int, **sets: Any) -> Event:
    return Event(f"{verb}-{version}", f"account.{verb}", version, sets)


def number(verb: str, version: int, **sets: Any) -> Event:
    return Event(f"{verb}-{version}", f"number.{verb}", version, sets)


def created(version: int, **sets: Any) -> Event:
    return account("created", version, **CREATED | sets)


@dataclass
class World:
    """One subject, and what was done to it."""

    actual: dict[str, Any] | None = None
    base: Mapping[str, Any] | None = None
    events: dict[str, Event] = field(default_factory=dict)
    born: tuple[int, str] = BEFORE_ALL
    births: int = 0

    def __post_init__(self) -> None:
        self.actual = dict(self.base) if self.base is not None else None

    def receive(self, event: Event) -> Decision:
        if event.id in self.events:
            return Decision(Status.APPLIED)
        self.events[event.id] = event
        decision = decide(event, self.events.values(), self.actual, self.base, self.born)
        if decision.delete:
            self.actual = None
        if decision.create is not None:
            self.actual = dict(decision.create)
            self.born = decision.begun
            self.births += 1
        if decision.change:
            assert self.actual is not None
            self.actual |= decision.change
        return decision

    def receive_all(self, events: Iterable[Event]) -> "World":
        for event in events:
            self.receive(event)
        return self


VERBS = st.sampled_from(["created", "updated", "enabled", "disabled", "teams_linked", "deleted"])
SETS = {"name": st.sampled_from("ABC"), "voice_channels": st.integers(1, 3)}


@st.composite
def account_events(draw: st.DrawFn) -> list[Event]:
    def event(index: int) -> Event:
        verb = draw(VERBS)
        sets: dict[str, Any] = {}
        if verb == "created":
            sets = draw(st.fixed_dictionaries(SETS))
        elif verb == "updated":
            sets = draw(st.fixed_dictionaries({}, optional=SETS))
        return Event(f"id{index}", f"account.{verb}", draw(st.integers(0, 6)), sets)

    return [event(index) for index in range(draw(st.integers(0, 8)))]


@st.composite
def number_events(draw: st.DrawFn) -> list[Event]:
    def event(index: int) -> Event:
        verb = draw(st.sampled_from(["created", "updated", "ceased"]))
        sets = {} if verb == "ceased" else {"state": draw(st.sampled_from(NumberState)).value}
        return Event(f"id{index}", f"number.{verb}", draw(st.integers(0, 6)), sets)

    return [event(index) for index in range(draw(st.integers(0, 7)))]


STORIES = st.one_of(account_events(), number_events())


@given(st.data(), STORIES)
def test_any_order_with_repetitions_has_the_same_outcome(
    data: st.DataObject, events: list[Event]
) -> None:
    other = data.draw(st.permutations(events))
    repeated = other + data.draw(st.lists(st.sampled_from(events))) if events else []
    assert fold(repeated) == fold(events)


@given(st.data(), STORIES)
def test_any_order_of_arrival_leaves_the_same_subject(
    data: st.DataObject, events: list[Event]
) -> None:
    one = World().receive_all(events)
    other = World().receive_all(data.draw(st.permutations(events)))
    assert one.actual == other.actual
    desired = fold(events).subject
    assert one.actual == (dict(desired.fields) if desired else None)


@given(st.data(), account_events())
def test_so_it_is_with_an_account_that_was_there_before(
    data: st.DataObject, events: list[Event]
) -> None:
    base = {"state": "enabled"}
    one = World(base=base).receive_all(events)
    other = World(base=base).receive_all(data.draw(st.permutations(events)))
    assert one.actual == other.actual


def test_an_account_is_created_disabled() -> None:
    world = World()
    assert world.receive(created(1)).status is Status.APPLIED
    assert world.actual == CREATED | {"state": "disabled"}


def test_what_comes_before_its_creation_waits_and_then_counts() -> None:
    world = World()
    assert world.receive(account("enabled", 3)).status is Status.WAITING
    assert world.receive(account("updated", 2, name="Reception")).status is Status.WAITING
    world.receive(created(1))
    assert world.actual == CREATED | {"state": "enabled", "name": "Reception"}


def test_an_older_event_never_overwrites_a_newer_one() -> None:
    world = World().receive_all([created(1), account("disabled", 4)])
    late = world.receive(account("enabled", 3))
    assert (late.status, late.acts) == (Status.SUPERSEDED, False)


def test_an_older_event_still_sets_what_no_newer_one_has_set() -> None:
    world = World().receive_all([created(1), account("updated", 3, name="C")])
    late = world.receive(account("updated", 2, name="B", voice_channels=3))
    assert (late.status, late.change) == (Status.APPLIED, {"voice_channels": 3})


def test_only_what_an_event_names_is_changed() -> None:
    world = World().receive_all([created(1)])
    world.actual = {**CREATED, "state": "disabled", "name": "Edited in the console"}
    assert world.receive(account("enabled", 2)).change == {"state": "enabled"}


def test_a_newer_event_counts_again_after_an_edit_in_the_console() -> None:
    world = World().receive_all([created(1), account("enabled", 2)])
    world.actual = {**CREATED, "state": "disabled"}
    assert world.receive(account("enabled", 3)).change == {"state": "enabled"}


def test_what_is_created_after_a_deletion_is_new_even_if_the_deletion_comes_late() -> None:
    world = World().receive_all([created(1), account("enabled", 2), created(4, name="New")])
    late = world.receive(account("deleted", 3))
    assert late.delete
    assert world.actual == CREATED | {"state": "disabled", "name": "New"}


def test_an_event_about_a_former_account_leaves_the_present_one_alone() -> None:
    world = World().receive_all([created(4)])
    late = [created(1, name="Old"), account("enabled", 2), account("deleted", 3)]
    assert not any(world.receive(event).acts for event in late)
    assert world.actual == CREATED | {"state": "disabled"}
    assert world.births == 1


def test_an_event_of_an_account_whose_creation_was_refused_waits() -> None:
    events = [created(1), account("enabled", 2)]
    assert decide(events[1], events, None).status is Status.WAITING
    assert decide(events[0], events, None).create == CREATED | {"state": "enabled"}


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (0, 1, 3, 2)])
def test_a_number_goes_through_the_states_that_its_events_name(order: tuple[int, ...]) -> None:
    story = [
        number("created", 1, state="active"),
        number("ceased", 2),
        number("updated", 3, state="ordered"),
        number("updated", 4, state="active"),
    ]
    world = World()
    decisions = [world.receive(story[index]) for index in order]
    assert world.actual == {"state": "active"}
    assert decisions[-1].path in ((), ("active", "ceased", "ordered", "active"))


def test_a_state_that_a_number_cannot_have_next_is_refused() -> None:
    world = World().receive_all([number("created", 1, state="active")])
    refused = world.receive(number("updated", 2, state="ordered"))
    assert (refused.status, refused.illegal) == (Status.REJECTED, True)
    assert world.actual == {"state": "active"}
