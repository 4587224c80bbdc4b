"""Two nodes that share bindings and bans, and read from a replica, in a stack of their own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from provisioner.kamailio import KamailioNode
from provisioner.registrations import aor_of
from provisioner.stack.processes import Process
from provisioner.stack.stack import Stack
from tests.sip.attacks.nodes import seen_through
from tests.sip.calls.conftest import Device
from tests.sip.clients import Registrar, Transport
from tests.system import Line, System, eventually, native_system

Database = psycopg.Connection[dict[str, Any]]


@dataclass(frozen=True)
class ClusterNode:
    """One of the nodes: its process, its memory, and the system as it is seen through it."""

    name: str
    process: Process
    kamailio: KamailioNode
    system: System

    def knows(self, line: Line) -> bool:
        """Whether it has a binding of the account."""
        return bool(self.kamailio.bindings(aor_of(line.credentials.username, self.system.realm)))

    def hears(self) -> int:
        """How many nodes say that they are there, itself included."""
        return len(self.kamailio.call("htable.dump", "nodes"))

    def restart(self) -> None:
        """Start it again after its end, and wait until it serves and obeys."""
        self.process.start()
        self.process.wait_ready()
        eventually(self.is_up, within=20)

    def is_up(self) -> bool:
        """Whether the service trusts it."""
        nodes = self.system.api.get("/nodes").expect(200)["items"]
        return any(one["name"] == self.name and one["converged"] for one in nodes)


@dataclass(frozen=True)
class Cluster:
    """The nodes, the first two of them by name, and their one database."""

    stack: Stack
    system: System
    nodes: list[ClusterNode]

    @property
    def a(self) -> ClusterNode:
        """The first node."""
        return self.nodes[0]

    @property
    def b(self) -> ClusterNode:
        """The second node."""
        return self.nodes[1]

    def whole(self) -> bool:
        """Whether every node hears every other."""
        return all(node.hears() == len(self.nodes) for node in self.nodes)

    def log(self) -> str:
        """What both have written."""
        return "".join(node.process.log.read_text(errors="replace") for node in self.nodes)


@contextmanager
def cluster_of_two(
    directory: Path, environ: Mapping[str, str], *, replica: bool = False
) -> Iterator[Cluster]:
    """Run two nodes and all that belongs to them until the end of the block."""
    # Everybody is behind few addresses here.
    known = {
        "SYNC_INTERVAL": "2",
        "KAMAILIO_REQUESTS_PER_SECOND": "0",
        "KAMAILIO_ADDRESS_GUESSES": "100000",
        "KAMAILIO_RPC_ROOT_TOKEN": token_hex(32),
    }
    with ExitStack() as running:
        environ = {**known, **environ}
        stack = Stack(directory, environ=environ, nodes=2, replica=replica, durable=False)
        running.enter_context(stack)
        system = native_system(stack)
        nodes = []
        for node, process in zip(stack.nodes, stack.kamailios, strict=True):
            kamailio = KamailioNode(node.rpc_url, stack.rpc_root_token)
            running.callback(kamailio.close)
            seen = seen_through(system, Registrar(stack.sip_address, node.sip))
            nodes.append(ClusterNode(node.name, process, kamailio, seen))
        cluster = Cluster(stack, system, nodes)
        eventually(cluster.whole)
        yield cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes that read from a replica, and all that belongs to them."""
    directory: Path = tmp_path_factory.mktemp("cluster")
    with cluster_of_two(directory, {"MEDIA_PROXY": "off"}, replica=True) as cluster:
        yield cluster


@pytest.fixture
def healthy(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, of which the test may end nodes: they are there again after it."""
    yield cluster
    for node in cluster.nodes:
        node.restart()
    eventually(cluster.whole)


@pytest.fixture
def records(cluster: Cluster) -> Iterator[Database]:
    """The cluster's database, as its superuser."""
    url = cluster.stack.database_admin_url
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


MakePhone = Callable[..., Device]


@pytest.fixture
def phone() -> Iterator[MakePhone]:
    """Make phones that register with a node, and hear from that node alone, as behind a router."""
    with ExitStack() as devices:

        def make(node: ClusterNode, line: Line, transport: Transport = "udp") -> Device:
            made = devices.enter_context(Device(node.system, line, node.system.internet, transport))
            assert made.register(line.credentials).status == 200
            return made

        yield make
