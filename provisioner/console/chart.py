"""Bars, drawn as one path of SVG: the sheet gives them their colour, in light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

HEIGHT, STEP, WIDTH = 100, 12, 10  # units of the picture


@dataclass(frozen=True)
class Chart:
    """A path of bars, the width of the picture, and the value of its highest bar."""

    path: str
    width: int
    highest: Decimal


def bars(values: Sequence[int | Decimal]) -> Chart:
    """Draw one bar a value, the highest as high as the picture."""
    highest = max(map(Decimal, values), default=Decimal(0))
    path = "".join(
        f"M{i * STEP} {HEIGHT}v-{_height(value, highest)}h{WIDTH}V{HEIGHT}z"
        for i, value in enumerate(values)
        if value > 0
    )
    return Chart(path, max(len(values), 1) * STEP, highest)


def _height(value: int | Decimal, highest: Decimal) -> int:
    return max(1, round(HEIGHT * Decimal(value) / highest))
