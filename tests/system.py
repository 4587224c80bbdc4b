"""The system under test and what a test does with it; the same in both environments."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import randbelow
from typing import Any, TypeVar

from provisioner.stack.stack import Stack
from tests.api import Api
from tests.sip.clients import Credentials, Registrar

T = TypeVar("T")

CLOUDFIRE_CIDR = "127.0.10.0/24"
CLOUDFIRE_CLIENT = "127.0.10.1"
INTERNET_CLIENT = "127.0.20.1"


@dataclass(frozen=True)
class Place:
    """Where a phone stands: its own address, and the registrar's as seen from there."""

    name: str
    client: str
    registrar: Registrar


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
class System:
    """The API, and the two networks from which phones reach Kamailio."""

    api: Api
    cloudfire: Place
    internet: Place
    cloudfire_cidr: str
    realm: str = field(default="talkytime.test")

    def new_number(self) -> str:
        """Create an active number that no other test uses."""
        number = f"+39{randbelow(10**10):010d}"
        self.api.post("/numbers", {"number": number, "state": "active"}).expect(201)
        return number

    def new_line(self, *, enabled: bool = True, **fields: Any) -> Line:
        """Create an account on a new number."""
        number = self.new_number()
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
    )


def harness_system(environ: Mapping[str, str]) -> System:
    """Describe the system of the container harness from its environment."""
    token = Path(environ["TEST_ADMIN_TOKEN_FILE"]).read_text().strip()
    return System(
        Api(environ["TEST_API_URL"], token),
        _place("cloudfire", environ),
        _place("internet", environ),
        environ["TEST_CLOUDFIRE_CIDR"],
    )


def _place(name: str, environ: Mapping[str, str]) -> Place:
    host, _, port = environ[f"TEST_{name.upper()}_REGISTRAR"].rpartition(":")
    return Place(name, environ[f"TEST_{name.upper()}_CLIENT"], Registrar(host, int(port)))


def eventually(look: Callable[[], T], *, within: float = 10.0) -> T:
    """Look until there is something true to see, and return it; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {within:g} s; last seen: {seen!r}"
        time.sleep(0.02)
    return seen
