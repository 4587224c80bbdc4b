"""`POST /hooks/v1/events`: events of the operator's portal, signed instead of authenticated."""

import logging

from flask import Blueprint, Response, g, jsonify, request

from provisioner import hook_store
from provisioner.access import Actor, Role, Via
from provisioner.api.context import database, services
from provisioner.api.reading import json_object
from provisioner.api.serving import public
from provisioner.hook_store import SourceKey
from provisioner.hooks import events, incoming
from provisioner.hooks.signature import SignatureInvalid, SignedMessage
from provisioner.sealing import SealBroken

log = logging.getLogger(__name__)

BODY_MAX = 256 * 1024  # bytes of an event

blueprint = Blueprint("hooks", __name__, url_prefix="/hooks/v1")


@blueprint.post("/events")
@public
def receive_event() -> Response:
    """Take an event; it is durable, and applied if it can be, when this answers 200."""
    request.max_content_length = BODY_MAX
    content = request.get_data()
    headers = {name.lower(): value for name, value in request.headers.items()}
    message = SignedMessage.read(headers, content)
    source = _source(message)
    event = events.read(message.id, message.body, json_object(message.body))
    if event is None:
        return jsonify(id=message.id, status="pong")
    outcome = incoming.receive(database(), source, event)
    return jsonify(
        id=outcome.webhook_id,
        event_id=outcome.id,
        status=outcome.status,
        code=outcome.code,
        detail=outcome.detail,
    )


def _source(message: SignedMessage) -> Actor:
    """Find the source whose key has signed a message.

    Raises:
        SignatureInvalid: none has.
    """
    with database().transaction() as connection:
        keys = hook_store.active_keys(connection)
    key = next((key for key in keys if _has_signed(key, message)), None)
    if key is None:
        raise SignatureInvalid()
    return Actor(
        Via.HOOK,
        key.id,
        key.name,
        Role.ADMIN,
        key.customer_id,
        source=request.remote_addr,
        request_id=g.request_id,
    )


def _has_signed(key: SourceKey, message: SignedMessage) -> bool:
    try:
        return message.is_signed_with(services().sealer.open(key.sealed))
    except SealBroken as error:
        log.error("hook source %s: %s", key.id, error.detail)  # noqa: TRY400 - it says it all
        return False
