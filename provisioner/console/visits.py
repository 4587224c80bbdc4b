"""A visit: one request of a person who has logged in, in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from flask import Blueprint, Response, g, make_response, request, session

from provisioner import logins
from provisioner.access import Actor, Permission
from provisioner.api.context import database
from provisioner.api.serving import public
from provisioner.console import entrance, live
from provisioner.db import Connection
from provisioner.errors import Forbidden
from provisioner.logins import Session

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Visit:
    """The transaction that a page is made in, and for whom."""

    connection: Connection
    session: Session
    actor: Actor


class Pages:
    """The pages below one path: declared by decorators, served as a blueprint.

    A page is a function of a `Visit` and of the path's parameters; it returns what Flask takes. One
    that is live returns fragments of HTML by the id of the element that they fill.
    """

    def __init__(self, name: str, prefix: str = "") -> None:
        self.blueprint = Blueprint(name, __name__, url_prefix=prefix)

    def get(self, path: str, permission: Permission) -> Callable[[Function], Function]:
        """Declare a page that is read."""
        return self._declare("GET", path, permission, _serve)

    def post(self, path: str, permission: Permission) -> Callable[[Function], Function]:
        """Declare what a form does."""
        return self._declare("POST", path, permission, _serve)

    def live(self, path: str, permission: Permission) -> Callable[[Function], Function]:
        """Declare a stream of what changes on a page (server-sent events)."""
        return self._declare("GET", path, permission, _serve_live)

    def open(self, method: str, path: str) -> Callable[[Function], Function]:
        """Declare a page that asks nobody to have logged in; it gets no visit."""

        def declare(view: Function) -> Function:
            public(view)
            self.blueprint.add_url_rule(path, view_func=view, methods=[method])
            return view

        return declare

    def _declare(
        self, method: str, path: str, permission: Permission, serve: Callable[..., Response]
    ) -> Callable[[Function], Function]:
        def declare(view: Function) -> Function:
            route = partial(serve, permission, view)
            route.permission = permission  # type: ignore[attr-defined] # tests ask for these
            route.streams = serve is _serve_live  # type: ignore[attr-defined] # the same
            name = view.__name__
            self.blueprint.add_url_rule(path, endpoint=name, view_func=route, methods=[method])
            return view

        return declare


def _serve(permission: Permission, view: Callable[..., Any], **path: Any) -> Response:
    with database().transaction() as connection:
        visit = visiting(connection)
        if visit is None:
            return entrance.asked()
        if not visit.actor.may(permission):
            raise Forbidden()
        return make_response(view(visit, **path))


def _serve_live(permission: Permission, view: Callable[..., Any], **path: Any) -> Response:
    def fragments() -> dict[str, str] | None:
        with database().transaction() as connection:
            visit = visiting(connection, seen=False)
            if visit is None or not visit.actor.may(permission):
                return None
            shown: dict[str, str] = view(visit, **path)
            return shown

    return live.stream(fragments)


def visiting(connection: Connection, *, seen: bool = True) -> Visit | None:
    """Return who visits; None where nobody has logged in. `seen` is as `logins.resume` has it."""
    token = session.get("token")
    found = logins.resume(connection, token, seen=seen) if token else None
    if found is None:
        return None
    g.language = found.user.language
    actor = found.actor(source=request.remote_addr, request_id=g.request_id)
    visit = Visit(connection, found, actor)
    g.visit = visit
    return visit
