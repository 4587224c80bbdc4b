"""Clients at work at the same time, each on a connection of its own, and how long they took."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue

Act = Callable[[str], object]  # does one client's work on one item


@dataclass(frozen=True)
class Timing:
    """What a crowd took: seconds for each item, and for all of them together."""

    samples: Sequence[float]
    elapsed: float

    @property
    def rate(self) -> float:
        """Items a second."""
        return len(self.samples) / self.elapsed


def work(clients: Sequence[Act], items: Sequence[str]) -> Timing:
    """Have the clients do all items, each the next one as soon as it is free.

    Raises:
        Exception: whatever a client raised; the others finish.
    """
    queue: SimpleQueue[str] = SimpleQueue()
    for item in items:
        queue.put(item)
    start = threading.Barrier(len(clients) + 1)
    with ThreadPoolExecutor(len(clients)) as threads:
        samples = [threads.submit(_serve, act, queue, start) for act in clients]
        start.wait()
        began = time.perf_counter()
        found = [sample for each in samples for sample in each.result()]
        return Timing(found, time.perf_counter() - began)


def _serve(act: Act, queue: "SimpleQueue[str]", start: threading.Barrier) -> list[float]:
    samples: list[float] = []
    start.wait()
    while True:
        try:
            item = queue.get_nowait()
        except Empty:
            return samples
        began = time.perf_counter()
        act(item)
        samples.append(time.perf_counter() - began)
