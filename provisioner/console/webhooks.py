"""`/console/hooks`: where events are sent, and what became of those that were."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, flash, get_template_attribute, make_response, redirect, render_template
from flask_babel import gettext
from werkzeug import Response as AnyResponse

from provisioner import listings, webhook_store
from provisioner.access import Permission
from provisioner.api.context import services
from provisioner.api.webhook_views import (
    DeliveriesQuery,
    EndpointBody,
    EndpointPatch,
    EndpointsQuery,
)
from provisioner.console import conflicts, lists, submissions
from provisioner.console.choices import customers
from provisioner.console.forms import Form
from provisioner.console.hook_parts import (
    SHOWN,
    confirm,
    only_once,
    readable,
    show_secret,
)
from provisioner.console.language import marked
from provisioner.console.visits import Pages, Visit
from provisioner.errors import InvalidInput
from provisioner.hooks import endpoints
from provisioner.hooks.endpoints import NewEndpoint
from provisioner.webhook_store import OUTGOING_TYPES, Delivery, Endpoint

pages = Pages("webhooks", "/hooks")

LIST = "/console/hooks"
ENDPOINT = "/<id:endpoint_id>"
DELIVERY = "/deliveries/<id:delivery_id>"
MANAGE = Permission.WEBHOOKS_MANAGE

ATTEMPTS_SHOWN = 25  # of a delivery, the latest

# From how long ago on events can be sent again; older ones than the last are not kept.
_PERIODS = {
    "hour": (timedelta(hours=1), marked("The last hour")),
    "day": (timedelta(days=1), marked("The last 24 hours")),
    "week": (timedelta(days=7), marked("The last 7 days")),
    "month": (timedelta(days=30), marked("The last 30 days")),
}


@pages.get("", MANAGE)
def show_endpoints(visit: Visit) -> str:
    """List where events are sent."""
    query = lists.query(EndpointsQuery, SHOWN)
    found = lists.page(visit, listings.WEBHOOK_ENDPOINTS, query, lambda row: Endpoint(**row))
    return render_template(
        "hooks/endpoints.html",
        endpoints=found.items,
        following=found.following,
        first=found.first,
    )


@pages.get("/new", MANAGE)
def ask_endpoint(visit: Visit) -> str:
    """Ask where events shall be sent."""
    return _new(visit, Form({}))


@pages.post("/new", MANAGE)
def add_endpoint(visit: Visit) -> Response | AnyResponse | str:
    """Add an endpoint, and show its secret once."""
    form = Form()
    with form.attempt(visit.connection):
        body = form.read(EndpointBody, _chosen(form) | _customer(form))
        done = submissions.claim(visit, form)
        if done is not None:
            return only_once(done)
        endpoint, secret = endpoints.create(
            visit.connection,
            visit.actor,
            services().sealer,
            services().settings.webhook_networks,
            NewEndpoint(**dict(body)),
        )
        submissions.done(visit, form, _address(endpoint.id))
        return show_secret(endpoint.url, secret, _address(endpoint.id))
    return make_response(_new(visit, form), 422)


@pages.get(ENDPOINT, MANAGE)
def show_endpoint(visit: Visit, endpoint_id: int) -> str:
    """Show an endpoint, and what can be done with it."""
    endpoint = endpoints.read(visit.connection, visit.actor, endpoint_id)
    return _one(visit, endpoint, Form({**_texts(endpoint), "types": list(endpoint.types)}))


@pages.post(ENDPOINT, MANAGE)
def change_endpoint(visit: Visit, endpoint_id: int) -> Response | AnyResponse:
    """Change where an endpoint is, what it gets, or whether it gets anything."""
    # Not locked: a name may take seconds to resolve, and the worker would wait for it.
    endpoint = endpoints.read(visit.connection, visit.actor, endpoint_id)
    form = Form()
    differences = conflicts.found(form, _texts(endpoint), _labels())
    if differences:
        return make_response(_one(visit, endpoint, form, differences), 409)
    with form.attempt(visit.connection):
        given = {**_chosen(form), "active": form.checked("active")}
        endpoints.change(
            visit.connection,
            visit.actor,
            services().settings.webhook_networks,
            endpoint_id,
            form.read(EndpointPatch, given).given(),
        )
        flash(gettext("Saved."), "success")
        return redirect(_address(endpoint_id))
    return make_response(_one(visit, endpoint, form), 422)


@pages.post(ENDPOINT + "/secret", MANAGE)
def rotate_secret(visit: Visit, endpoint_id: int) -> Response | AnyResponse | str:
    """Make a new secret, and show it once."""
    form = Form()
    done = submissions.claim(visit, form)
    if done is not None:
        return only_once(done)
    endpoint, secret = endpoints.rotate_secret(
        visit.connection, visit.actor, services().sealer, endpoint_id
    )
    submissions.done(visit, form, _address(endpoint_id))
    return show_secret(endpoint.url, secret, _address(endpoint.id))


@pages.post(ENDPOINT + "/test", MANAGE)
def test_endpoint(visit: Visit, endpoint_id: int) -> AnyResponse:
    """Send an event of type `ping`, and show what comes of it."""
    delivery = endpoints.test(visit.connection, visit.actor, endpoint_id)
    return redirect(f"{LIST}/deliveries/{delivery.id}")


@pages.post(ENDPOINT + "/replay", MANAGE)
def replay_endpoint(visit: Visit, endpoint_id: int) -> AnyResponse:
    """Send all events of a period again, and those that the endpoint missed."""
    period = _PERIODS.get(Form()["period"])
    if period is None:
        raise InvalidInput("period", "must be one of those offered")
    since = datetime.now(UTC) - period[0]
    count = endpoints.replay_since(visit.connection, visit.actor, endpoint_id, since)
    flash(gettext("Events that are sent again: %(count)s.", count=count), "success")
    return redirect(f"{LIST}/deliveries?endpoint={endpoint_id}")


@pages.get(ENDPOINT + "/delete", MANAGE)
def ask_endpoint_deletion(visit: Visit, endpoint_id: int) -> str:
    """Ask whether an endpoint shall really be removed."""
    endpoint = endpoints.read(visit.connection, visit.actor, endpoint_id)
    return confirm(
        gettext("Delete %(name)s", name=endpoint.url),
        gettext("Nothing is sent there any more, and what was sent is forgotten."),
        gettext("Delete for ever"),
        action=f"{_address(endpoint_id)}/delete",
        back=_address(endpoint_id),
    )


@pages.post(ENDPOINT + "/delete", MANAGE)
def delete_endpoint(visit: Visit, endpoint_id: int) -> AnyResponse:
    """Remove an endpoint with all that was to be sent there."""
    endpoint = endpoints.read(visit.connection, visit.actor, endpoint_id)
    endpoints.delete(visit.connection, visit.actor, endpoint_id)
    flash(gettext("%(name)s has been deleted.", name=endpoint.url), "success")
    return redirect(LIST)


@pages.get("/deliveries", MANAGE)
def show_deliveries(visit: Visit) -> str:
    """List what was sent, or is to be sent."""
    query = lists.query(DeliveriesQuery, SHOWN)
    found = lists.page(visit, listings.WEBHOOK_DELIVERIES, query, lambda row: Delivery(**row))
    return render_template(
        "hooks/deliveries.html",
        deliveries=found.items,
        following=found.following,
        first=found.first,
        query=query,
        searched=bool(query.state or query.type or query.endpoint),
        states=("pending", "delivered", "dead"),
        types=("ping", *OUTGOING_TYPES),
    )


@pages.get(DELIVERY, MANAGE)
def show_delivery(visit: Visit, delivery_id: int) -> str:
    """Show a delivery with its attempts."""
    delivery = endpoints.delivery(visit.connection, visit.actor, delivery_id)
    return render_template(
        "hooks/delivery.html",
        delivery=delivery,
        data=readable(delivery.data),
        endpoint=endpoints.read(visit.connection, visit.actor, delivery.endpoint_id),
        parts=_parts(visit, delivery),
    )


@pages.live(DELIVERY + "/live", MANAGE)
def live_delivery(visit: Visit, delivery_id: int) -> dict[str, str]:
    """Show what becomes of a delivery."""
    return _parts(visit, endpoints.delivery(visit.connection, visit.actor, delivery_id))


@pages.post(DELIVERY + "/replay", MANAGE)
def replay_delivery(visit: Visit, delivery_id: int) -> AnyResponse:
    """Send an event again, be it delivered or given up."""
    endpoints.replay(visit.connection, visit.actor, delivery_id)
    flash(gettext("The event is sent again."), "success")
    return redirect(f"{LIST}/deliveries/{delivery_id}")


def _address(endpoint_id: int) -> str:
    return f"{LIST}/{endpoint_id}"


def _new(visit: Visit, form: Form) -> str:
    return render_template(
        "hooks/new_endpoint.html", form=form, types=OUTGOING_TYPES, customers=customers(visit)
    )


def _one(
    visit: Visit,
    endpoint: Endpoint,
    form: Form,
    differences: list[conflicts.Difference] | None = None,
) -> str:
    changer = None
    if differences:
        changer = conflicts.last_changed(visit, "webhook_endpoint", endpoint.id)
    return render_template(
        "hooks/endpoint.html",
        endpoint=endpoint,
        form=form,
        was=_texts(endpoint),
        differences=differences,
        changer=changer,
        types=OUTGOING_TYPES,
        periods={name: gettext(label) for name, (_, label) in _PERIODS.items()},
    )


def _texts(endpoint: Endpoint) -> dict[str, str]:
    """Return the fields that can be changed as a form shows them."""
    return {
        "url": endpoint.url,
        "description": endpoint.description,
        "types": " ".join(endpoint.types),
        "active": "on" if endpoint.active else "",
    }


def _labels() -> dict[str, str]:
    return {
        "url": gettext("Address (URL)"),
        "description": gettext("Description"),
        "types": gettext("Events that it gets"),
        "active": gettext("Active"),
    }


def _chosen(form: Form) -> dict[str, Any]:
    return {
        "url": form["url"],
        "description": form["description"],
        "types": form.values.getlist("types"),
    }


def _customer(form: Form) -> dict[str, Any]:
    return {"customer_id": form.number("customer_id") or None}


def _parts(visit: Visit, delivery: Delivery) -> dict[str, Any]:
    """Make the parts of a delivery that change by themselves."""
    attempts = webhook_store.attempts(visit.connection, delivery.id)[-ATTEMPTS_SHOWN:]
    part = {
        name: get_template_attribute("hooks/cells.html", name) for name in ("progress", "attempts")
    }
    return {
        "progress": part["progress"](delivery),
        "attempts": part["attempts"](attempts[::-1]),
    }
