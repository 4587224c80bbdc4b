"""`/networks`: allowlists that accounts share."""

from contextlib import suppress

from flask import Blueprint, Response, jsonify

from provisioner import networks
from provisioner.api import waiting
from provisioner.api.context import authenticated, body, database
from provisioner.api.schemas import NetworkBody, show_network
from provisioner.errors import DatabaseUnavailable

blueprint = Blueprint("networks", __name__, url_prefix="/networks")


@blueprint.get("/<name>")
@authenticated
def read_network(name: str) -> Response:
    """Show a network."""
    return jsonify(show_network(networks.read(database(), name)))


@blueprint.put("/<name>")
@authenticated
def replace_network(name: str) -> Response:
    """Make a network consist of the CIDRs given."""
    network = networks.replace(database(), name, body(NetworkBody).cidrs)
    seconds = waiting.preferred_wait()
    if seconds is not None and waiting.allowlists_converged(seconds):
        with suppress(DatabaseUnavailable):  # the change itself is committed
            network = networks.read(database(), name)
    return waiting.applied(jsonify(show_network(network)), network.convergence.converged)
