"""How many files a process sends and receives at once: each holds a thread, however slow it is."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, socket
from threading import BoundedSemaphore, Timer

from flask import request

from provisioner.api.problems import TooManyStreams

STREAMS_MAX = 4  # of a process at a time, of its 64 threads
SECONDS_MAX = 1800.0  # that one may take: 2.4 Mbit/s for the largest file

_streams = BoundedSemaphore(STREAMS_MAX)


@contextmanager
def one() -> Iterator[None]:
    """Count as one file that is sent or received.

    Raises:
        TooManyStreams: there are too many already.
    """
    if not _streams.acquire(blocking=False):
        raise TooManyStreams()
    deadline = Timer(SECONDS_MAX, _hang_up, [request.environ.get("gunicorn.socket")])
    deadline.daemon = True
    deadline.start()
    try:
        yield
    finally:
        deadline.cancel()
        _streams.release()


def _hang_up(client: socket | None) -> None:
    """End a connection; whoever reads or writes there is told by an error or the file's end."""
    if client is not None:
        with suppress(OSError):  # the client was faster
            client.shutdown(SHUT_RDWR)
