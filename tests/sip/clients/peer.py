"""What Kamailio's nodes tell each other (KDMQ), from whoever has a socket."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING

from .wire import Wire

if TYPE_CHECKING:
    from .message import Message

ADDED = 1


def binding(aor: str, contact: str, *, server_id: int = 1) -> dict[str, object]:
    """What a node says of a binding that it has."""
    now = int(time.time())
    return {
        "action": ADDED,
        "aor": aor,
        "ruid": f"uloc-{server_id}-{secrets.token_hex(6)}",
        "c": contact,
        "received": contact,
        "path": "",
        "callid": secrets.token_hex(8),
        "user_agent": "peer",
        "instance": "",
        "expires": now + 300,
        "cseq": 1,
        "flags": 0,
        "cflags": 0,
        "q": -1,
        "last_modified": now,
        "methods": 0xFFFFFFFF,
        "reg_id": 0,
        "server_id": server_id,
    }


def cell(table: str, key: str, value: str) -> dict[str, object]:
    """What a node says of an entry of a table that it shares."""
    return {"action": 2, "htname": table, "cname": key, "type": 2, "strval": value, "mode": 1}


class Peer(Wire):
    """A node, or one who would like to be taken for one."""

    def tell(self, channel: str, content: dict[str, object], host: str) -> Message | None:
        """Say something on a channel to `host`; returns the answer, if there is one."""
        fields = {"Content-Type": "application/json", "Max-Forwards": "1"}
        uri = f"sip:{channel}@{host}"
        body = json.dumps(content, separators=(",", ":"))
        return self.exchange(
            self.request("KDMQ", channel, host, fields, uri=uri, body=body)
        ).response
