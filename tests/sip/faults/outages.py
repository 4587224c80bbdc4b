"""Parts of the stack that are away for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from provisioner.stack.processes import Process


@contextmanager
def stopped(process: Process, *, kill: bool = False) -> Iterator[None]:
    """Do without a process for a while."""
    process.kill() if kill else process.stop()
    try:
        yield
    finally:
        process.start()
        process.wait_ready()
