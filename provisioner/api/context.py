"""What a view works with: the process's services, the token's bearer, the request's body."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import current_app, g, request
from pydantic import BaseModel, ConfigDict

from provisioner import store
from provisioner.api.problems import MalformedBody, Unauthorized, UnsupportedMediaType
from provisioner.credentials import token_digest
from provisioner.db import Database
from provisioner.model import Token
from provisioner.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
Schema = TypeVar("Schema", bound=BaseModel)


@dataclass(frozen=True)
class Services:
    """What the views of one application share."""

    settings: Settings
    database: Database


def services() -> Services:
    """Return the running application's services."""
    found = current_app.extensions["provisioner"]
    assert isinstance(found, Services)  # noqa: S101 - create_app put it there
    return found


def database() -> Database:
    """Return the running application's database."""
    return services().database


def bearer() -> Token:
    """Return who sent the request."""
    token = g.token
    assert isinstance(token, Token)  # noqa: S101 - authenticated() put it there
    return token


def authenticated(view: Callable[P, R]) -> Callable[P, R]:
    """Let a view run for the bearer of a valid API token only (RFC 6750 section 2.1).

    Raises:
        Unauthorized: the token is missing or wrong.
    """

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not value:
            raise Unauthorized()
        with database().transaction() as connection:
            token = store.token(connection, token_digest(value.strip()))
        if token is None:
            raise Unauthorized()
        g.token = token
        return view(*args, **kwargs)

    return checked


def body(schema: type[Schema]) -> Schema:
    """Read the request's JSON object as `schema`.

    Raises:
        UnsupportedMediaType, MalformedBody: it is not a JSON object.
        pydantic.ValidationError: a field does not follow its rule.
    """
    if request.mimetype not in ("application/json", "application/merge-patch+json"):
        raise UnsupportedMediaType()
    return schema.model_validate(_json_object(request.get_data()))


def no_body() -> None:
    """Refuse a request to an action that comes with more than an empty JSON object.

    Raises:
        UnsupportedMediaType, MalformedBody, pydantic.ValidationError: as `body` does.
    """
    if request.get_data():
        body(_NoFields)


class _NoFields(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedBody(f"The body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise MalformedBody()
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has the same key twice")
    return result


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
