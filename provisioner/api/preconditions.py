"""ETags (RFC 9110 section 8.8.3): change something only if it still is what the client saw."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, request

from provisioner.api.problems import PreconditionFailed
from provisioner.api.view import Versioned


def etag(view: Versioned) -> str:
    """Return the entity tag of a representation; another one for any other content."""
    return f'"{hashlib.sha256(view.tagged().encode()).hexdigest()[:24]}"'


def check(guard: Callable[..., Any] | None, call: Any, path: Mapping[str, Any]) -> None:
    """Compare `If-Match` (RFC 9110 section 13.1.1) with what the operation is about to change.

    Raises:
        PreconditionFailed: it is another version.
    """
    wanted = request.headers.get("If-Match")
    if guard is None or wanted is None:
        return
    present = etag(guard(call, **path))
    if wanted.strip() != "*" and present not in _tags(wanted):
        raise PreconditionFailed()


def unchanged(response: Response) -> Response:
    """Answer 304 where the client has this version already (RFC 9110 section 13.1.2)."""
    wanted = request.headers.get("If-None-Match")
    tag = response.headers.get("ETag")
    if request.method != "GET" or wanted is None or tag is None:
        return response
    if wanted.strip() == "*" or tag in [one.removeprefix("W/") for one in _tags(wanted)]:
        response.status_code = 304
        response.set_data(b"")
    return response


def _tags(header: str) -> list[str]:
    return [tag.strip() for tag in header.split(",")]
