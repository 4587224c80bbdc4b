"""`Idempotency-Key`: a POST that is sent again is answered as the first time, and done once.

The key is claimed in the transaction that does the work. So a key belongs to work that was
committed, a second request waits for the first, and one that was refused can be tried again. What
is shown once is not kept: a repeated answer omits it.
"""

import hashlib
from typing import IO, Any

from flask import Response, json, request
from psycopg.types.json import Jsonb
from werkzeug.exceptions import ClientDisconnected

from provisioner.access import Actor
from provisioner.api.problems import KeyReused
from provisioner.api.view import View
from provisioner.db import Connection, one, run
from provisioner.errors import InvalidInput
from provisioner.queries import TENANCY
from provisioner.tenancy_store import IDEMPOTENCY_HOURS

KEY_LENGTH = 255  # characters
PART = 64 * 1024  # bytes that are read at a time
UNREAD = bytes(32)  # stands for a request whose body has not been read yet


class Content:
    """A request's body, hashed as it is read, so that a large one need not be kept.

    `length` is what the client has announced (bytes), if it has.
    """

    def __init__(self, stream: IO[bytes], length: int | None = None) -> None:
        self._stream = stream
        self._missing = length or 0
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes.

        Raises:
            ClientDisconnected: there are none, though more were announced: gunicorn does not tell.
        """
        part = self._stream.read(size)
        self._missing -= len(part)
        if not part and self._missing > 0:
            raise ClientDisconnected()
        self._hash.update(part)
        return part

    def digest(self) -> bytes:
        """Return what stands for the request: its method, path and all of its body."""
        while self.read(PART):
            pass
        parts = (request.method.encode(), request.full_path.encode(), self._hash.digest())
        return hashlib.sha256(b"\0".join(parts)).digest()


def claim(connection: Connection, actor: Actor, content: Content) -> Response | None:
    """Claim the request's key, if it has one; return the answer that it had the first time.

    Raises:
        InvalidInput: the key is no key.
        KeyReused: it belongs to another request.
    """
    key = _key()
    if key is None:
        return None
    parameters = {"token_id": actor.id, "key": key, "request": UNREAD}
    if run(connection, TENANCY["key_claim"], hours=IDEMPOTENCY_HOURS, **parameters):
        return None
    found = one(connection, TENANCY["key"], token_id=actor.id, key=key)
    assert found is not None  # noqa: S101 - the claim met it
    if bytes(found["request"]) != content.digest():
        raise KeyReused()
    body = None if found["body"] is None else json.dumps(found["body"]) + "\n"
    response = Response(body, found["status"], mimetype="application/json")
    response.headers["Idempotency-Replayed"] = "true"
    if found["location"]:
        response.headers["Location"] = found["location"]
    return response


def keep(
    connection: Connection, actor: Actor, content: Content, response: Response, answer: Any
) -> None:
    """Keep the request and the answer of a claimed key, without what is shown once."""
    key = _key()
    if key is None:
        return
    run(
        connection,
        TENANCY["key_answer"],
        token_id=actor.id,
        key=key,
        request=content.digest(),
        status=response.status_code,
        body=Jsonb(answer.repeatable()) if isinstance(answer, View) else None,
        location=response.headers.get("Location"),
    )


def _key() -> str | None:
    """Return the key of a POST; other methods can be repeated anyway."""
    key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
    if key is not None and not (1 <= len(key) <= KEY_LENGTH and key.isprintable()):
        raise InvalidInput("Idempotency-Key", f"must have 1 to {KEY_LENGTH} printable characters")
    return key
