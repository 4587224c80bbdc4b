"""`/hook-sources` and `/hook-events`: who sends events, and what became of them."""

from provisioner import hook_store, listings
from provisioner.access import Permission
from provisioner.api import paging
from provisioner.api.context import services
from provisioner.api.hook_views import (
    EventsQuery,
    EventView,
    NewSourceView,
    SourceBody,
    SourcePatch,
    SourcesQuery,
    SourceView,
)
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.view import Page
from provisioner.errors import NotFound
from provisioner.hook_store import ShownEvent, Source
from provisioner.hooks import review, sources
from provisioner.hooks.review import EventNotOpen
from provisioner.hooks.sources import TooManySources

sources_resource = Resource("Hook sources", "/hook-sources")
events_resource = Resource("Hook events", "/hook-events")

SOURCE = "/<id:source_id>"
EVENT = "/<id:event_id>"
MANAGE = Permission.HOOKS_MANAGE


@sources_resource.post("", MANAGE, status=201, errors=[TooManySources])
def create_hook_source(call: Call, body: SourceBody) -> NewSourceView:
    """Add a sender of events.

    Its secret, with which it signs them, is in this answer and nowhere else, ever.
    """
    source, secret = sources.create(
        call.connection, call.actor, services().sealer, body.name, body.customer_id
    )
    call.created(f"/hook-sources/{source.id}")
    return NewSourceView.with_secret(source, secret)


@sources_resource.get("", MANAGE)
def list_hook_sources(call: Call, query: SourcesQuery) -> Page[SourceView]:
    """List who may send events."""
    if call.actor.project_id is not None:
        return Page[SourceView](items=[], next=None)  # hooks concern a whole customer
    return paging.page(
        call,
        listings.HOOK_SOURCES,
        query,
        SourceView,
        lambda row: SourceView.of(Source(**row)),
    )


@sources_resource.get(SOURCE, MANAGE)
def read_hook_source(call: Call, source_id: int) -> SourceView:
    """Show one source and the ids of its keys."""
    return SourceView.of(sources.read(call.connection, call.actor, source_id))


@sources_resource.patch(SOURCE, MANAGE)
def change_hook_source(call: Call, body: SourcePatch, source_id: int) -> SourceView:
    """Let a source's events count, or refuse them."""
    found = sources.read(call.connection, call.actor, source_id)
    active = body.given().get("active", found.active)
    return SourceView.of(sources.activate(call.connection, call.actor, source_id, active=active))


@sources_resource.delete(SOURCE, MANAGE)
def delete_hook_source(call: Call, source_id: int) -> None:
    """Remove a source and its keys; its events stay."""
    sources.delete(call.connection, call.actor, source_id)


@sources_resource.post(SOURCE + "/keys", MANAGE, status=201)
def add_hook_source_key(call: Call, source_id: int) -> NewSourceView:
    """Give a source another secret, which is in this answer only; the former ones stay good.

    To change a secret: add one, let the sender use it, remove the former one.
    """
    source, secret = sources.add_key(call.connection, call.actor, services().sealer, source_id)
    return NewSourceView.with_secret(source, secret)


@sources_resource.delete(SOURCE + "/keys/<id:key_id>", MANAGE)
def remove_hook_source_key(call: Call, source_id: int, key_id: int) -> None:
    """Refuse from now on what is signed with a secret."""
    sources.remove_key(call.connection, call.actor, source_id, key_id)


@events_resource.get("", MANAGE)
def list_hook_events(call: Call, query: EventsQuery) -> Page[EventView]:
    """List events that were sent, with what became of them; `status=conflict` to decide some."""
    if call.actor.project_id is not None:
        return Page[EventView](items=[], next=None)
    return paging.page(
        call,
        listings.HOOK_EVENTS,
        query,
        EventView,
        lambda row: EventView.of(ShownEvent.from_row(row)),
    )


@events_resource.get(EVENT, MANAGE)
def read_hook_event(call: Call, event_id: int) -> EventView:
    """Show one event."""
    return _event(call, event_id)


@events_resource.post(EVENT + "/apply", MANAGE, errors=[EventNotOpen])
def apply_hook_event(call: Call, event_id: int) -> EventView:
    """Apply an event that is a conflict, was rejected, or waits.

    Newer events still win; and an operation may refuse it again.
    """
    review.apply(call.connection, call.actor, event_id)
    return _event(call, event_id)


@events_resource.post(EVENT + "/dismiss", MANAGE, errors=[EventNotOpen])
def dismiss_hook_event(call: Call, event_id: int) -> EventView:
    """Decide that an event shall never count."""
    review.dismiss(call.connection, call.actor, event_id)
    return _event(call, event_id)


def _event(call: Call, event_id: int) -> EventView:
    found = hook_store.event(call.connection, call.actor.customer_id, event_id)
    if found is None or call.actor.project_id is not None:
        raise NotFound("There is no such event.")
    return EventView.of(found)
