"""Listing accounts: a page takes as long among 1,000,000 of them as among 1,000.

Two systems at once, in turns, so that what slows a round down hits both. The deep page is the one
in the middle of the list, reached by following `next`, as a portal would.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.population import FEW, MANY
from benchmarks.portal import Portal
from benchmarks.progress import rounds
from benchmarks.table import Figure, Row, aim, percentile, ratios
from provisioner.stack.stack import Stack

LIMIT, LIMIT_MAX = 50, 500  # accounts a page: of the pages measured; on the way to the middle
DIGITS = 6  # the end of a number, to search for
ROUNDS = 5
REQUESTS = 100  # of each kind a round, on either side
TOLERANCE = 1.2  # how much slower the many may be at p99

NOTE = f"""\
{REQUESTS} requests of each kind a round, one after another on one kept connection; {LIMIT} \
accounts a page. The search is for the last {DIGITS} digits of a number."""

Samples = list[list[float]]  # milliseconds, a list for each round


def run(small: Stack, large: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows."""
    pages = {stack: _pages(stack, count) for stack, count in ((small, FEW), (large, MANY))}
    taken: dict[Stack, dict[str, Samples]] = {small: defaultdict(list), large: defaultdict(list)}
    for _ in rounds("listing", ROUNDS):
        for stack, paths in pages.items():
            with Portal(stack) as portal:
                for kind, path in paths.items():
                    taken[stack][kind].append(_request(portal, path))
    for kind, samples in taken[large].items():
        yield from _rows(kind, samples, taken[small][kind])


def _pages(stack: Stack, count: int) -> Mapping[str, str]:
    """Return the paths to measure, by kind."""
    with Portal(stack) as portal:
        middle = _middle(portal, count)
        number = _get(portal, middle)["items"][0]["main_number"]
    return {
        "first page": f"/sip-accounts?limit={LIMIT}",
        "page in the middle": middle,
        "search": f"/sip-accounts?limit={LIMIT}&q={number[-DIGITS:]}",
    }


def _middle(portal: Portal, count: int) -> str:
    """Follow the list to its middle."""
    path = f"/sip-accounts?limit={LIMIT_MAX}"
    for _ in range(max(1, count // 2 // LIMIT_MAX)):
        path = _get(portal, path)["next"].removeprefix("/api/v1")
    return path.replace(f"limit={LIMIT_MAX}", f"limit={LIMIT}")


def _request(portal: Portal, path: str) -> list[float]:
    samples = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        _get(portal, path)
        samples.append(1000 * (time.perf_counter() - began))
    return samples


def _get(portal: Portal, path: str) -> Any:
    portal.send("GET", path)
    return portal.receive(200)


def _rows(kind: str, many: Samples, few: Samples) -> Iterator[Row]:
    for share in (0.5, 0.99):
        figures = [Figure.percentile(side, share) for side in (many, few)]
        ratio = ratios(*([percentile(each, share) for each in side] for side in (many, few)))
        yield Row(
            f"list {MANY:,} accounts, {kind}, p{share * 100:.0f} (ms)",
            figures[0],
            f"{FEW:,} accounts: {figures[1]}",
            ratio,
            aim(f"p99 ≤ {TOLERANCE}", ratio.value <= TOLERANCE) if share > 0.9 else "",
        )
