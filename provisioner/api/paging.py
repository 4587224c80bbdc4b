"""Lists a page at a time, by an opaque cursor and a `Link` header (RFC 8288)."""

from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Response, jsonify, request

from provisioner.errors import InvalidInput

Item = TypeVar("Item")

LIMIT_DEFAULT = 50
LIMIT_MAX = 500


def limit() -> int:
    """Read how many items the client wants: 1 to 500, default 50.

    Raises:
        InvalidInput: it is not such a number.
    """
    text = request.args.get("limit", str(LIMIT_DEFAULT))
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= LIMIT_MAX):
        raise InvalidInput("limit", f"must be a number from 1 to {LIMIT_MAX}")
    return int(text)


def cursor() -> str:
    """Read the key after which the page starts; empty for the first page.

    Raises:
        InvalidInput: it is not a cursor that a page gave.
    """
    text = request.args.get("cursor", "")
    try:
        return b64decode(text.encode("ascii"), altchars=b"-_", validate=True).decode("ascii")
    except (NotBase64, UnicodeError):
        raise InvalidInput("cursor", "must be the cursor of an earlier page") from None


def page(
    found: Sequence[Item], key: Callable[[Item], object], show: Callable[[Item], dict[str, Any]]
) -> Response:
    """Answer with a page of items. `found` may hold one more than the limit, which is the sign
    that another page follows.
    """
    shown = found[: limit()]
    following = _following(key(shown[-1])) if len(found) > len(shown) else None
    response = jsonify({"items": [show(item) for item in shown], "next": following})
    if following:
        response.headers["Link"] = f'<{following}>; rel="next"'
    return response


def _following(last_key: object) -> str:
    arguments = dict(request.args)
    arguments["cursor"] = urlsafe_b64encode(str(last_key).encode()).decode()
    return f"{request.path}?{urlencode(arguments)}"
