"""Lists a page at a time, as the API has them: links instead of a `Link` header."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flask import request
from pydantic import ValidationError
from werkzeug.exceptions import NotFound

from provisioner.api import paging
from provisioner.api.bodies import PageQuery
from provisioner.console.visits import Visit
from provisioner.listing import Listing

Item = TypeVar("Item")
Query = TypeVar("Query", bound=PageQuery)


@dataclass(frozen=True)
class Found(Generic[Item]):
    """The items of a page, and the addresses of the next and of the first, where there are."""

    items: list[Item]
    following: str | None
    first: str | None


def query(schema: type[Query], limit: int) -> Query:
    """Read the query parameters that a list knows; empty fields of a form do not count.

    Raises:
        NotFound: one does not follow its rule, so it is of no form of ours.
    """
    known = {
        name: value
        for name, value in request.args.items()
        if value and name in schema.model_fields and name != "limit"
    }
    try:
        return schema.model_validate({**known, "limit": limit})
    except ValidationError:
        raise NotFound() from None


def page(
    visit: Visit,
    listing: Listing,
    wanted: PageQuery,
    make: Callable[[Mapping[str, Any]], Item],
    **filters: Any,
) -> Found[Item]:
    """Read a page; `filters` add to the query's own.

    Raises:
        ParametersInvalid: the cursor is not one that a page of this list gave.
    """
    actor, connection = visit.actor, visit.connection
    rows, following = paging.read(connection, actor, listing, wanted, **filters)
    first = paging.address(None) if wanted.cursor else None
    return Found([make(row) for row in rows], following, first)
