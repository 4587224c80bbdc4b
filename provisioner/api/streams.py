"""How many files a process sends and receives at once: each holds a thread, however slow it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from provisioner.api.problems import TooManyStreams

STREAMS_MAX = 4  # of a process at a time, of its 16 threads

_streams = BoundedSemaphore(STREAMS_MAX)


@contextmanager
def one() -> Iterator[None]:
    """Count as one file that is sent or received.

    Raises:
        TooManyStreams: there are too many already.
    """
    if not _streams.acquire(blocking=False):
        raise TooManyStreams()
    try:
        yield
    finally:
        _streams.release()
