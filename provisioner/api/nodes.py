"""`/nodes`: the Kamailio nodes and whether they obey."""

from flask import Blueprint, Response, jsonify

from provisioner import sync_store
from provisioner.api.context import authenticated, database
from provisioner.api.schemas import show_node

blueprint = Blueprint("nodes", __name__, url_prefix="/nodes")


@blueprint.get("")
@authenticated
def list_nodes() -> Response:
    """List the nodes."""
    with database().transaction() as connection:
        found = sync_store.nodes(connection)
    return jsonify(items=[show_node(node) for node in found], next=None)
