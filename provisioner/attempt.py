"""A request that a node refused to an account, as the node remembers it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """Why it was refused."""

    PASSWORD = "password"  # noqa: S105 - the reason's name
    IDENTITY = "identity"
    DISABLED = "disabled"
    NETWORK = "network"


@dataclass(frozen=True)
class Attempt:
    """The last attempt of its kind. `at` is in whole seconds, by the node's clock."""

    username: str
    at: datetime
    reason: Reason
    transport: str
    source: str
    port: int
    method: str
    user_agent: str

    @property
    def knew_the_password(self) -> bool:
        """True where only the holder of the password can have made it."""
        return self.reason is not Reason.PASSWORD

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what kamailio/diagnosis.cfg has written.

        Raises:
            ValueError: it is something else.
        """
        username, at, reason, transport, source, port, method, user_agent = text.split(" ", 7)
        return cls(
            username=username,
            at=datetime.fromtimestamp(int(at), UTC),
            reason=Reason(reason),
            transport=transport,
            source=source,
            port=int(port),
            method=method,
            user_agent="" if user_agent == "-" else user_agent,
        )
