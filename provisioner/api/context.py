"""What a request works with: the process's services, and its own id."""

import re
from contextlib import ExitStack
from dataclasses import dataclass

from flask import Response, current_app, g, request
from werkzeug.routing import BaseConverter

from provisioner import origin, tracing
from provisioner.db import Database
from provisioner.sealing import Sealer
from provisioner.settings import Settings

UNTRACED = {"/livez", "/readyz", "/metrics"}  # asked all the time
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
    g.held = ExitStack()
    if request.path not in UNTRACED:
        g.span = g.held.enter_context(tracing.of_request(request.headers.get("traceparent", "")))


def leave(_: BaseException | None) -> None:
    """Forget the request: its thread serves others."""
    origin.set_request_id(None)
    if "held" in g:
        g.held.close()


def tell_id(response: Response) -> Response:
    """Tell the request's id, and its trace what it was: its rule, for a path may name a number."""
    response.headers["X-Request-Id"] = g.request_id
    if "span" in g:
        rule = request.url_rule and request.url_rule.rule
        method = request.method if rule else "_OTHER"
        g.span.name(f"{method} {rule}" if rule else "HTTP")
        g.span.say(
            http__request__method=method,
            http__route=rule,
            http__response__status_code=response.status_code,
            provisioner__request_id=g.request_id,
        )
        if response.status_code >= 500:
            g.span.fail(str(response.status_code))
    return response
