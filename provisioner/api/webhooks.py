"""`/webhook-endpoints` and `/webhook-deliveries`: where events are sent, and what was sent."""

from provisioner import listings, webhook_store
from provisioner.access import Permission
from provisioner.api import paging
from provisioner.api.context import services
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.view import Page
from provisioner.api.webhook_views import (
    DeliveriesQuery,
    DeliveryLogView,
    DeliveryView,
    EndpointBody,
    EndpointPatch,
    EndpointsQuery,
    EndpointView,
    NewEndpointView,
    ReplayBody,
    ReplayView,
)
from provisioner.hooks import endpoints
from provisioner.hooks.addresses import AddressRefused
from provisioner.hooks.endpoints import EndpointInactive, NewEndpoint, TooManyEndpoints
from provisioner.webhook_store import Delivery, Endpoint

endpoints_resource = Resource("Webhook endpoints", "/webhook-endpoints")
deliveries_resource = Resource("Webhook deliveries", "/webhook-deliveries")

ENDPOINT = "/<id:endpoint_id>"
DELIVERY = "/<id:delivery_id>"
MANAGE = Permission.WEBHOOKS_MANAGE


@endpoints_resource.post("", MANAGE, status=201, errors=[AddressRefused, TooManyEndpoints])
def create_webhook_endpoint(call: Call, body: EndpointBody) -> NewEndpointView:
    """Add a place where events are sent.

    The secret that signs them is in this answer and nowhere else, ever.
    """
    endpoint, secret = endpoints.create(
        call.connection,
        call.actor,
        services().sealer,
        services().settings.webhook_networks,
        NewEndpoint(**dict(body)),
    )
    call.created(f"/webhook-endpoints/{endpoint.id}")
    return NewEndpointView.with_secret(endpoint, secret)


@endpoints_resource.get("", MANAGE)
def list_webhook_endpoints(call: Call, query: EndpointsQuery) -> Page[EndpointView]:
    """List where events are sent."""
    return paging.page(
        call,
        listings.WEBHOOK_ENDPOINTS,
        query,
        EndpointView,
        lambda row: EndpointView.of(Endpoint(**row)),
    )


@endpoints_resource.get(ENDPOINT, MANAGE)
def read_webhook_endpoint(call: Call, endpoint_id: int) -> EndpointView:
    """Show one endpoint."""
    return EndpointView.of(endpoints.read(call.connection, call.actor, endpoint_id))


@endpoints_resource.patch(ENDPOINT, MANAGE, errors=[AddressRefused])
def change_webhook_endpoint(call: Call, body: EndpointPatch, endpoint_id: int) -> EndpointView:
    """Change where an endpoint is, what it gets, or whether it gets anything."""
    changed = endpoints.change(
        call.connection,
        call.actor,
        services().settings.webhook_networks,
        endpoint_id,
        body.given(),
    )
    return EndpointView.of(changed)


@endpoints_resource.delete(ENDPOINT, MANAGE)
def delete_webhook_endpoint(call: Call, endpoint_id: int) -> None:
    """Remove an endpoint with all that was to be sent there."""
    endpoints.delete(call.connection, call.actor, endpoint_id)


@endpoints_resource.post(ENDPOINT + "/secret", MANAGE)
def rotate_webhook_secret(call: Call, endpoint_id: int) -> NewEndpointView:
    """Make a new secret, which is in this answer only; for 24 hours the former one signs too."""
    endpoint, secret = endpoints.rotate_secret(
        call.connection, call.actor, services().sealer, endpoint_id
    )
    return NewEndpointView.with_secret(endpoint, secret)


@endpoints_resource.post(ENDPOINT + "/test", MANAGE, errors=[EndpointInactive])
def test_webhook_endpoint(call: Call, endpoint_id: int) -> DeliveryView:
    """Send an event of type `ping`; read the delivery to see what came of it."""
    return DeliveryView.of(endpoints.test(call.connection, call.actor, endpoint_id))


@endpoints_resource.post(ENDPOINT + "/replay", MANAGE, errors=[EndpointInactive])
def replay_webhook_endpoint(call: Call, body: ReplayBody, endpoint_id: int) -> ReplayView:
    """Send all events since a moment again, and those that the endpoint missed."""
    count = endpoints.replay_since(call.connection, call.actor, endpoint_id, body.since)
    return ReplayView(deliveries=count)


@deliveries_resource.get("", MANAGE)
def list_webhook_deliveries(call: Call, query: DeliveriesQuery) -> Page[DeliveryView]:
    """List what was sent, or is to be sent; `state=dead` what was given up after three days."""
    return paging.page(
        call,
        listings.WEBHOOK_DELIVERIES,
        query,
        DeliveryView,
        lambda row: DeliveryView.of(Delivery(**row)),
    )


@deliveries_resource.get(DELIVERY, MANAGE)
def read_webhook_delivery(call: Call, delivery_id: int) -> DeliveryLogView:
    """Show one delivery with all its attempts."""
    delivery = endpoints.delivery(call.connection, call.actor, delivery_id)
    return DeliveryLogView.with_log(delivery, webhook_store.attempts(call.connection, delivery_id))


@deliveries_resource.post(DELIVERY + "/replay", MANAGE, errors=[EndpointInactive])
def replay_webhook_delivery(call: Call, delivery_id: int) -> DeliveryView:
    """Send an event again, dead or delivered."""
    return DeliveryView.of(endpoints.replay(call.connection, call.actor, delivery_id))
