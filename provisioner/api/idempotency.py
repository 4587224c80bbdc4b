"""`Idempotency-Key`: a POST that is sent again is answered as the first time, and done once.

The key is claimed in the transaction that does the work. So a key belongs to work that was
committed, a second request waits for the first, and one that was refused can be tried again. What
is shown once is not kept: a repeated answer omits it.
"""

import hashlib
from typing import Any

from flask import Response, json, request
from psycopg.types.json import Jsonb

from provisioner.access import Actor
from provisioner.api.problems import KeyReused
from provisioner.api.view import View
from provisioner.db import Connection, one, run
from provisioner.errors import InvalidInput
from provisioner.queries import TENANCY
from provisioner.tenancy_store import IDEMPOTENCY_HOURS

KEY_LENGTH = 255  # characters


def claim(connection: Connection, actor: Actor, content: bytes) -> Response | None:
    """Claim the request's key, if it has one; return the answer that it had the first time.

    Raises:
        InvalidInput: the key is no key.
        KeyReused: it belongs to another request.
    """
    key = _key()
    if key is None:
        return None
    digest = _digest(content)
    parameters = {"token_id": actor.id, "key": key, "request": digest}
    if run(connection, TENANCY["key_claim"], hours=IDEMPOTENCY_HOURS, **parameters):
        return None
    found = one(connection, TENANCY["key"], token_id=actor.id, key=key)
    assert found is not None  # noqa: S101 - the claim met it
    if bytes(found["request"]) != digest:
        raise KeyReused()
    body = None if found["body"] is None else json.dumps(found["body"]) + "\n"
    response = Response(body, found["status"], mimetype="application/json")
    response.headers["Idempotency-Replayed"] = "true"
    if found["location"]:
        response.headers["Location"] = found["location"]
    return response


def keep(connection: Connection, actor: Actor, response: Response, answer: Any) -> None:
    """Keep the answer to a claimed key, without what is shown once."""
    key = _key()
    if key is None:
        return
    run(
        connection,
        TENANCY["key_answer"],
        token_id=actor.id,
        key=key,
        status=response.status_code,
        body=Jsonb(answer.repeatable()) if isinstance(answer, View) else None,
        location=response.headers.get("Location"),
    )


def _key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= KEY_LENGTH and key.isprintable()):
        raise InvalidInput("Idempotency-Key", f"must have 1 to {KEY_LENGTH} printable characters")
    return key


def _digest(content: bytes) -> bytes:
    parts = (request.method.encode(), request.full_path.encode(), content)
    return hashlib.sha256(b"\0".join(parts)).digest()
