"""`/livez` and `/readyz`: is this process alive; does all of the system work."""

from typing import Any

from flask import Blueprint, Response, jsonify

from provisioner import sync_store
from provisioner.api.context import database
from provisioner.api.serving import public
from provisioner.errors import DatabaseUnavailable

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
@public
def live() -> Response:
    """Answer as long as the process runs."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
@public
def ready() -> tuple[Response, int]:
    """Answer 200 when the database answers and a worker sees every node."""
    try:
        with database().transaction() as connection:
            nodes = sync_store.nodes(connection)
    except DatabaseUnavailable:
        return jsonify(status="unavailable", database="unavailable"), 503
    states = {node.name: node.state for node in nodes}
    works = bool(states) and set(states.values()) == {"up"}
    report: dict[str, Any] = {"database": "ok", "nodes": states}
    return jsonify(status="ok" if works else "unavailable", **report), 200 if works else 503
