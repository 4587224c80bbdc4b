"""The full comparison with Kamailio's tables, against the bare SQL that finds out as much.

The bare one is two anti-joins, one each way, of the rows that differ in any column. Memory is that
of the command `provisioner sync`, which a person types.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from benchmarks.bulk import LAUNCHER
from benchmarks.population import FEW, MANY
from benchmarks.progress import rounds
from benchmarks.table import Figure, Row, aim, ratios
from provisioner import comparison, db
from provisioner.stack.stack import Stack

ROUNDS = 5
TIMES = 1.5  # times the bare anti-join that it may take
MEMORY = 1.2  # times the memory of a comparison of few accounts

NOTE = """\
Nothing differs. Both are asked by the service's role, one after the other. The bare anti-joins \
may use parallel processes, which the full join of the comparison cannot (PostgreSQL 15)."""

ANTI_JOIN = """
    SELECT (SELECT count(*) FROM provisioner.desired_subscriber AS desired
             WHERE NOT EXISTS (
                   SELECT FROM kamailio.subscriber AS present
                    WHERE (present.account_id, present.username, present.domain, present.password,
                           present.ha1b, present.ha1, present.ha1_sha256,
                           present.registration_allowed, present.channels, present.source_group,
                           present.allowed_networks)
                        = (desired.account_id, desired.username, desired.domain, desired.password,
                           desired.ha1b, desired.ha1, desired.ha1_sha256,
                           desired.registration_allowed, desired.channels, desired.source_group,
                           desired.allowed_networks))),
           (SELECT count(*) FROM kamailio.subscriber AS present
             WHERE account_id IS NOT NULL
               AND NOT EXISTS (
                   SELECT FROM provisioner.desired_subscriber AS desired
                    WHERE (present.account_id, present.username, present.domain)
                        = (desired.account_id, desired.username, desired.domain)))
"""


def run(small: Stack, large: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows."""
    ours: list[float] = []
    bare: list[float] = []
    with (
        db.connect(large.database_url, autocommit=True) as connection,
        psycopg.connect(large.database_url, autocommit=True) as other,
    ):
        for _ in rounds("comparison", ROUNDS):
            ours.append(_compare(connection))
            bare.append(_anti_join(other))
    ratio = ratios(ours, bare)
    yield Row(
        f"compare {MANY:,} accounts with Kamailio's tables (s)",
        Figure.of(ours),
        f"bare anti-join: {Figure.of(bare)}",
        ratio,
        aim(f"≤ {TIMES:g}", ratio.value <= TIMES),
    )
    memory = [_memory(stack) for stack in (large, small)]
    ratio = ratios(memory[:1], memory[1:])
    yield Row(
        f"memory of a comparison of {MANY:,} accounts (MiB)",
        Figure.of(memory[:1]),
        f"of {FEW:,}: {memory[1]:.0f}",
        ratio,
        aim(f"≤ {MEMORY:g}", ratio.value <= MEMORY),
    )


def _compare(connection: db.Connection) -> float:
    began = time.perf_counter()
    plan, _ = comparison.plan_tables(connection)
    took = time.perf_counter() - began
    if plan:
        raise RuntimeError(f"{len(plan)} rows differ, as {plan[0]} does.")
    return took


def _anti_join(connection: psycopg.Connection) -> float:
    began = time.perf_counter()
    found = connection.execute(ANTI_JOIN).fetchone()
    took = time.perf_counter() - began
    if found != (0, 0):
        raise RuntimeError(f"Rows differ: {found}.")
    return took


def _memory(stack: Stack) -> float:
    """Return the most that the command has resident (MiB)."""
    program = str(Path(sys.executable).with_name("provisioner"))
    with tempfile.TemporaryDirectory(prefix="comparison-") as folder:
        command = [sys.executable, "-c", LAUNCHER, str(Path(folder) / "output"), program, "sync"]
        environ = {**stack.environ, "PATH": os.environ["PATH"]}
        done = subprocess.run(command, env=environ, check=True, capture_output=True)
    return int(done.stdout) / 1024
