"""The HTTP API `/api/v1`: one module a resource."""

from flask import Blueprint, Flask

from provisioner.api import (
    account_parts,
    audit,
    context,
    credentials,
    description,
    diagnosis,
    exports,
    health,
    imports,
    networks,
    nodes,
    numbers,
    problems,
    sip_accounts,
    tenancy,
    throttling,
    users,
)
from provisioner.settings import Settings

RESOURCES = (
    sip_accounts.resource,
    account_parts.resource,
    credentials.resource,
    diagnosis.resource,
    numbers.resource,
    networks.resource,
    tenancy.customers_resource,
    tenancy.projects_resource,
    users.users_resource,
    users.tokens_resource,
    audit.resource,
    nodes.resource,
    imports.resource,
    exports.resource,
)


def register(app: Flask, settings: Settings) -> None:
    """Add the API's resources, its description and its error shape to an application."""
    app.url_map.converters["id"] = context.IdConverter
    app.before_request(context.identify)
    app.after_request(context.tell_id)
    app.after_request(throttling.tell)
    app.extensions["provisioner throttle"] = throttling.Throttle(settings.rate_limit)
    problems.register(app)
    app.register_blueprint(health.blueprint)
    version_1 = Blueprint("v1", __name__, url_prefix="/api/v1")
    for resource in RESOURCES:
        version_1.register_blueprint(resource.blueprint)
    app.register_blueprint(version_1)
    operations = [operation for resource in RESOURCES for operation in resource.operations]
    description.register(app, operations)
