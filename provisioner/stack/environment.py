"""Which process gets which variables: each what it needs, and no other's secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provisioner.stack.nodes import Node, peer_variables
from provisioner.stack.passwords import Passwords

SYSTEM = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
# Opens all of Kamailio's commands (kamailio/rpc.cfg); the service has no use for it.
RPC_ROOT = "KAMAILIO_RPC_ROOT_TOKEN"


@dataclass(frozen=True)
class Environment:
    """The stack's addresses and passwords, in the variables of its processes.

    `base` is what the user gave; it may set anything but what the stack itself decides.
    `replica_port` is that of the database's replica, None: there is none.
    `media_port` is rtpengine's, None: there is none; `media_mode` says which calls it is for.
    """

    base: Mapping[str, str]
    passwords: Passwords
    sip_address: str
    http_port: int
    database_port: int
    worker_port: int
    nodes: Sequence[Node]
    media_port: int | None = None
    media_mode: str = "auto"
    replica_port: int | None = None

    @property
    def database_url(self) -> str:
        """The service's connection string."""
        return self._service_database(self.database_port)

    def _service_database(self, port: int) -> str:
        return (
            f"postgresql://provisioner:{self.passwords.provisioner_db}@127.0.0.1:{port}/provisioner"
        )

    def _kamailio_database(self, port: int) -> str:
        return f"postgres://kamailio:{self.passwords.kamailio_db}@127.0.0.1:{port}/provisioner"

    def _base(self) -> dict[str, str]:
        """Return the user's variables without those that would point libpq elsewhere."""
        return SYSTEM | {
            name: value for name, value in self.base.items() if not name.startswith("PG")
        }

    def service(self) -> dict[str, str]:
        """Return the variables of `provisioner serve`, `worker` and the commands for people."""
        variables = self._base() | self.own()
        variables.pop(RPC_ROOT, None)
        return variables

    def own(self) -> dict[str, str]:
        """Return what the stack itself decides of the service's variables."""
        return {
            "DATABASE_URL": self.database_url,
            "SIP_ADDRESS": self.sip_address,
            "SIP_PORT": str(self.nodes[0].sip),
            "HTTP_ADDRESS": "127.0.0.1",
            "HTTP_PORT": str(self.http_port),
            "WORKER_HTTP_PORT": str(self.worker_port),
            "KAMAILIO_NODES": ",".join(f"{node.name}={node.rpc_url}" for node in self.nodes),
            "KAMAILIO_RPC_TOKEN": self.passwords.rpc_token,
            "SECRETS_KEY": self.passwords.secrets_key,
            **self._replicas(),
        }

    def _replicas(self) -> dict[str, str]:
        if self.replica_port is None:
            return {}
        url = self._service_database(self.replica_port)
        return {"KAMAILIO_REPLICAS": ",".join(f"{node.name}={url}" for node in self.nodes)}

    def migration(self, admin_url: str) -> dict[str, str]:
        """Return the variables of `provisioner migrate`."""
        return self._base() | {
            "DATABASE_ADMIN_URL": admin_url,
            "PROVISIONER_DB_PASSWORD": self.passwords.provisioner_db,
            "KAMAILIO_DB_PASSWORD": self.passwords.kamailio_db,
        }

    def kamailio(self, node: Node) -> dict[str, str]:
        """Return the variables of a node's Kamailio."""
        ports = {"KAMAILIO_TLS_PORT": node.tls, "KAMAILIO_WS_PORT": node.ws}
        return {
            **self._base(),
            **{name: str(port) for name, port in ports.items() if port is not None},
            **self._media(),
            **self._replica(),
            **self._peers(node),
            "KAMAILIO_DB_URL": self._kamailio_database(self.database_port),
            "KAMAILIO_NODE": node.name,
            "KAMAILIO_SERVER_ID": str(node.number),
            "KAMAILIO_NONCE_SECRET": node.nonce_secret(self.passwords.nonce_secret),
            "KAMAILIO_RPC_PORT": str(node.rpc),
            "KAMAILIO_RPC_TOKEN": self.passwords.rpc_token,
        }

    def _replica(self) -> dict[str, str]:
        if self.replica_port is None:
            return {}
        return {"KAMAILIO_REPLICA_URL": self._kamailio_database(self.replica_port)}

    def _peers(self, node: Node) -> dict[str, str]:
        if node.dmq_address is None:
            return {}
        others = [one.dmq_address for one in self.nodes if one != node and one.dmq_address]
        return {"KAMAILIO_DMQ_ADDRESS": node.dmq_address, **peer_variables(others)}

    def _media(self) -> dict[str, str]:
        if self.media_port is None:
            return {}
        return {
            "KAMAILIO_MEDIA_SOCKET": f"udp:127.0.0.1:{self.media_port}",
            "KAMAILIO_MEDIA_PROXY": self.media_mode,
        }

    def media(self) -> dict[str, str]:
        """Return rtpengine's variables: it needs none of the user's."""
        return dict(SYSTEM)
