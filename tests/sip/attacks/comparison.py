"""What a registrar's answers tell of names: by their bytes, and by how long they take."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_left, bisect_right
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from tests.sip.attacks.stranger import METHODS, Question, Stranger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tests.sip.clients import Registrar

_AT_ONCE = 8
"""Names that are asked about at the same time."""


class Way(NamedTuple):
    """One way to ask about a name: `foreign` as in `Question`; `guess`: without credentials (0),
    with wrong ones for the challenge (1), and with others for the same one (2).
    """

    method: str
    foreign: bool
    guess: int


class Difference(NamedTuple):
    """A name that was answered in another way than most are."""

    name: str
    way: Way
    answer: tuple[bytes, ...]


Answers = dict[Way, dict[str, tuple[bytes, ...]]]


def interrogate(registrar: Registrar, realm: str, names: Iterable[str]) -> Answers:
    """Ask about every name in every way; what came back, as `Answer.shapes` has it."""
    answers: Answers = {}
    known: dict[tuple[bytes, ...], tuple[bytes, ...]] = {}  # most are alike: each is kept once

    def ask(name: str) -> tuple[str, dict[Way, tuple[bytes, ...]]]:
        return name, dict(_ask_in_every_way(registrar, realm, name))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for name, given in pool.map(ask, names):
            for way, shapes in given.items():
                answers.setdefault(way, {})[name] = known.setdefault(shapes, shapes)
    return answers


def _ask_in_every_way(
    registrar: Registrar, realm: str, name: str
) -> Iterator[tuple[Way, tuple[bytes, ...]]]:
    for foreign in (False, True):
        # No more guesses from one address than the guard lets pass.
        with Stranger(registrar, realm) as stranger:
            for method in METHODS:
                question = Question(name, method, foreign)
                asked = stranger.ask(question)
                yield Way(method, foreign, guess=0), asked.shapes
                for guess in (1, 2):
                    guessed = stranger.guess(question, asked.challenge)
                    yield Way(method, foreign, guess), guessed.shapes


def differences(answers: Answers) -> list[Difference]:
    """What tells names apart: every answer that is not the most common one to its question."""
    return [
        Difference(name, way, answer)
        for way, given in answers.items()
        for usual in [Counter(given.values()).most_common(1)[0][0]]
        for name, answer in given.items()
        if answer != usual
    ]


def interleaved(
    kinds: Mapping[str, Sequence[str]], samples: int, measure: Callable[[str], float]
) -> dict[str, list[float]]:
    """Measure so many samples of each kind of names, in turns whose order is drawn each time."""
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    order = list(kinds)
    for _ in itertools.repeat(None, samples):
        random.shuffle(order)
        for kind in order:
            taken[kind].append(measure(random.choice(kinds[kind])))  # noqa: S311 - no secret
    return taken


def separation(one: Sequence[float], other: Sequence[float]) -> float:
    """The chance that a value of `other` is the greater one of a pair (AUC); 0.5: no difference."""
    ordered = sorted(one)
    less = sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in other)
    return less / (2 * len(one) * len(other))
