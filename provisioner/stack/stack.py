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
from provisioner.stack.environment import RPC_ROOT, Environment
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
from provisioner.stack.nodes import PORT_STEP, Node, numbered
from provisioner.stack.passwords import Passwords, load_passwords
from provisioner.stack.ports import Endpoint, PortBook, tcp, udp, udp_and_tcp
from provisioner.stack.postgres import Cluster
from provisioner.stack.probes import answers_ok
from provisioner.stack.processes import Command, Process, run_once
from provisioner.stack.registrar import kamailio, listeners
from provisioner.stack.replica import Replica

PORT_CHOICES = 5  # a port that was free can be taken before our server has it
READY_TIMEOUT = 30.0  # seconds until /readyz says that all of it works


class Stack:
    """PostgreSQL, rtpengine, Kamailio, provisioner and worker: started so, stopped in reverse.

    Of Kamailio there may be several `nodes`, which share bindings and bans: the SIP ports of each
    are 10 above those of the one before it, or chosen free. `kamailio`, `sip_port` and whatever
    else is one node's are the first node's.

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
        nodes: int = 1,
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
        self._ports = _port_book(http_port)
        self._with_tls = bool(self._base.get("KAMAILIO_TLS_CERTIFICATE"))
        self._with_ws = bool(self._base.get("KAMAILIO_WS_ORIGINS"))
        self._numbers = range(1, nodes + 1)
        for number in self._numbers:
            self._add_node_ports(number, sip_port, tls_port, ws_port)
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
        self.kamailios = [self._kamailio_process(number) for number in self._numbers]
        self.kamailio = self.kamailios[0]
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
    def nodes(self) -> list[Node]:
        """Where each Kamailio listens."""
        return [self._node(number) for number in self._numbers]

    @property
    def worker_url(self) -> str:
        """The worker's own address, for /livez and /metrics."""
        return f"http://127.0.0.1:{self._ports['WORKER_HTTP_PORT']}"

    @property
    def rpc_url(self) -> str:
        """Where Kamailio takes JSON-RPC."""
        return self._node(1).rpc_url

    @property
    def rpc_token(self) -> str:
        """The bearer token for `rpc_url`."""
        return self._passwords.rpc_token

    @property
    def rpc_root_token(self) -> str:
        """The one that opens all commands there, as `environ` says it."""
        return self._base[RPC_ROOT]

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
        return self._environment.kamailio(self._node(1))

    @property
    def processes(self) -> list[Process]:
        """All processes, in the order in which they start."""
        beside = [process for process in (self.replica, self.media) if process is not None]
        return [self.postgres, *beside, *self.kamailios, self.provisioner, self.worker]

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
        """Leave what a `provisioner` command needs, for a shell: `. var/environment`. What a backup
        needs is apart from it: the connection string of the database's owner.
        """
        lines = [
            f"export {name}={shlex.quote(value)}\n"
            for name, value in self._environment.own().items()
        ]
        _leave(self.directory.environment, "".join(lines))
        _leave(self.directory.database_owner, f"{self.database_admin_url}\n")

    def stop(self) -> None:
        """Stop everything, in reverse order; the data stay. Harmless if nothing runs."""
        for path in (self.directory.environment, self.directory.database_owner):
            path.unlink(missing_ok=True)
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
        for number in self._numbers:
            yield partial(self._start_kamailio, number)
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

    def _start_kamailio(self, number: int) -> str:
        self._start_with_ports(self.kamailios[number - 1], *self._node_port_names(number))
        node = self._node(number)
        where = " and ".join(f"{address}:{node.sip}" for address in self._sip_addresses)
        beside = "" if node.tls is None else f", TLS on port {node.tls}"
        beside += "" if node.ws is None else f", WebSocket on port {node.ws}"
        name = "Kamailio" if len(self.kamailios) == 1 else f"Kamailio {node.name}"
        return f"{name} ready on {where}, UDP and TCP{beside}"

    def _start_service(self) -> str:
        self.worker.start()
        self._start_with_ports(self.provisioner, "HTTP_PORT")
        needs = [self.postgres, *self.kamailios, self.provisioner]
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
            http_port=self.http_port,
            database_port=self._ports["DATABASE_PORT"],
            worker_port=self._ports["WORKER_HTTP_PORT"],
            nodes=self.nodes,
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

    # The nodes.

    def _node_endpoints(self) -> dict[str, list[Endpoint]]:
        """Return where each node listens, by the first node's names."""
        return {
            "KAMAILIO_RPC_PORT": tcp("127.0.0.1"),
            "SIP_PORT": udp_and_tcp(self._sip_addresses),
            **({"SIP_TLS_PORT": tcp(*self._sip_addresses)} if self._with_tls else {}),
            **({"SIP_WS_PORT": tcp(*self._sip_addresses)} if self._with_ws else {}),
            **({"KAMAILIO_DMQ_PORT": udp("127.0.0.1")} if len(self._numbers) > 1 else {}),
        }

    def _add_node_ports(
        self, number: int, sip_port: int | None, tls_port: int | None, ws_port: int | None
    ) -> None:
        given = {"SIP_PORT": sip_port, "SIP_TLS_PORT": tls_port, "SIP_WS_PORT": ws_port}
        for name, endpoints in self._node_endpoints().items():
            port = given.get(name)
            if port is not None:
                port += PORT_STEP * (number - 1)
            self._ports.add(numbered(name, number), endpoints, port, name)

    def _node_port_names(self, number: int) -> list[str]:
        return [numbered(name, number) for name in self._node_endpoints()]

    def _node(self, number: int) -> Node:
        def port(name: str) -> int | None:
            return self._ports[numbered(name, number)] if name in self._node_endpoints() else None

        return Node(
            number,
            self._ports[numbered("SIP_PORT", number)],
            self._ports[numbered("KAMAILIO_RPC_PORT", number)],
            port("SIP_TLS_PORT"),
            port("SIP_WS_PORT"),
            port("KAMAILIO_DMQ_PORT"),
        )

    def _kamailio_process(self, number: int) -> Process:
        return self._process(
            "kamailio" if number == 1 else f"kamailio{number}",
            lambda: self._kamailio_command(self._node(number)),
            lambda: answers_ok(self._node(number).rpc, "/healthz"),
        )

    def _kamailio_command(self, node: Node) -> Command:
        listen = listeners(self._sip_addresses, node.sip, node.rpc, node.tls, node.ws, node.dmq)
        return kamailio(
            self.directory.kamailio_of(node.number),
            listen,
            self._environment.kamailio(node),
            keep=[self._lock],
        )


def _leave(path: Path, text: str) -> None:
    """Write a file that only we read."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _port_book(http_port: int | None) -> PortBook:
    names = ("HTTP_PORT", "DATABASE_PORT", "WORKER_HTTP_PORT")
    endpoints = dict.fromkeys(names, tcp("127.0.0.1"))
    return PortBook(endpoints, {"HTTP_PORT": http_port})
