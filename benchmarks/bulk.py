"""Files: importing accounts against a bare COPY of the same rows, and the memory of both ways.

The import is the command that a person types: it reads, checks, makes passwords, hashes and
encrypts them, and commits. The bare COPY is given its rows ready made, hashes and ids included.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pyrage
from psycopg import sql

from benchmarks.population import add_numbers
from benchmarks.progress import rounds
from benchmarks.table import Figure, Row, aim, ratios
from provisioner.stack.stack import Stack

ROUNDS = 1  # takes four minutes
COUNT = 1_000_000  # accounts a round, on either side
FEW = 10_000  # accounts of the small import, whose memory the large one's is compared with
TIMES = 2.0  # times a bare COPY's time that an import is to take at the most
PART = 256 * 1024  # bytes of a COPY that are sent at once
MEMORY = 1.2  # times the memory of a small file that a large one is to take at the most

NOTE = f"""\
{COUNT:,} accounts a round: COPY of the same rows of sip_accounts, numbers, credentials, \
subscriber, account_tariffs and audit_events from files, in one transaction; the ratio is of their \
times. The import's numbers are there before. Memory is the most that the process has resident: \
{COUNT:,} accounts against {FEW:,}."""

# A process inherits the peak of the one that started it, so a small one does.
LAUNCHER = """
import resource, subprocess, sys
with open(sys.argv[1], "wb") as output:
    subprocess.run(sys.argv[2:], stdout=output, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""

TABLES: dict[str, tuple[str, ...]] = {
    "provisioner.numbers": ("number", "project_id", "customer_id", "state", "account_id"),
    "provisioner.sip_accounts": (
        "id", "project_id", "customer_id", "name", "main_number", "voice_channels", "tariff",
        "cloudfire_only",
    ),
    "provisioner.credentials": ("account_id", "username", "realm", "ha1", "ha1_sha256"),
    "kamailio.subscriber": (
        "account_id", "username", "domain", "ha1", "ha1_sha256", "registration_allowed", "channels",
    ),
    "provisioner.account_tariffs": ("account_id", "tariff", "via", "actor_name"),
    "provisioner.audit_events": (
        "via", "actor_name", "type", "subject", "subject_id", "customer_id", "project_id", "after",
    ),
}  # fmt: skip


class Files:
    """Imports and exports by the command line, in a folder of their own."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._environ = {**stack.environ, "PATH": os.environ["PATH"]}
        self._folder = folder
        self._recipient = str(pyrage.x25519.Identity.generate().to_public())

    def accounts(self, wanted: Sequence[str]) -> tuple[float, float]:
        """Import accounts on them; return the seconds that it took, and the MiB."""
        rows = [f"Line {number},{number},2" for number in wanted]
        path = self._write("accounts.csv", ["name,main_number,voice_channels", *rows])
        output = self._folder / "passwords.age"
        output.unlink(missing_ok=True)
        options = ("--recipient", self._recipient, "--output", str(output))
        began = time.perf_counter()
        memory = self._run("import", "accounts", str(path), *options)
        return time.perf_counter() - began, memory

    def export(self) -> float:
        """Export all accounts; return the MiB that it took."""
        return self._run("export", "accounts")

    def _write(self, name: str, lines: Sequence[str]) -> Path:
        path = self._folder / name
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
        return path

    def _run(self, *arguments: str) -> float:
        program = str(Path(sys.executable).with_name("provisioner"))
        output = str(self._folder / "output")
        command = [sys.executable, "-c", LAUNCHER, output, program, *arguments]
        done = subprocess.run(command, env=self._environ, check=True, capture_output=True)
        return int(done.stdout) / 1024


def run(stack: Stack) -> Iterator[Row]:
    """Measure, and give the table's rows."""
    ours: list[float] = []
    bare: list[float] = []
    memory: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="files-") as folder:
        files = Files(stack, Path(folder))
        few = _numbers(0, FEW)
        add_numbers(stack, few)
        small = (files.accounts(few)[1], files.export())
        for turn in rounds("bulk", ROUNDS):
            wanted = _numbers(1 + 2 * turn, COUNT)
            add_numbers(stack, wanted)
            _settle(stack)
            seconds, resident = files.accounts(wanted)
            ours.append(seconds)
            memory.append((resident, files.export()))
            bare.append(_bare(stack, Path(folder), _numbers(2 + 2 * turn, COUNT)))
    ratio = ratios(ours, bare)
    against = f"bare COPY: {Figure.of(bare)}"
    rule = aim(f"<= {TIMES:g}", ratio.value <= TIMES)
    yield Row(f"import {COUNT:,} accounts (s)", Figure.of(ours), against, ratio, rule)
    for name, index in (("import", 0), ("export", 1)):
        large = [peaks[index] for peaks in memory]
        ratio = ratios(large, [small[index]] * len(large))
        rule = aim(f"<= {MEMORY:g}", ratio.value <= MEMORY)
        against = f"{FEW:,} accounts: {small[index]:.0f}"
        yield Row(f"memory of the {name} (MiB)", Figure.of(large), against, ratio, rule)


def _numbers(block: int, count: int) -> list[str]:
    return [f"+39{block:03d}{i:07d}" for i in range(count)]


def _settle(stack: Stack) -> None:
    """Have the server's own work of the former step done before the next one is measured."""
    with psycopg.connect(stack.database_admin_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _bare(stack: Stack, folder: Path, wanted: Sequence[str]) -> float:
    """Copy the rows of accounts on these numbers; return the seconds that it took."""
    with psycopg.connect(stack.database_admin_url) as connection:
        row = connection.execute(
            "SELECT projects.id, customer_id, realm,"
            " (SELECT coalesce(max(id), 0) FROM provisioner.sip_accounts)"
            " FROM provisioner.projects, provisioner.installation ORDER BY projects.id LIMIT 1"
        ).fetchone()
        if row is None:
            raise RuntimeError("The stack's database has no project.")
        project_id, customer_id, realm, last = row
        _write_rows(folder, wanted, project_id, customer_id, realm, last)
        _settle(stack)
        began = time.perf_counter()
        for table in sorted(TABLES, key=lambda table: table != "provisioner.sip_accounts"):
            _copy(connection, table, folder / table)
        connection.commit()
        took = time.perf_counter() - began
        connection.execute(
            "SELECT setval(pg_get_serial_sequence('provisioner.sip_accounts', 'id'), %s)",
            [last + len(wanted)],
        )
    return took


def _copy(connection: psycopg.Connection, table: str, file: Path) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, TABLES[table]))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy, file.open("rb") as rows:
        while part := rows.read(PART):
            copy.write(part)


def _write_rows(
    folder: Path, wanted: Sequence[str], project_id: int, customer_id: int, realm: str, last: int
) -> None:
    """Write the rows of each table into a file of its name, as COPY reads them."""
    place = f"{project_id}\t{customer_id}"
    with ExitStack() as held:
        files = [
            held.enter_context((folder / table).open("w", encoding="ascii")) for table in TABLES
        ]
        for account_id, number in enumerate(wanted, start=last + 1):
            username = number[1:]
            clear = f"{username}:{realm}:{os.urandom(16).hex()}".encode()
            md5 = hashlib.md5(clear, usedforsecurity=False).hexdigest()
            sha256 = hashlib.sha256(clear).hexdigest()
            after = json.dumps({"id": account_id, "name": f"Line {number}", "main_number": number,
                                "external_id": None, "customer_id": customer_id,
                                "project_id": project_id, "voice_channels": 2, "state": "disabled",
                                "tariff": "pay_per_use", "cloudfire_only": False,
                                "allowed_networks": None})  # fmt: skip
            values = (
                f"{number}\t{place}\tactive\t{account_id}",
                f"{account_id}\t{place}\tLine {number}\t{number}\t2\tpay_per_use\tf",
                f"{account_id}\t{username}\t{realm}\t{md5}\t{sha256}",
                f"{account_id}\t{username}\t{realm}\t{md5}\t{sha256}\tf\t2",
                f"{account_id}\tpay_per_use\tcli\troot",
                f"cli\troot\taccount.created\taccount\t{account_id}\t{customer_id}\t{project_id}"
                f"\t{after}",
            )
            for file, value in zip(files, values, strict=True):
                file.write(value + "\n")
