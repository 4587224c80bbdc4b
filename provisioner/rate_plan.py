"""What a file of rates changes: each rate ends where the next of its side and prefix begins.

What has happened is not rewritten: a rate that begins in the past is taken only where no rate of
its prefix was in force then.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest

from provisioner.pricing import Rate, Side

IN_FORCE_THEN = "must be in the future: the prefix had another rate then"
BEGINS_THEN = "is when another rate of the prefix begins; delete that one first"
NEW = 0  # the id of a rate that is not stored yet

Key = tuple[Side, str]


@dataclass(frozen=True)
class Refusal:
    """Why the rate of a line is not taken: the rule that its `valid_from` breaks."""

    line: int
    rule: str


@dataclass(frozen=True)
class RatePlan:
    """The rates to add, those whose end changes (with the new one), and how many exist already."""

    added: list[Rate]
    ended: list[Rate]
    unchanged: int
    refusals: list[Refusal]


def plan(present: Iterable[Rate], wanted: Iterable[tuple[int, Rate]], now: datetime) -> RatePlan:
    """Plan the rates of a file, each with its line, among those that are present."""
    timelines = _Timelines(present)
    unchanged = 0
    refusals = []
    for line, rate in wanted:
        rule = timelines.refused(line, rate, now)
        if rule:
            refusals.append(Refusal(line, rule))
        elif timelines.has(rate):
            unchanged += 1
        else:
            timelines.add(rate)
    found = timelines.changed()
    added = [rate for rate in found if rate.id == NEW]
    ended = [rate for rate in found if rate.id != NEW]
    return RatePlan(added, ended, unchanged, refusals)


class _Timelines:
    """The rates of each side and prefix by when they begin."""

    def __init__(self, present: Iterable[Rate]) -> None:
        self._rates: defaultdict[Key, dict[datetime, Rate]] = defaultdict(dict)
        self._before: dict[int, Rate] = {}
        self._touched: dict[Key, None] = {}  # in the order of the file
        self._lines: dict[tuple[Key, datetime], int] = {}
        for rate in present:
            self._rates[_key(rate)][rate.valid_from] = rate
            self._before[rate.id] = rate

    def refused(self, line: int, rate: Rate, now: datetime) -> str | None:
        """Return the rule that a rate breaks; None if it breaks none."""
        earlier = self._lines.setdefault((_key(rate), rate.valid_from), line)
        if earlier != line:
            return f"is that of the same prefix in line {earlier}"
        if self.has(rate):
            return None
        if rate.valid_from <= now and self._in_force(rate):
            return IN_FORCE_THEN
        return BEGINS_THEN if rate.valid_from in self._rates[_key(rate)] else None

    def has(self, rate: Rate) -> bool:
        """Say whether a rate is there already, all of it the same."""
        there = self._rates[_key(rate)].get(rate.valid_from)
        return there is not None and _bare(there) == _bare(rate)

    def add(self, rate: Rate) -> None:
        """Put a rate in its place."""
        self._rates[_key(rate)][rate.valid_from] = rate
        self._touched[_key(rate)] = None

    def changed(self) -> list[Rate]:
        """Return the rates that are new or end at another time."""
        return [
            rate
            for key in self._touched
            for rate in chained(self._rates[key].values())
            if rate != self._before.get(rate.id)
        ]

    def _in_force(self, wanted: Rate) -> bool:
        """Say whether a stored rate was in force when another one is to begin."""
        return any(
            rate.id != NEW
            and rate.valid_from <= wanted.valid_from
            and (rate.valid_until is None or rate.valid_until > wanted.valid_from)
            for rate in self._rates[_key(wanted)].values()
        )


def chained(rates: Iterable[Rate]) -> list[Rate]:
    """Return a prefix's rates in their order, each ending where the next begins or earlier."""
    ordered = sorted(rates, key=lambda rate: rate.valid_from)
    following = (rate.valid_from for rate in ordered[1:])
    return [
        replace(rate, valid_until=min(filter(None, (rate.stated_until, end)), default=None))
        for rate, end in zip_longest(ordered, following)
    ]


def _key(rate: Rate) -> Key:
    return rate.side, rate.prefix


def _bare(rate: Rate) -> Rate:
    """Return what a file says of a rate."""
    return replace(rate, id=NEW, valid_until=None)
