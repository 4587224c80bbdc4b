"""Where the API describes itself: `/api/openapi.json`, and a page for people at `/api/docs`."""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version

from flask import Flask, Response, jsonify
from flask_swagger_ui import get_swaggerui_blueprint

from provisioner.api.openapi import document
from provisioner.api.operation import Operation
from provisioner.api.serving import public

OPENAPI = "/api/openapi.json"
DOCS = "/api/docs"


def register(app: Flask, operations: Sequence[Operation]) -> None:
    """Serve the description of operations. The viewer's files come with a package."""
    described = cache(lambda: document(operations, version("provisioner")))

    @app.get(OPENAPI)
    @public
    def describe() -> Response:
        return jsonify(described())

    viewer = get_swaggerui_blueprint(DOCS, OPENAPI, config={"app_name": "provisioner"})
    app.register_blueprint(viewer)
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith(f"{viewer.name}."):
            public(view)
