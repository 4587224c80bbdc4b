"""What must not grow with the number of accounts: a system with many of them, and one with few.

Both at once, in turns, so that what slows a round down hits both. Accounts are filled in by SQL.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from benchmarks import allowlist, comparison, disable, listing, outcast
from benchmarks.population import FEW, MANY, fill
from benchmarks.progress import say
from benchmarks.table import Row
from provisioner.stack.environment import RPC_ROOT
from provisioner.stack.stack import Stack

ENVIRON = {
    "SYNC_INTERVAL": "3600",  # no comparison meanwhile
    RPC_ROOT: token_hex(32),  # bindings are made by hand
}

NOTE = f"""\
{MANY:,} accounts in one database, {FEW:,} in another.
Lists: {listing.NOTE}
Many at once: {outcast.NOTE}
Comparison: {comparison.NOTE}
Allowlist: {allowlist.NOTE}"""


def run(large: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows; the stack given is the one with the many accounts."""
    with _small_stack() as small:
        for stack, count in ((small, FEW), (large, MANY)):
            say(f"scale: filling in {count:,} accounts")
            fill(stack, count)
        yield from comparison.run(small, large)
        yield from listing.run(small, large)
        yield from disable.compare(small, large)
        yield from allowlist.run(small, large)
    yield from outcast.run(large)


@contextmanager
def _small_stack() -> Iterator[Stack]:
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-few-") as folder,
        Stack(Path(folder) / "stack", environ=ENVIRON) as stack,
    ):
        yield stack
