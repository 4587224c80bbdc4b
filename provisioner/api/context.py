"""What a request works with: the process's services, and its own id."""

import re
from dataclasses import dataclass

from flask import Response, current_app, g, request
from werkzeug.routing import BaseConverter

from provisioner import origin
from provisioner.db import Database
from provisioner.sealing import Sealer
from provisioner.settings import Settings

_REQUEST_ID = re.compile(r"[A-Za-z0-9._~-]{1,64}")


class IdConverter(BaseConverter):
    """An id in a path: digits, few enough for PostgreSQL's bigint."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        """Return the number that the digits are."""
        return int(value)


@dataclass(frozen=True)
class Services:
    """What the views of one application share."""

    settings: Settings
    database: Database
    sealer: Sealer


def services() -> Services:
    """Return the running application's services."""
    found = current_app.extensions["provisioner"]
    assert isinstance(found, Services)  # noqa: S101 - create_app put it there
    return found


def database() -> Database:
    """Return the running application's database."""
    return services().database


def identify() -> None:
    """Give the request an id, the client's own if it has a usable one: for logs and the audit."""
    sent = request.headers.get("X-Request-Id", "")
    g.request_id = sent if _REQUEST_ID.fullmatch(sent) else origin.new_request_id()
    origin.set_request_id(g.request_id)


def leave(_: BaseException | None) -> None:
    """Forget the request: its thread serves others."""
    origin.set_request_id(None)


def tell_id(response: Response) -> Response:
    """Tell the request's id."""
    response.headers["X-Request-Id"] = g.request_id
    return response
