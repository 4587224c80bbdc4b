"""The stack's Kamailio nodes: what each is called and where it listens."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

PORT_STEP = 10  # between the SIP ports of two nodes, as the user is told
MOST = 8  # as many peers as kamailio/nodes.cfg takes, and the node itself


@dataclass(frozen=True)
class Node:
    """A node's number, from 1, and its ports on this machine; None: it does not listen for that.

    `dmq` is where nodes tell each other of bindings and bans.
    """

    number: int
    sip: int
    rpc: int
    tls: int | None = None
    ws: int | None = None
    dmq: int | None = None

    @property
    def name(self) -> str:
        """What it is called in the API and in its logs."""
        return f"node{self.number}"

    @property
    def rpc_url(self) -> str:
        """Where it takes JSON-RPC."""
        return f"http://127.0.0.1:{self.rpc}/rpc"

    @property
    def dmq_address(self) -> str | None:
        """Where it listens to other nodes."""
        return None if self.dmq is None else f"127.0.0.1:{self.dmq}"

    def nonce_secret(self, secret: str) -> str:
        """Make its own of the stack's secret: one node alone knows what a nonce was used for."""
        if self.number == 1:
            return secret
        return hashlib.sha256(f"{secret}/{self.name}".encode()).hexdigest()


def numbered(name: str, number: int) -> str:
    """Return the name of what every node has one of: as it is for the first."""
    return name if number == 1 else f"{name}_{number}"


def peer_variables(peers: Sequence[str]) -> dict[str, str]:
    """Return the variables that tell Kamailio of the other nodes (`host:port`)."""
    return {
        "KAMAILIO_DMQ_PEERS": ",".join(peers),
        **{f"KAMAILIO_DMQ_PEER_{number}": peer for number, peer in enumerate(peers, 1)},
    }
