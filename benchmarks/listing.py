"""Listing accounts: a page takes as long among 1,000,000 of them as among 1,000.

Two systems at once, in turns, so that what slows a round down hits both. The deep page is the one
in the middle of the list, reached by following `next`, as a portal would.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.population import fill
from benchmarks.portal import Portal
from benchmarks.progress import rounds, say
from benchmarks.table import Figure, Row, aim, percentile, ratios
from provisioner.stack.stack import Stack

FEW, MANY = 1_000, 1_000_000
LIMIT, LIMIT_MAX = 50, 500  # accounts a page: of the pages measured; on the way to the middle
DIGITS = 6  # the end of a number, to search for
ROUNDS = 8
REQUESTS = 100  # of each kind a round, on either side
TOLERANCE = 1.2  # how much slower the many may be at p99
ENVIRON = {"SYNC_INTERVAL": "3600"}  # no comparison meanwhile

NOTE = f"""\
{REQUESTS} requests of each kind a round, one after another on one kept connection; {LIMIT} \
accounts a page. The search is for the last {DIGITS} digits of a number. {MANY:,} accounts in one \
database, {FEW:,} in another, both filled by SQL."""

Samples = list[list[float]]  # milliseconds, a list for each round


def run(stack: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows; the stack given is the one with the many accounts."""
    with _small_stack() as small:
        for each, count in ((small, FEW), (stack, MANY)):
            say(f"listing: filling in {count:,} accounts")
            fill(each, count)
        yield from _measure(small, stack)


def _measure(small: Stack, large: Stack) -> Iterator[Row]:
    pages = {stack: _pages(stack, count) for stack, count in ((small, FEW), (large, MANY))}
    taken: dict[Stack, dict[str, Samples]] = {small: defaultdict(list), large: defaultdict(list)}
    for _ in rounds("listing", ROUNDS):
        for stack, paths in pages.items():
            with Portal(stack) as portal:
                for kind, path in paths.items():
                    taken[stack][kind].append(_request(portal, path))
    for kind, samples in taken[large].items():
        yield from _rows(kind, samples, taken[small][kind])


@contextmanager
def _small_stack() -> Iterator[Stack]:
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-few-") as folder,
        Stack(Path(folder) / "stack", environ=ENVIRON) as stack,
    ):
        yield stack


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
