"""A portal that sends signed events, for tests."""

import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from provisioner.hooks.signature import sign
from tests.integration.conftest import NUMBER, Answer, Client

PATH = "/hooks/v1/events"


@dataclass
class Portal:
    """A hook source. Its versions count up by themselves."""

    client: Client
    secret: str
    version: int = field(default=0)

    def send(
        self, kind: str, *, at: datetime | None = None, webhook_id: str = "", **data: Any
    ) -> Answer:
        """Send an event; its version is the next one unless it is given."""
        self.version = data.setdefault("version", self.version + 1)
        at = at or datetime.now(UTC)
        event = {"type": kind, "timestamp": at.isoformat(), "data": data}
        return self.post(json.dumps(event), webhook_id)

    def post(self, body: str | bytes, identifier: str = "", **headers: str) -> Answer:
        """Send a body with a valid signature; header names with `_` for `-`."""
        text = body if isinstance(body, str) else body.decode("utf-8", "replace")
        signed = sign([self.secret], identifier or f"msg_{secrets.token_hex(8)}", text)
        signed |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.client.http.post(PATH, data=body, headers=signed)
        return cast(Answer, answer)

    def apply(self, kind: str, **data: Any) -> Any:
        """Send an event that is applied."""
        answer = self.send(kind, **data)
        assert answer.status_code == 200, answer.json
        assert answer.json["status"] == "applied", answer.json
        return answer.json

    def create(self, external_id: str = "crm-1", number: str = NUMBER, **fields: Any) -> Any:
        """Send the creation of an account on a number that exists; return the account."""
        given = {"name": f"Line {number}", "main_number": number, "voice_channels": 2} | fields
        self.apply("account.created", external_id=external_id, **given)
        return self.account(external_id)

    def account(self, external_id: str = "crm-1") -> Any:
        """Read an account by the portal's key; None where there is none."""
        found = self.client("GET", f"/sip-accounts?external_id={external_id}").json["items"]
        return found[0] if found else None


def ago(**interval: float) -> datetime:
    """Return a moment in the past."""
    return datetime.now(UTC) - timedelta(**interval)
