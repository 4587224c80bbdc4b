"""The words that every driver of a SIP client shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .message import Message

Transport = Literal["udp", "tcp", "tls"]

NO_ANSWER = 0
"""`Registration.status` when no final response came within the deadline."""


class ClientError(Exception):
    """A client program could not be run, or did something that its driver does not know."""


@dataclass(frozen=True)
class Credentials:
    """What a customer types into a phone: user name, password and the realm (its domain)."""

    username: str
    password: str = field(repr=False)
    realm: str


@dataclass(frozen=True)
class Registrar:
    """Where REGISTER requests go."""

    host: str
    port: int
    transport: Transport = "udp"

    @property
    def address(self) -> str:
        """Host and port, as programs take it on a command line."""
        return f"{self.host}:{self.port}"

    @property
    def uri(self) -> str:
        """The SIP URI of the registrar as a route, with its transport."""
        return f"sip:{self.host}:{self.port};transport={self.transport}"


@dataclass(frozen=True)
class Registration:
    """What one client saw as the end of one REGISTER (challenge and its answer together).

    `status` and `reason` are the final response's; without one `status` is `NO_ANSWER` and
    `reason` says what the client reported. `source` and `port` are where the registrar saw
    the request come from (RFC 3581), without a response the client's own; `user_agent` is
    what the client calls itself, or the beginning of it, `elapsed` the seconds that the whole
    took, `message` the final response as the client received it.
    """

    status: int
    reason: str
    source: str
    port: int
    user_agent: str
    elapsed: float
    message: Message | None = field(default=None, repr=False)

    @property
    def accepted(self) -> bool:
        """Whether the registrar said yes (2xx)."""
        return 200 <= self.status < 300

    @property
    def outcome(self) -> tuple[int, str]:
        """Status and reason phrase, to compare with in one assertion."""
        return self.status, self.reason
