"""Further Kamailios over the stack's database: other nodes, and ones that are weak on purpose."""

import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from provisioner.kamailio import KamailioNode
from provisioner.stack.environment import RPC_ROOT
from provisioner.stack.ports import tcp, udp_and_tcp
from provisioner.stack.probes import answers_ok
from provisioner.stack.processes import Process
from provisioner.stack.registrar import CONFIG, kamailio, listeners
from provisioner.stack.stack import Stack
from tests.ports import new_port
from tests.sip.clients import Registrar
from tests.system import Place, System

_server_ids = count(2)  # 1 is the stack's own


@dataclass(frozen=True)
class Node:
    """A Kamailio beside the stack's own, and the system as it is seen through it."""

    system: System
    kamailio: KamailioNode
    rpc_url: str
    process: Process
    tls_port: int | None = None
    ws_port: int | None = None

    def reload(self) -> None:
        """Have it learn of networks and trunks that were added after its start."""
        self.kamailio.call("permissions.addressReload")
        self.kamailio.call("dispatcher.reload")


@contextmanager
def another_node(
    stack: Stack,
    system: System,
    folder: Path,
    *,
    changes: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    tls: bool = False,
    ws: bool = False,
) -> Iterator[Node]:
    """Run one more node until the end of the block; it has a nonce secret of its own.

    Over TLS, if it is wanted, it shows the stack's certificate. WebSocket (`ws`) is over TLS then.

    `changes` are what makes it weak: patterns that the configuration's lines match once in all its
    files together, and what stands there instead. `environ` replaces its variables; with
    KAMAILIO_DMQ_ADDRESS in it, on 127.0.0.1, it listens to other nodes.
    """
    config = shutil.copytree(CONFIG.parent, folder / "config")
    for pattern, replacement in (changes or {}).items():
        change(config, pattern, replacement)
    dmq_address = (environ or {}).get("KAMAILIO_DMQ_ADDRESS")
    sip_port = new_port(udp_and_tcp([stack.sip_address]))
    rpc_port = new_port(tcp("127.0.0.1"))
    tls_port = new_port(tcp(stack.sip_address)) if tls else None
    ws_port = new_port(tcp(stack.sip_address)) if ws else None
    server_id = next(_server_ids)
    variables = {
        **stack.kamailio_environ,
        "KAMAILIO_NODE": f"node{server_id}",
        "KAMAILIO_SERVER_ID": str(server_id),
        "KAMAILIO_NONCE_SECRET": secrets.token_hex(32),
        RPC_ROOT: secrets.token_hex(32),
        "KAMAILIO_RPC_PORT": str(rpc_port),
        "KAMAILIO_CHILDREN": "2",
        **({"KAMAILIO_TLS_PORT": str(tls_port)} if tls else {"KAMAILIO_TLS_CERTIFICATE": ""}),
        "KAMAILIO_WS_PORT": str(ws_port or 0),
        **(environ or {}),
    }
    process = Process(
        variables["KAMAILIO_NODE"],
        folder / "log",
        lambda: kamailio(
            folder / "state",
            listeners(
                [stack.sip_address],
                sip_port,
                rpc_port,
                tls_port,
                ws_port,
                int(dmq_address.rpartition(":")[2]) if dmq_address else None,
            ),
            variables,
            config=config / CONFIG.name,
        ),
        lambda: answers_ok(rpc_port, "/healthz"),
    )
    process.start()
    try:
        process.wait_ready()
        rpc_url = f"http://127.0.0.1:{rpc_port}/rpc"
        rpc = KamailioNode(rpc_url, variables[RPC_ROOT])
        seen = seen_through(system, Registrar(stack.sip_address, sip_port))
        with closing(rpc):
            yield Node(seen, rpc, rpc_url, process, tls_port, ws_port)
    finally:
        process.stop()


def change(config: Path, pattern: str, replacement: str) -> None:
    """Replace what matches once in the files of a configuration; raises `ValueError` otherwise."""
    found = re.compile(pattern, re.MULTILINE | re.DOTALL)
    texts = {path: path.read_text(encoding="utf-8") for path in config.glob("*.cfg")}
    matches = {path: len(found.findall(text)) for path, text in texts.items()}
    if sum(matches.values()) != 1:
        raise ValueError(f"{pattern!r} is found {sum(matches.values())} times in {config}")
    path = next(path for path, number in matches.items() if number)
    path.write_text(found.sub(lambda _: replacement, texts[path]), encoding="utf-8")


def seen_through(system: System, registrar: Registrar) -> System:
    """Describe the system as it is for phones that use another node."""

    def here(place: Place) -> Place:
        return replace(place, registrar=registrar)

    return replace(
        system,
        cloudfire=here(system.cloudfire),
        internet=here(system.internet),
        carriers=here(system.carriers),
    )
