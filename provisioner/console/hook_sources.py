"""`/console/hooks/sources` and `…/events`: who sends events, and what became of them."""

from datetime import datetime
from typing import Any

from flask import Response, flash, make_response, redirect, render_template
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import hook_store, listings
from provisioner.access import Permission
from provisioner.api.context import services
from provisioner.api.hook_views import EventsQuery, SourceBody, SourcesQuery
from provisioner.console import lists, submissions
from provisioner.console.choices import customers
from provisioner.console.forms import Form
from provisioner.console.hook_parts import (
    SHOWN,
    confirm,
    only_once,
    readable,
    show_secret,
)
from provisioner.console.visits import Pages, Visit
from provisioner.errors import NotFound
from provisioner.hook_store import ShownEvent, Source
from provisioner.hooks import review, sources
from provisioner.hooks.fold import Status

pages = Pages("hook_sources", "/hooks")

SOURCES = "/console/hooks/sources"
EVENTS = "/console/hooks/events"
SOURCE = "/sources/<id:source_id>"
KEY = SOURCE + "/keys/<id:key_id>"
EVENT = "/events/<id:event_id>"
MANAGE = Permission.HOOKS_MANAGE

OPEN = (Status.CONFLICT, Status.REJECTED, Status.WAITING)  # which a person may decide


@pages.get("/sources", MANAGE)
def show_sources(visit: Visit) -> str:
    """List who may send events."""
    query = lists.query(SourcesQuery, SHOWN)
    found = lists.page(visit, listings.HOOK_SOURCES, query, lambda row: Source(**row))
    return render_template(
        "hooks/sources.html", sources=found.items, following=found.following, first=found.first
    )


@pages.get("/sources/new", MANAGE)
def ask_source(visit: Visit) -> str:
    """Ask who shall be able to send events."""
    return _new(visit, Form({}))


@pages.post("/sources/new", MANAGE)
def add_source(visit: Visit) -> Response | AnyResponse | str:
    """Add a sender of events, and show its secret once."""
    form = Form()
    with form.attempt(visit.connection):
        given = {"name": form["name"], "customer_id": form.number("customer_id") or None}
        body = form.read(SourceBody, given)
        done = submissions.claim(visit, form)
        if done is not None:
            return only_once(done)
        source, secret = sources.create(
            visit.connection, visit.actor, services().sealer, body.name, body.customer_id
        )
        submissions.done(visit, form, _address(source.id))
        return show_secret(source.name, secret, _address(source.id))
    return make_response(_new(visit, form), 422)


@pages.get(SOURCE, MANAGE)
def show_source(visit: Visit, source_id: int) -> str:
    """Show a source and its keys."""
    return _one(sources.read(visit.connection, visit.actor, source_id), Form({}))


@pages.post(SOURCE + "/activate", MANAGE)
def activate_source(visit: Visit, source_id: int) -> AnyResponse:
    """Let a source's events count."""
    return _set_active(visit, source_id, active=True)


@pages.post(SOURCE + "/deactivate", MANAGE)
def deactivate_source(visit: Visit, source_id: int) -> AnyResponse:
    """Refuse a source's events."""
    return _set_active(visit, source_id, active=False)


@pages.post(SOURCE + "/keys", MANAGE)
def add_key(visit: Visit, source_id: int) -> Response | AnyResponse | str:
    """Give a source another secret, and show it once."""
    form = Form()
    with form.attempt(visit.connection):
        done = submissions.claim(visit, form)
        if done is not None:
            return only_once(done)
        source, secret = sources.add_key(
            visit.connection, visit.actor, services().sealer, source_id
        )
        submissions.done(visit, form, _address(source_id))
        return show_secret(source.name, secret, _address(source.id))
    source = sources.read(visit.connection, visit.actor, source_id)
    return make_response(_one(source, form), 422)


@pages.get(KEY + "/delete", MANAGE)
def ask_key_removal(visit: Visit, source_id: int, key_id: int) -> str:
    """Ask whether a secret shall really count no more."""
    source = sources.read(visit.connection, visit.actor, source_id)
    if all(key["id"] != key_id for key in source.keys):
        raise NotFound()
    return confirm(
        gettext("Remove key %(number)s of %(name)s", number=key_id, name=source.name),
        gettext("What is signed with it is refused from now on."),
        gettext("Remove the key"),
        action=f"{_address(source_id)}/keys/{key_id}/delete",
        back=_address(source_id),
    )


@pages.post(KEY + "/delete", MANAGE)
def remove_key(visit: Visit, source_id: int, key_id: int) -> AnyResponse:
    """Refuse from now on what is signed with a secret."""
    sources.remove_key(visit.connection, visit.actor, source_id, key_id)
    flash(gettext("The key has been removed."), "success")
    return redirect(_address(source_id))


@pages.get(SOURCE + "/delete", MANAGE)
def ask_source_deletion(visit: Visit, source_id: int) -> str:
    """Ask whether a source shall really be removed."""
    source = sources.read(visit.connection, visit.actor, source_id)
    return confirm(
        gettext("Delete %(name)s", name=source.name),
        gettext("Its keys are erased, and it can send nothing more; what it has sent stays."),
        gettext("Delete for ever"),
        action=f"{_address(source_id)}/delete",
        back=_address(source_id),
    )


@pages.post(SOURCE + "/delete", MANAGE)
def delete_source(visit: Visit, source_id: int) -> AnyResponse:
    """Remove a source and its keys; its events stay."""
    source = sources.read(visit.connection, visit.actor, source_id)
    sources.delete(visit.connection, visit.actor, source_id)
    flash(gettext("%(name)s has been deleted.", name=source.name), "success")
    return redirect(SOURCES)


@pages.get("/events", MANAGE)
def show_events(visit: Visit) -> str:
    """List events that came in, with what became of them."""
    query = lists.query(EventsQuery, SHOWN)
    found = lists.page(visit, listings.HOOK_EVENTS, query, ShownEvent.from_row)
    return render_template(
        "hooks/events.html",
        events=found.items,
        following=found.following,
        first=found.first,
        query=query,
        searched=bool(query.status or query.type or query.source),
        statuses=[*Status],
    )


@pages.get(EVENT, MANAGE)
def show_event(visit: Visit, event_id: int) -> str:
    """Show an event, and what a person may decide of it."""
    event = _event(visit, event_id)
    reason = gettext(event.detail) if event.detail else ""
    return render_template(
        "hooks/event.html",
        event=event,
        data=readable(event.data),
        sender=_sender(visit, event),
        reason=reason,
        reason_language="en" if reason == event.detail else None,
        open=event.status in OPEN,
    )


@pages.post(EVENT + "/apply", MANAGE)
def apply_event(visit: Visit, event_id: int) -> AnyResponse:
    """Apply an event that is a conflict, was rejected, or waits."""
    review.apply(visit.connection, visit.actor, event_id)
    if _event(visit, event_id).status in OPEN:
        flash(gettext("The event could not be applied; the reason is below."), "error")
    else:
        flash(gettext("The event has been applied."), "success")
    return redirect(f"{EVENTS}/{event_id}")


@pages.post(EVENT + "/dismiss", MANAGE)
def dismiss_event(visit: Visit, event_id: int) -> AnyResponse:
    """Decide that an event shall never count."""
    review.dismiss(visit.connection, visit.actor, event_id)
    flash(gettext("The event has been dismissed."), "success")
    return redirect(f"{EVENTS}/{event_id}")


def _address(source_id: int) -> str:
    return f"{SOURCES}/{source_id}"


def _new(visit: Visit, form: Form) -> str:
    return render_template("hooks/new_source.html", form=form, customers=customers(visit))


def _one(source: Source, form: Form) -> str:
    keys = [_made(key) for key in source.keys]
    return render_template("hooks/source.html", source=source, form=form, keys=keys)


def _made(key: Any) -> dict[str, Any]:
    """Read when a key was made, which a view has as text."""
    return {"id": key["id"], "created_at": datetime.fromisoformat(key["created_at"])}


def _set_active(visit: Visit, source_id: int, *, active: bool) -> AnyResponse:
    sources.activate(visit.connection, visit.actor, source_id, active=active)
    flash(gettext("Saved."), "success")
    return redirect(_address(source_id))


def _event(visit: Visit, event_id: int) -> ShownEvent:
    found = hook_store.event(visit.connection, visit.actor.customer_id, event_id)
    if found is None:
        raise NotFound()
    return found


def _sender(visit: Visit, event: ShownEvent) -> Source | None:
    """Return who has sent an event; None where he is gone."""
    if event.source_id is None:
        return None
    return hook_store.source(visit.connection, visit.actor.customer_id, event.source_id)
