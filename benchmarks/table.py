"""One table of both sides' figures, with the spread of the rounds that they come from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

HEADINGS = ("what", "ours", "against", "ratio", "aim")


@dataclass(frozen=True)
class Figure:
    """A value, and the range that the rounds of one run gave it."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, rounds: Sequence[float]) -> "Figure":
        """Make one from a value for each round: the median, the smallest, the largest."""
        return cls(median(rounds), min(rounds), max(rounds))

    @classmethod
    def percentile(cls, rounds: Sequence[Sequence[float]], share: float) -> "Figure":
        """Make one from samples: the percentile (0 to 1) of all; each round's own as range."""
        everything = [sample for samples in rounds for sample in samples]
        own = [percentile(samples, share) for samples in rounds]
        return cls(percentile(everything, share), min(own), max(own))

    def __str__(self) -> str:
        return f"{_short(self.value)} ({_short(self.low)}-{_short(self.high)})"


@dataclass(frozen=True)
class Row:
    """One line of the table; `against` says whom with what figure."""

    what: str
    ours: Figure
    against: str = "—"
    ratio: Figure | None = None
    aim: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return what stands in the table, in the order of its headings."""
        ratio = "—" if self.ratio is None else str(self.ratio)
        return (self.what, str(self.ours), self.against, ratio, self.aim)


def ratios(ours: Sequence[float], against: Sequence[float]) -> Figure:
    """Return ours over theirs, taken round by round: what slows a round down hits both sides."""
    return Figure.of([mine / theirs for mine, theirs in zip(ours, against, strict=True)])


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least this share (0 to 1) of all do not exceed."""
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]


def aim(rule: str, met: bool) -> str:
    """Say what is aimed at and whether this run got there."""
    return f"{rule}: {'met' if met else 'MISSED'}"


def render(rows: Sequence[Row]) -> str:
    """Return the table in Markdown, in columns that also line up on a terminal."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    rule = tuple("-" * width for width in widths)
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in (HEADINGS, rule, *lines[1:])
    )


def _short(value: float) -> str:
    """Write a number with three digits, or as a whole one where it has more."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 3)}f}"
