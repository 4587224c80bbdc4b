"""Registrars that do as little as can be done: the practical limit; and nothing but registering."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.packaged import SYSTEM, PackagedDatabase, answers_options
from provisioner.stack.ports import free_port, udp_and_tcp
from provisioner.stack.processes import Command, Process
from provisioner.stack.registrar import USER

CONFIG = Path(__file__).with_name("bare.cfg")
READY_TIMEOUT = 120.0  # seconds until it has read everything

# As Kamailio's module htable reads a table when it starts.
HASHES = """
    CREATE VIEW ha1 AS
    SELECT username AS key_name, 0 AS key_type, 0 AS value_type,
           md5(username || ':' || domain || ':' || password) AS key_value, 0 AS expires
      FROM subscriber
"""


@dataclass(frozen=True)
class BareKamailio:
    """One that runs, and its SIP port."""

    process: Process
    port: int
    folder: Path

    def flush(self) -> None:
        """Have it write its bindings to the database now, and wait until it has."""
        subprocess.run(
            ["kamcmd", "-s", f"unixs:{self.folder}/kamailio_ctl", "ul.flush"],
            env=SYSTEM,
            stdout=subprocess.DEVNULL,
            timeout=120,
            check=True,
        )


def show_hashes(database: PackagedDatabase) -> None:
    """Give the bare registrar what it reads at its start."""
    with psycopg.connect(database.url) as connection:
        connection.execute(HASHES)


@contextmanager
def bare_kamailio(
    database: PackagedDatabase,
    realm: str,
    address: str,
    options: Sequence[str],
    *,
    everybody: bool = False,
) -> Iterator[BareKamailio]:
    """Run one with these command line options; `everybody`: without a password."""
    with tempfile.TemporaryDirectory(prefix="bare-kamailio-") as name:
        folder = Path(name)
        port = free_port(udp_and_tcp([address]))
        config = folder / CONFIG.name
        shutil.copyfile(CONFIG, config)
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        environ = {
            **SYSTEM,
            "BARE_DB_URL": database.url.replace("postgresql:", "postgres:"),
            "BARE_REALM": realm,
            **({"BARE_OPEN": "1"} if everybody else {}),
        }
        argv = ["kamailio", "-DD", "-E", "-f", str(config), "-Y", str(folder), "-w", str(folder)]
        argv += [f"-ludp:{address}:{port}", *options]
        process = Process(
            "without authentication" if everybody else "bare cache",
            folder / "kamailio.log",
            lambda: Command(argv, environ, user=USER, reads=[folder]),
            lambda: answers_options(address, port),
        )
        try:
            process.start()
            process.wait_ready(READY_TIMEOUT)
            yield BareKamailio(process, port, folder)
        finally:
            process.stop()
