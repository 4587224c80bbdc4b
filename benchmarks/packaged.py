"""Kamailio as Debian packages it: its own tables, its stock configuration, its `kamctl`."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

from benchmarks.population import analyze
from provisioner.credentials import Secret
from provisioner.stack.ports import free_port, udp_and_tcp
from provisioner.stack.processes import Command, Process
from provisioner.stack.registrar import USER

NAME = "packaged"  # of the database and of the role that owns it
TABLES = Path("/usr/share/kamailio/postgres")
MODULES = ("standard", "auth_db", "usrloc")
STOCK_CONFIG = Path("/etc/kamailio/kamailio.cfg")
SYSTEM = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
PROBE_TIMEOUT = 0.2  # seconds for an answer to one OPTIONS

# The stock configuration imports this file, if it is there, before anything else. It is all that
# differs from the package: which features, which database, and which domain is served.
LOCAL_CONFIG = """\
#!define WITH_AUTH
#!define WITH_USRLOCDB
#!define DBURL "postgres://{NAME}:{password}@{host}:{port}/{NAME}"
loadmodule "db_postgres.so"
alias="{realm}"
"""

# Scattered, as real numbers are, and none of anybody's in Italy.
OTHERS = """
    INSERT INTO subscriber (username, domain, password)
    SELECT '38' || to_char(i * 6180339887 %% 10000000000, 'FM0000000000'), %(realm)s, md5(i::text)
      FROM generate_series(1, %(count)s) AS i
"""


@dataclass(frozen=True)
class PackagedDatabase:
    """Kamailio's packaged tables in a database of their own."""

    host: str
    port: str
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """The owner's connection string."""
        return f"postgresql://{NAME}:{self.password}@{self.host}:{self.port}/{NAME}"

    def fill(self, users: Sequence[Secret], others: int = 0) -> None:
        """Store the same users as the stock configuration wants them: passwords in clear text; and
        others, whose names and passwords are made up.
        """
        with psycopg.connect(self.url) as connection:
            connection.execute(OTHERS, {"count": others, "realm": users[0].realm})
        copy = "COPY subscriber (username, domain, password) FROM STDIN"
        with psycopg.connect(self.url) as connection, connection.cursor().copy(copy) as rows:
            for user in users:
                rows.write_row((user.username, user.realm, user.password))
        analyze(self.url)


def create_database(admin_url: str) -> PackagedDatabase:
    """Create the database in the cluster of `admin_url`, as its superuser."""
    server = conninfo.conninfo_to_dict(admin_url)
    database = PackagedDatabase(str(server["host"]), str(server["port"]), secrets.token_hex(16))
    with psycopg.connect(admin_url, autocommit=True) as connection:
        hashed = connection.pgconn.encrypt_password(
            database.password.encode(), NAME.encode(), b"scram-sha-256"
        )
        role = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        connection.execute(role.format(sql.Identifier(NAME), sql.Literal(hashed.decode())))
        connection.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(NAME)))
    with psycopg.connect(database.url) as connection:
        for module in MODULES:
            connection.execute((TABLES / f"{module}-create.sql").read_bytes())
    return database


class Kamctl:
    """`kamctl` with a home of its own, for it reads its settings from there only."""

    def __init__(self, database: PackagedDatabase, realm: str, home: Path) -> None:
        self._environ = SYSTEM | {"HOME": str(home), "PGPORT": database.port}
        settings = {
            "SIP_DOMAIN": realm,
            "DBENGINE": "PGSQL",
            "DBHOST": database.host,
            "DBPORT": database.port,
            "DBNAME": NAME,
            "DBRWUSER": NAME,
            "DBRWPW": database.password,
            "DBROUSER": NAME,
            "DBROPW": database.password,
        }
        file = home / ".kamctlrc"
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def add(self, username: str, password: str) -> None:
        """Create a user; the password is a made-up one, for every process list shows it.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        subprocess.run(
            ["kamctl", "add", username, password],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=30,
            check=True,
        )


class Kamcli:
    """`kamcli`, Kamailio's newer command line, with settings of its own."""

    def __init__(self, database: PackagedDatabase, realm: str, home: Path) -> None:
        self._file = home / "kamcli.ini"
        self._file.touch(mode=0o600)
        url = f"postgresql+psycopg2://{NAME}:{database.password}@{database.host}:{database.port}/{NAME}"
        self._file.write_text(
            f"[main]\ndomain={realm}\n[db]\nrwurl={url}\nrourl={url}\n", encoding="ascii"
        )

    def add(self, username: str, password: str) -> None:
        """Create a user; the password is a made-up one, for every process list shows it.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        subprocess.run(
            ["kamcli", "--config", str(self._file), "subscriber", "add", username, password],
            env=SYSTEM,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=30,
            check=True,
        )


@dataclass(frozen=True)
class StockKamailio:
    """A running Kamailio with the stock configuration, and its SIP port."""

    process: Process
    port: int
    folder: Path

    def flush(self) -> None:
        """Have it write its bindings to the database now, and wait until it has."""
        control = f"unixs:{self.folder}/kamailio_ctl"
        subprocess.run(
            ["kamcmd", "-s", control, "ul.flush"],
            env=SYSTEM,
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )


@contextmanager
def stock_kamailio(
    database: PackagedDatabase, realm: str, address: str, options: Sequence[str]
) -> Iterator[StockKamailio]:
    """Run the stock configuration with these command line options."""
    with tempfile.TemporaryDirectory(prefix="stock-kamailio-") as name:
        folder = Path(name)
        port = free_port(udp_and_tcp([address]))
        process = Process(
            "stock kamailio",
            folder / "kamailio.log",
            lambda: _command(folder, [*options, *_listeners(address, port)]),
            lambda: answers_options(address, port),
        )
        _write_config(folder, database, realm)
        try:
            process.start()
            process.wait_ready()
            yield StockKamailio(process, port, folder)
        finally:
            process.stop()


def _write_config(folder: Path, database: PackagedDatabase, realm: str) -> None:
    shutil.copyfile(STOCK_CONFIG, folder / STOCK_CONFIG.name)
    local = folder / "kamailio-local.cfg"
    local.touch(mode=0o600)
    parts: Mapping[str, str] = {"NAME": NAME, "realm": realm, "password": database.password}
    local.write_text(LOCAL_CONFIG.format(**parts, host=database.host, port=database.port))
    if os.geteuid() == 0:
        for path in (folder, local):
            shutil.chown(path, USER, USER)


def _listeners(address: str, port: int) -> list[str]:
    return [f"-l{kind}:{address}:{port}" for kind in ("udp", "tcp")]


def _command(folder: Path, options: Sequence[str]) -> Command:
    argv = ["kamailio", "-DD", "-E", "-f", str(folder / STOCK_CONFIG.name)]
    argv += ["-Y", str(folder), "-w", str(folder), *options]
    return Command(argv, SYSTEM, user=USER, reads=[folder])


def answers_options(address: str, port: int) -> bool:
    """Tell whether a SIP server answers OPTIONS over UDP (RFC 3261 section 11)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(PROBE_TIMEOUT)
        probe.connect((address, port))
        here = "{}:{}".format(*probe.getsockname())
        lines = [
            f"OPTIONS sip:{address}:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP {here};branch=z9hG4bK{secrets.token_hex(8)};rport",
            "Max-Forwards: 70",
            f"From: <sip:probe@{here}>;tag={secrets.token_hex(4)}",
            f"To: <sip:{address}:{port}>",
            f"Call-ID: {secrets.token_hex(8)}@{here}",
            "CSeq: 1 OPTIONS",
            "Content-Length: 0",
        ]
        try:
            probe.send(("\r\n".join(lines) + "\r\n\r\n").encode())
            return probe.recv(4096).startswith(b"SIP/2.0 200")
        except OSError:
            return False
