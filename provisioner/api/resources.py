"""All resources of the HTTP API, and how an application gets them."""

from flask import Blueprint, Flask

from provisioner.api import (
    account_parts,
    audit,
    bans,
    call_policies,
    call_records,
    calls,
    context,
    credentials,
    description,
    diagnosis,
    exports,
    health,
    hook_sources,
    hooks,
    imports,
    networks,
    nodes,
    numbers,
    problems,
    rates,
    reading,
    sip_accounts,
    tenancy,
    throttling,
    trunks,
    users,
    webhooks,
)
from provisioner.settings import Settings

RESOURCES = (
    sip_accounts.resource,
    account_parts.resource,
    credentials.resource,
    diagnosis.resource,
    calls.resource,
    numbers.resource,
    networks.resource,
    trunks.resource,
    tenancy.customers_resource,
    tenancy.projects_resource,
    call_policies.resource,
    users.users_resource,
    users.tokens_resource,
    audit.resource,
    hook_sources.sources_resource,
    hook_sources.events_resource,
    webhooks.endpoints_resource,
    webhooks.deliveries_resource,
    nodes.resource,
    bans.resource,
    imports.resource,
    exports.resource,
    call_records.resource,
    rates.resource,
)


def register(app: Flask, settings: Settings) -> None:
    """Add the API's resources, its description and its error shape to an application."""
    app.url_map.converters["id"] = context.IdConverter
    app.before_request(context.identify)
    app.teardown_request(context.leave)
    app.before_request(reading.refuse_encoded)
    app.after_request(context.tell_id)
    app.after_request(throttling.tell)
    app.extensions["provisioner throttle"] = throttling.Throttle(settings.rate_limit)
    problems.register(app)
    app.register_blueprint(health.blueprint)
    version_1 = Blueprint("v1", __name__, url_prefix="/api/v1")
    for resource in RESOURCES:
        version_1.register_blueprint(resource.blueprint)
    app.register_blueprint(version_1)
    app.register_blueprint(hooks.blueprint)
    operations = [operation for resource in RESOURCES for operation in resource.operations]
    description.register(app, operations)
