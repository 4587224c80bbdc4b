"""The whole system on one machine, in one directory."""

import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from provisioner.stack.directory import StackDirectory
from provisioner.stack.environment import Environment
from provisioner.stack.errors import StackError
from provisioner.stack.media import (
    MediaPorts,
    answers_ping,
    find_program,
    free_ports,
    read_mode,
    read_ports,
    rtpengine,
)
from provisioner.stack.passwords import Passwords, load_passwords
from provisioner.stack.ports import PortBook, tcp, udp, udp_and_tcp
from provisioner.stack.postgres import Cluster
from provisioner.stack.probes import answers_ok
from provisioner.stack.processes import Command, Process, run_once
from provisioner.stack.registrar import kamailio, listeners
from provisioner.stack.replica import Replica

PORT_CHOICES = 5  # a port that was free can be taken before our server has it
READY_TIMEOUT = 30.0  # seconds until /readyz says that all of it works


class Stack:
    """PostgreSQL, rtpengine, Kamailio, provisioner and worker: started so, stopped in reverse.

    A port that is None is chosen free and kept for the stack's lifetime. `environ` reaches every
    process but PostgreSQL and rtpengine; with KAMAILIO_TLS_CERTIFICATE in it there is a port for
    SIP over TLS, too, with KAMAILIO_WS_ORIGINS one for SIP over WebSocket. With `replica`, Kamailio
    reads from a replica of the database. rtpengine listens for voice on `media_address`, by default
    `sip_address`; it is left out where MEDIA_PROXY is `off`, or where it is not installed. `report`
    is told each step. Nothing is restarted by itself: that is `provisioner.stack.supervisor`. All
    of it ends with the thread that called `start()`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        sip_address: str = "127.0.0.1",
        http_port: int | None = None,
        sip_port: int | None = None,
        tls_port: int | None = None,
        ws_port: int | None = None,
        environ: Mapping[str, str] | None = None,
        extra_sip_addresses: Sequence[str] = (),
        media_address: str | None = None,
        media_ports: MediaPorts | None = None,
        durable: bool = True,
        replica: bool = False,
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
        self._with_tls = bool(self._base.get("KAMAILIO_TLS_CERTIFICATE"))
        if self._with_tls:
            self._ports.add("SIP_TLS_PORT", tcp(*self._sip_addresses), tls_port)
        self._with_ws = bool(self._base.get("KAMAILIO_WS_ORIGINS"))
        if self._with_ws:
            self._ports.add("SIP_WS_PORT", tcp(*self._sip_addresses), ws_port)
        self.media_address = media_address or sip_address
        self._media_mode = read_mode(self._base)
        self._media_ports = media_ports or read_ports(self._base)
        self.postgres = self._process(
            "postgres",
            lambda: self._cluster.serve(self._lock),
            lambda: self._cluster.answers(),
            stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown
        )
        self.replica = self._replica_process() if replica else None
        self.media = self._media_process()
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
    def tls_port(self) -> int | None:
        """The port for SIP over TLS; None: there is no certificate."""
        return self._ports["SIP_TLS_PORT"] if self._with_tls else None

    @property
    def ws_port(self) -> int | None:
        """The port for SIP over WebSocket, with TLS where there is a certificate; None: there are
        no pages to let in.
        """
        return self._ports["SIP_WS_PORT"] if self._with_ws else None

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
    def replica_admin_url(self) -> str:
        """The superuser's connection string for the replica of the database."""
        return self._replica.url()

    @property
    def environ(self) -> dict[str, str]:
        """The variables of the service's processes, as any `provisioner` command needs them."""
        return self._environment.service()

    @property
    def kamailio_environ(self) -> dict[str, str]:
        """The variables of Kamailio, its secrets included."""
        return self._environment.kamailio()

    @property
    def processes(self) -> list[Process]:
        """All processes, in the order in which they start."""
        beside = [process for process in (self.replica, self.media) if process is not None]
        return [self.postgres, *beside, self.kamailio, self.provisioner, self.worker]

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
            for step in self._steps():
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

    def _steps(self) -> Iterator[Callable[[], str]]:
        yield self._start_database
        if self.replica is not None:
            yield partial(self._start_replica, self.replica)
        if self.media is not None:
            yield partial(self._start_media, self.media)
        elif self._media_mode != "off":
            self._report("rtpengine is not installed: phones behind NAT may not hear each other")
        yield self._start_kamailio
        yield self._start_service

    def _start_database(self) -> str:
        self._start_with_ports(self.postgres, "DATABASE_PORT")
        self._cluster.create_database()
        self._run("migrate", self._environment.migration(self.database_admin_url))
        self._run("init-token", self.environ, "--file", str(self.admin_token_file))
        self._run("init-login", self.environ, "--file", str(self.directory.admin_login))
        return f"PostgreSQL ready on 127.0.0.1:{self._ports['DATABASE_PORT']}, database migrated"

    def _start_replica(self, replica: Process) -> str:
        self._start_with_ports(replica, "REPLICA_PORT")
        return f"Its replica ready on 127.0.0.1:{self._ports['REPLICA_PORT']}"

    def _start_media(self, media: Process) -> str:
        try:
            self._start_with_ports(media, "MEDIA_PORT")
        except StackError as error:
            # Calls are set up without it; the supervisor tries again.
            return f"Phones behind NAT may not hear each other: {error}"
        ports = self._settled_media_ports()
        return f"rtpengine ready on {self.media_address}, UDP ports {ports.first} to {ports.last}"

    def _start_kamailio(self) -> str:
        kinds = {"SIP_TLS_PORT": self._with_tls, "SIP_WS_PORT": self._with_ws}
        more = [name for name, wanted in kinds.items() if wanted]
        self._start_with_ports(self.kamailio, "KAMAILIO_RPC_PORT", "SIP_PORT", *more)
        where = " and ".join(f"{address}:{self.sip_port}" for address in self._sip_addresses)
        beside = "" if self.tls_port is None else f", TLS on port {self.tls_port}"
        beside += "" if self.ws_port is None else f", WebSocket on port {self.ws_port}"
        return f"Kamailio ready on {where}, UDP and TCP{beside}"

    def _start_service(self) -> str:
        self.worker.start()
        self._start_with_ports(self.provisioner, "HTTP_PORT")
        needs = [self.postgres, self.kamailio, self.provisioner]
        self.worker.wait_ready(READY_TIMEOUT, needs=needs)
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
    def _replica(self) -> Replica:
        return Replica(
            self.directory.replica,
            self._passwords.postgres,
            self._ports["REPLICA_PORT"],
            self._log("pg_basebackup"),
            durable=self._durable,
            primary=self._cluster,
            replication_password=self._passwords.replication_db,
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
            tls_port=self.tls_port,
            ws_port=self.ws_port,
            media_port=None if self.media is None else self._ports["MEDIA_PORT"],
            media_mode=self._media_mode,
            replica_port=None if self.replica is None else self._ports["REPLICA_PORT"],
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

    def _replica_process(self) -> Process:
        self._ports.add("REPLICA_PORT", tcp("127.0.0.1"), None)
        return self._process(
            "replica",
            lambda: self._replica.serve(self._lock),
            lambda: self._replica.answers(),
            stop_signal=signal.SIGINT,
        )

    def _media_process(self) -> Process | None:
        program = None if self._media_mode == "off" else find_program()
        if program is None:
            return None
        self._ports.add("MEDIA_PORT", udp("127.0.0.1"), None)
        return self._process(
            "rtpengine",
            lambda: self._media_command(program),
            lambda: answers_ping(self._ports["MEDIA_PORT"]),
        )

    def _settled_media_ports(self) -> MediaPorts:
        self._media_ports = self._media_ports or free_ports(self.media_address)
        return self._media_ports

    def _media_command(self, program: str) -> Command:
        return rtpengine(
            program,
            self.media_address,
            self._ports["MEDIA_PORT"],
            self._settled_media_ports(),
            self._environment.media(),
            keep=[self._lock],
        )

    def _kamailio_command(self) -> Command:
        rpc_port = self._ports["KAMAILIO_RPC_PORT"]
        listen = listeners(
            self._sip_addresses, self.sip_port, rpc_port, self.tls_port, self.ws_port
        )
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
