"""The HTTP API `/api/v1`: one module a resource."""

from flask import Blueprint, Flask

from provisioner.api import health, networks, nodes, numbers, problems, sip_accounts


def register(app: Flask) -> None:
    """Add the API's resources and its error shape to an application."""
    problems.register(app)
    app.register_blueprint(health.blueprint)
    version_1 = Blueprint("v1", __name__, url_prefix="/api/v1")
    for resource in (numbers, sip_accounts, networks, nodes):
        version_1.register_blueprint(resource.blueprint)
    app.register_blueprint(version_1)
