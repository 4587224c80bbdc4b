"""Where the API describes itself: `/api/openapi.json`, and a page for people at `/api/docs`."""

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import cache, wraps
from hashlib import sha256
from importlib.metadata import version
from threading import BoundedSemaphore
from typing import Any

from flask import Flask, Response, jsonify, make_response
from flask_swagger_ui import get_swaggerui_blueprint

from provisioner.api.openapi import document
from provisioner.api.operation import Operation
from provisioner.api.problems import TooManyStreams
from provisioner.api.serving import public

OPENAPI = "/api/openapi.json"
DOCS = "/api/docs"
READERS_MAX = 8  # of the viewer's files in a process: anybody may ask, and the largest has 1.7 MB

# The viewer's page has one script of its own, which is allowed by its hash.
POLICY = (
    "default-src 'none'; script-src 'self' {script}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_readers = BoundedSemaphore(READERS_MAX)


def register(app: Flask, operations: Sequence[Operation]) -> None:
    """Serve the description of operations. The viewer's files come with a package."""
    described = cache(lambda: document(operations, version("provisioner")))

    @app.get(OPENAPI)
    @public
    def describe() -> Response:
        return jsonify(described())

    viewer = get_swaggerui_blueprint(DOCS, OPENAPI, config={"app_name": "provisioner"})
    viewer.after_request(_restricted)
    app.register_blueprint(viewer)
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith(f"{viewer.name}."):
            app.view_functions[endpoint] = public(_bounded(view))


def _restricted(response: Response) -> Response:
    """Let a page of the viewer run its own scripts only."""
    if response.mimetype == "text/html":
        scripts = _SCRIPT.findall(response.get_data(as_text=True))
        hashes = (b64encode(sha256(one.encode()).digest()).decode() for one in scripts)
        allowed = " ".join(f"'sha256-{one}'" for one in hashes)
        response.headers["Content-Security-Policy"] = POLICY.format(script=allowed)
    return response


def _bounded(view: Callable[..., Any]) -> Callable[..., Response]:
    """Give a file to so many clients at a time: however slowly they read, threads are left."""

    @wraps(view)
    def bounded(**path: Any) -> Response:
        if not _readers.acquire(blocking=False):
            raise TooManyStreams()
        try:
            response = make_response(view(**path))
        except BaseException:
            _readers.release()
            raise
        response.direct_passthrough = False  # or nobody would be told that it is closed
        response.call_on_close(_readers.release)
        return response

    return bounded
