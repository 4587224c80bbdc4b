"""Lists a page at a time, by an opaque cursor and a `Link` header (RFC 8288)."""

import json
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request
from psycopg.rows import DictRow

from provisioner.access import Actor
from provisioner.api.bodies import PageQuery
from provisioner.api.problems import ParametersInvalid
from provisioner.api.serving import Call
from provisioner.api.view import Page, View
from provisioner.db import Connection
from provisioner.listing import Listing, Order, Position

Item = TypeVar("Item", bound=View)


def page(
    call: Call,
    listing: Listing,
    query: PageQuery,
    kind: type[Item],
    show: Callable[[Mapping[str, Any]], Item],
    **filters: Any,
) -> Page[Item]:
    """Answer with the page of a list that a query asks for; `filters` add to the query's own.

    Raises:
        ParametersInvalid: the cursor is not one that a page of this list gave.
    """
    found, following = read(call.connection, call.actor, listing, query, **filters)
    if following is not None:
        call.headers["Link"] = f'<{following}>; rel="next"'
    # The model of a page is made for the kind that the caller names.
    return Page[kind](items=[show(row) for row in found], next=following)  # type: ignore[valid-type] # made for each kind as it runs


def read(
    connection: Connection, actor: Actor, listing: Listing, query: PageQuery, **filters: Any
) -> tuple[list[DictRow], str | None]:
    """Return the rows of a page, and the address of the next one, if there is one.

    Raises:
        ParametersInvalid: the cursor is not one that a page of this list gave.
    """
    text = getattr(query, "sort", listing.key)
    order = Order(text.removeprefix("-"), descending=text.startswith("-"))
    after = _position(listing, order, text, query.cursor)
    wanted = query.filters() | filters
    found = listing.page(connection, actor, wanted, order, after, query.limit + 1)
    if len(found) <= query.limit:
        return found, None
    found.pop()
    return found, address([text, *listing.position(order, found[-1])])


def _position(listing: Listing, order: Order, text: str, cursor: str) -> Position | None:
    """Read after what the page starts; None for the first page."""
    if not cursor:
        return None
    try:
        encoded = cursor.encode("ascii")
        sort, *values = json.loads(b64decode(encoded, altchars=b"-_", validate=True))
    except (NotBase64, UnicodeError, ValueError, TypeError, RecursionError):
        sort, values = None, []
    if sort != text or not listing.is_position(order, values):
        raise ParametersInvalid([("cursor", "must be the cursor of an earlier page of this list")])
    return list(values)


def address(position: list[str | int] | None) -> str:
    """Return the address of the request's list from a position on, or from its start."""
    arguments = request.args.to_dict()
    arguments.pop("cursor", None)
    if position is not None:
        encoded = json.dumps(position, separators=(",", ":"), ensure_ascii=False).encode()
        arguments["cursor"] = urlsafe_b64encode(encoded).decode()
    return f"{request.path}?{urlencode(arguments)}"
