"""The whole system on one machine, in one directory."""

import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from provisioner.stack.directory import StackDirectory
from provisioner.stack.environment import Environment
from provisioner.stack.errors import StackError
from provisioner.stack.passwords import Passwords, load_passwords
from provisioner.stack.ports import PortBook, tcp, udp_and_tcp
from provisioner.stack.postgres import Cluster
from provisioner.stack.probes import answers_ok
from provisioner.stack.processes import Command, Process, run_once
from provisioner.stack.registrar import kamailio, listeners

PORT_CHOICES = 5  # a port that was free can be taken before our server has it
READY_TIMEOUT = 30.0  # seconds until /readyz says that all of it works


class Stack:
    """PostgreSQL, Kamailio, provisioner and worker, started in order and stopped in reverse.

    A port that is None is chosen free and kept for the stack's lifetime. `environ` reaches every
    process but PostgreSQL. `report` is told each step. Nothing is restarted by itself: that is
    `provisioner.stack.supervisor`. All of it ends with the thread that called `start()`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        sip_address: str = "127.0.0.1",
        http_port: int | None = None,
        sip_port: int | None = None,
        environ: Mapping[str, str] | None = None,
        extra_sip_addresses: Sequence[str] = (),
        durable: bool = True,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._durable = durable
        self.directory = StackDirectory(directory)
        self.sip_address = sip_address
        self._sip_addresses = [sip_address, *extra_sip_addresses]
        self._base = dict(environ or {})
        self._report = report
        self._lock = -1  # the descriptor that every process inherits
        self._known_passwords: Passwords | None = None
        self._ports = _port_book(self._sip_addresses, http_port, sip_port)
        self.postgres = self._process(
            "postgres",
            lambda: self._cluster.serve(self._lock),
            lambda: self._cluster.answers(),
            stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown
        )
        self.kamailio = self._process(
            "kamailio",
            self._kamailio_command,
            lambda: answers_ok(self._ports["KAMAILIO_RPC_PORT"], "/healthz"),
        )
        self.provisioner = self._service("serve", "provisioner", "/livez")
        self.worker = self._service("worker", "worker", "/readyz")

    # What others need to know.

    @property
    def http_port(self) -> int:
        """The API's port on 127.0.0.1."""
        return self._ports["HTTP_PORT"]

    @property
    def sip_port(self) -> int:
        """The port for SIP, UDP and TCP alike."""
        return self._ports["SIP_PORT"]

    @property
    def api_url(self) -> str:
        """The API's address, without a path."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def rpc_url(self) -> str:
        """Where Kamailio takes JSON-RPC."""
        return self._environment.rpc_url

    @property
    def rpc_token(self) -> str:
        """The bearer token for `rpc_url`."""
        return self._passwords.rpc_token

    @property
    def admin_token_file(self) -> Path:
        """The file that holds the Admin's API token."""
        return self.directory.admin_token

    @property
    def database_url(self) -> str:
        """The service's own connection string."""
        return self._environment.database_url

    @property
    def database_admin_url(self) -> str:
        """The superuser's connection string for the same database."""
        return self._cluster.url()

    @property
    def environ(self) -> dict[str, str]:
        """The variables of the service's processes, as any `provisioner` command needs them."""
        return self._environment.service()

    @property
    def processes(self) -> list[Process]:
        """All processes, in the order in which they start."""
        return [self.postgres, self.kamailio, self.provisioner, self.worker]

    # Start and stop.

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and return when all of it works.

        Raises:
            StackError: something is in the way; what was started is stopped again.
        """
        self._lock = self.directory.acquire()
        try:
            self._ports.settle(self._ports)
            self._known_passwords = load_passwords(self.directory.passwords)
            for step in (self._start_database, self._start_kamailio, self._start_service):
                began = time.monotonic()
                self._report(f"{step()} ({time.monotonic() - began:.1f} s)")
            self._write_environment()
        except BaseException:
            self.stop()
            raise

    def _write_environment(self) -> None:
        """Leave what a `provisioner` command needs, for a shell: `. var/environment`."""
        lines = [
            f"export {name}={shlex.quote(value)}\n"
            for name, value in self._environment.own().items()
        ]
        path = self.directory.environment
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text("".join(lines), encoding="utf-8")

    def stop(self) -> None:
        """Stop everything, in reverse order; the data stay. Harmless if nothing runs."""
        self.directory.environment.unlink(missing_ok=True)
        for process in reversed(self.processes):
            process.stop()
        self.directory.release()

    # The steps; each returns what is ready then.

    def _start_database(self) -> str:
        self._start_with_ports(self.postgres, "DATABASE_PORT")
        self._cluster.create_database()
        self._run("migrate", self._environment.migration(self.database_admin_url))
        self._run("init-token", self.environ, "--file", str(self.admin_token_file))
        return f"PostgreSQL ready on 127.0.0.1:{self._ports['DATABASE_PORT']}, database migrated"

    def _start_kamailio(self) -> str:
        self._start_with_ports(self.kamailio, "KAMAILIO_RPC_PORT", "SIP_PORT")
        where = " and ".join(f"{address}:{self.sip_port}" for address in self._sip_addresses)
        return f"Kamailio ready on {where}, UDP and TCP"

    def _start_service(self) -> str:
        self.worker.start()
        self._start_with_ports(self.provisioner, "HTTP_PORT")
        self.worker.wait_ready(READY_TIMEOUT, needs=self.processes)
        return f"Provisioner and worker ready on {self.api_url}"

    def _start_with_ports(self, process: Process, *names: str) -> None:
        """Start a process and wait for it; choose its ports again if another program was faster."""
        for _ in range(PORT_CHOICES):
            self._ports.settle(names)
            process.start()
            try:
                return process.wait_ready()
            except StackError:
                if process.running or self._ports.are_free(names):
                    raise
        raise StackError(f"{process.name} found no free port in {PORT_CHOICES} attempts.")

    def _run(self, name: str, environ: Mapping[str, str], *arguments: str) -> None:
        """Run one of the service's commands to its end."""
        command = self._service_command(name, *arguments, environ=environ)
        run_once(f"provisioner {name}", command, self._log(name))

    # Their parts.

    @property
    def _passwords(self) -> Passwords:
        if self._known_passwords is None:
            raise StackError("The stack's passwords are not known before it starts.")
        return self._known_passwords

    @property
    def _cluster(self) -> Cluster:
        port = self._ports["DATABASE_PORT"]
        return Cluster(
            self.directory.postgres,
            self._passwords.postgres,
            port,
            self._log("initdb"),
            durable=self._durable,
        )

    @property
    def _environment(self) -> Environment:
        return Environment(
            self._base,
            self._passwords,
            sip_address=self.sip_address,
            sip_port=self.sip_port,
            http_port=self.http_port,
            database_port=self._ports["DATABASE_PORT"],
            rpc_port=self._ports["KAMAILIO_RPC_PORT"],
        )

    def _log(self, name: str) -> Path:
        return self.directory.logs / f"{name}.log"

    def _process(
        self,
        name: str,
        command: Callable[[], Command],
        is_ready: Callable[[], bool],
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Process:
        return Process(name, self._log(name), command, is_ready, stop_signal=stop_signal)

    def _service(self, subcommand: str, name: str, ready_path: str) -> Process:
        return self._process(
            name,
            lambda: self._service_command(subcommand, environ=self.environ),
            lambda: answers_ok(self.http_port, ready_path),
        )

    def _service_command(self, *arguments: str, environ: Mapping[str, str]) -> Command:
        program = Path(sys.executable).with_name("provisioner")
        return Command([str(program), *arguments], environ, keep=[self._lock])

    def _kamailio_command(self) -> Command:
        listen = listeners(self._sip_addresses, self.sip_port, self._ports["KAMAILIO_RPC_PORT"])
        return kamailio(
            self.directory.kamailio, listen, self._environment.kamailio(), keep=[self._lock]
        )


def _port_book(
    sip_addresses: Sequence[str], http_port: int | None, sip_port: int | None
) -> PortBook:
    endpoints = {
        "HTTP_PORT": tcp("127.0.0.1"),
        "SIP_PORT": udp_and_tcp(sip_addresses),
        "DATABASE_PORT": tcp("127.0.0.1"),
        "KAMAILIO_RPC_PORT": tcp("127.0.0.1"),
    }
    return PortBook(endpoints, {"HTTP_PORT": http_port, "SIP_PORT": sip_port})
