"""The system under test and what a test does with it; the same in both environments."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from secrets import randbelow
from typing import Any, TypeVar

from provisioner.stack.stack import Stack
from tests.api import Api
from tests.sip.clients import Credentials, Registrar, Transport, free_port

T = TypeVar("T")

CLOUDFIRE_CIDR = "127.0.10.0/24"
CLOUDFIRE_CLIENT = "127.0.10.1"
INTERNET_CLIENT = "127.0.20.1"
CARRIERS_CLIENT = "127.0.30.1"
# From a random one on, in steps that have no factor in common with how many there are.
_numbers = count(randbelow(9 * 10**8), 7919)
SOFTPHONE_ORIGIN = "https://softphone.test"  # of the web page whose softphone may connect


@dataclass(frozen=True)
class Place:
    """Where a phone stands: its own address, and the registrar's as seen from there."""

    name: str
    client: str
    registrar: Registrar


@dataclass(frozen=True)
class Encrypted:
    """Where SIP is over TLS and over WebSocket, and the authority that vouches for both."""

    registrar: Registrar
    websocket_url: str
    authority: Path


@dataclass
class Line:
    """An account with the credentials that its creation showed, once."""

    api: Api
    id: int
    number: str
    credentials: Credentials

    @property
    def path(self) -> str:
        """The account's path in the API."""
        return f"/sip-accounts/{self.id}"

    def read(self) -> Any:
        """Read the account."""
        return self.api.get(self.path).expect(200)

    def enable(self) -> Any:
        """Enable it, on all nodes."""
        return self.api.post(f"{self.path}/enable", wait=10).expect(200)

    def disable(self) -> Any:
        """Disable it, on all nodes."""
        return self.api.post(f"{self.path}/disable", wait=10).expect(200)

    def bindings(self) -> list[Any]:
        """List its registrations."""
        items: list[Any] = self.api.get(f"{self.path}/registrations").expect(200)["items"]
        return items


@dataclass
class Trunk:
    """A carrier's trunk, and where its server has to be."""

    api: Api
    id: int
    place: Place
    port: int
    transport: Transport

    def delete(self) -> None:
        """Delete it, on all nodes."""
        self.api.delete(f"/trunks/{self.id}", wait=10).expect(204)


@dataclass
class System:
    """The API, the two networks from which phones reach Kamailio, and the carriers'."""

    api: Api
    cloudfire: Place
    internet: Place
    cloudfire_cidr: str
    carriers: Place
    realm: str = field(default="talkytime.test")
    encrypted: Encrypted | None = None

    def new_number(self, *, state: str = "active", **fields: Any) -> str:
        """Create a number that no other test uses, as are the few thousand after it."""
        number = f"+390{10**8 + next(_numbers) % (9 * 10**8)}"
        self.api.post("/numbers", {"number": number, "state": state, **fields}).expect(201)
        return number

    def new_trunk(self, *, transport: Transport = "udp", priority: int = 0) -> Trunk:
        """Create a carrier's trunk, to a port of the carriers' place that is free."""
        place = self.carriers
        cidrs = [f"{place.client}/32"]
        self.api.put("/networks/carriers", {"cidrs": cidrs}, wait=10).expect(200)
        port = free_port(place.client)
        body = {"name": f"Carrier {port}", "kind": "carrier", "host": place.client, "port": port}
        body |= {"transport": transport, "priority": priority}
        trunk = self.api.post("/trunks", body, wait=10).expect(201)
        return Trunk(self.api, trunk["id"], place, port, transport)

    def new_line(self, *, enabled: bool = True, **fields: Any) -> Line:
        """Create an account on a new number."""
        project = {name: fields[name] for name in ("project_id",) if name in fields}
        number = self.new_number(**project)
        body = {"name": f"Line {number}", "main_number": number, "voice_channels": 2, **fields}
        account = self.api.post("/sip-accounts", body).expect(201)
        shown = account["credentials"]
        credentials = Credentials(shown["username"], shown["password"], shown["realm"])
        line = Line(self.api, account["id"], number, credentials)
        if enabled:
            line.enable()
        return line


def native_system(stack: Stack) -> System:
    """Describe a stack on this machine; loopback addresses play the networks."""
    registrar = Registrar(stack.sip_address, stack.sip_port)
    return System(
        Api(stack.api_url, stack.admin_token_file.read_text().strip()),
        Place("cloudfire", CLOUDFIRE_CLIENT, registrar),
        Place("internet", INTERNET_CLIENT, registrar),
        CLOUDFIRE_CIDR,
        Place("carriers", CARRIERS_CLIENT, registrar),
        encrypted=_native_encrypted(stack),
    )


def _native_encrypted(stack: Stack) -> Encrypted | None:
    if stack.tls_port is None or stack.ws_port is None:
        return None
    return Encrypted(
        Registrar(stack.sip_address, stack.tls_port, "tls"),
        f"wss://{stack.sip_address}:{stack.ws_port}/",
        Path(stack.kamailio_environ["KAMAILIO_TLS_CA"]),
    )


def harness_system(environ: Mapping[str, str]) -> System:
    """Describe the system of the container harness from its environment."""
    token = Path(environ["TEST_ADMIN_TOKEN_FILE"]).read_text().strip()
    return System(
        Api(environ["TEST_API_URL"], token),
        _place("cloudfire", environ),
        _place("internet", environ),
        environ["TEST_CLOUDFIRE_CIDR"],
        _place("carriers", environ),
        encrypted=_harness_encrypted(environ),
    )


def _harness_encrypted(environ: Mapping[str, str]) -> Encrypted | None:
    if "TEST_TLS_REGISTRAR" not in environ:
        return None
    host, _, port = environ["TEST_TLS_REGISTRAR"].rpartition(":")
    return Encrypted(
        Registrar(host, int(port), "tls"),
        environ["TEST_WEBSOCKET_URL"],
        Path(environ["TEST_TLS_AUTHORITY"]),
    )


def _place(name: str, environ: Mapping[str, str]) -> Place:
    host, _, port = environ[f"TEST_{name.upper()}_REGISTRAR"].rpartition(":")
    return Place(name, environ[f"TEST_{name.upper()}_CLIENT"], Registrar(host, int(port)))


def eventually(look: Callable[[], T], *, within: float = 20.0) -> T:
    """Look until there is something true to see, and return it; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {within:g} s; last seen: {seen!r}"
        time.sleep(0.02)
    return seen
