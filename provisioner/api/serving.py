"""How an operation is served: who asks, what for, in one transaction, and what is answered."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, TypeVar

from flask import Response, g, json, request
from pydantic import BaseModel

from provisioner import tenancy_store
from provisioner.access import Actor, Permission
from provisioner.api import idempotency, preconditions, reading, streams, throttling
from provisioner.api.context import database
from provisioner.api.operation import Operation
from provisioner.api.problems import Unauthorized, UnsupportedMediaType
from provisioner.api.view import Versioned, View
from provisioner.credentials import token_digest
from provisioner.db import Connection
from provisioner.errors import Forbidden

STREAM_MAX = 512 * 1024 * 1024  # bytes of a body that is read as a stream

Function = TypeVar("Function", bound=Callable[..., Any])
Afterwards = Callable[[Response], Response]


@dataclass
class Call:
    """One request: the transaction it runs in, who asks, and the installation's realm.

    A view may set headers and another status, and leave something to do when the transaction has
    been committed: to wait for the nodes, say.
    """

    connection: Connection
    actor: Actor
    realm: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    afterwards: list[Afterwards] = field(default_factory=list)

    def created(self, path: str) -> None:
        """Say where what was created can be found."""
        self.headers["Location"] = f"/api/v1{path}"


def serve(operation: Operation, **path: Any) -> Response:
    """Serve one request of an operation."""
    begin = database().transaction if operation.streams_in else database().exchange
    with ExitStack() as held, begin() as connection:
        actor, realm = _authenticated(connection)
        throttling.count(actor)
        if not actor.may(operation.permission):
            raise Forbidden()
        if operation.streams_in:
            held.enter_context(streams.one())
        given = _given(operation)
        content = given.get("stream") or idempotency.Content(BytesIO(request.get_data()))
        repeated = idempotency.claim(connection, actor, content)
        if repeated is not None:
            return repeated
        call = Call(connection, actor, realm, operation.status)
        preconditions.check(operation.guard, call, path)
        answer = operation.view(call, **given, **path)
        response = _response(call, answer)
        idempotency.keep(connection, actor, content, response, answer)
    for act in call.afterwards:
        response = act(response)
    return preconditions.unchanged(response)


def _authenticated(connection: Connection) -> tuple[Actor, str]:
    """Find out who bears the request's token (RFC 6750 section 2.1), and the realm with it.

    Raises:
        Unauthorized: the token is missing or wrong.
    """
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value:
        raise Unauthorized()
    found = tenancy_store.bearer(connection, token_digest(value.strip()))
    if found is None:
        raise Unauthorized()
    token, realm = found
    return token.actor(source=request.remote_addr, request_id=g.request_id), realm


def _given(operation: Operation) -> dict[str, Any]:
    """Read the body and the query that the view asks for; refuse those that it does not."""
    given: dict[str, Any] = {"query": reading.query(operation.query)}
    if operation.streams_in:
        if request.mimetype not in operation.takes:
            raise UnsupportedMediaType(f"Send the body as {' or '.join(operation.takes)}.")
        request.max_content_length = STREAM_MAX
        given["stream"] = idempotency.Content(request.stream, request.content_length)
    elif operation.body is not None:
        given["body"] = reading.body(operation.body)
    elif operation.method != "GET":
        reading.no_body()
    wanted = operation.view.__annotations__
    return {name: value for name, value in given.items() if name in wanted}


def _response(call: Call, answer: Any) -> Response:
    if isinstance(answer, Response):
        return answer
    if answer is None:
        response = Response(status=call.status)
        del response.headers["Content-Type"]
    else:
        response = shown(answer, call.status)
    for name, value in call.headers.items():
        response.headers[name] = value
    return response


def shown(view: BaseModel, status: int = 200) -> Response:
    """Answer with a view; one that has versions gets its ETag."""
    assert isinstance(view, View)  # noqa: S101 - views are all that operations return
    body = json.dumps(view.shown()) + "\n"
    response = Response(body, status, mimetype="application/json")
    if isinstance(view, Versioned):
        response.headers["ETag"] = preconditions.etag(view)
    return response


def public(view: Function) -> Function:
    """Mark a view that asks for no token."""
    view.permission = Permission.PUBLIC  # type: ignore[attr-defined] # a test asks for it
    return view
