"""Settings, with their password, that a phone fetches once and soon, by a secret address.

Kept sealed with a key that only the address holds: neither the database nor the service can read
them afterwards.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from secrets import token_urlsafe

from provisioner.db import Connection, one, run
from provisioner.queries import HANDOVERS
from provisioner.sealing import Sealer

MINUTES = 15  # in which the settings can be fetched
TOKEN_BYTES = 32


def offer(connection: Connection, account_id: int, settings: str) -> str:
    """Keep an account's settings, instead of former ones; return the token that fetches them."""
    run(connection, HANDOVERS["handovers_prune"])
    token = token_urlsafe(TOKEN_BYTES)
    run(
        connection,
        HANDOVERS["handover_set"],
        account_id=account_id,
        sha256=_digest(token),
        sealed=_sealer(token).seal(settings),
        minutes=MINUTES,
    )
    return token


def take(connection: Connection, token: str) -> str | None:
    """Return the settings that a token fetches, and forget them; None where there are none."""
    row = one(connection, HANDOVERS["handover_take"], sha256=_digest(token))
    return _sealer(token).open(row["sealed"]) if row else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _sealer(token: str) -> Sealer:
    """Make a sealer with a key that cannot be told from the digest."""
    key = hmac.digest(token.encode(), b"handover", "sha256")
    return Sealer([urlsafe_b64encode(key).decode("ascii")])
