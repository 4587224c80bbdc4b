"""`/trunks`: the operator's carriers, and where calls of accounts that are linked to Teams go."""

from provisioner import listings, store, trunks
from provisioner.access import Permission
from provisioner.api import paging, waiting
from provisioner.api.bodies import TrunkBody, TrunkPatch, TrunksQuery
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.view import Page
from provisioner.api.views import TrunkView
from provisioner.errors import TrunkNameTaken
from provisioner.model import Trunk

resource = Resource("Trunks", "/trunks")

ONE = "/<id:trunk_id>"


def _current(call: Call, trunk_id: int) -> TrunkView:
    return TrunkView.of(trunks.read(call.connection, trunk_id, lock=True))


def _settle(call: Call) -> None:
    """Wait until the nodes have loaded a change, as the client prefers."""
    waiting.settle(call, converged=False, pending=store.unconfirmed_reloads)


@resource.post("", Permission.TRUNKS_MANAGE, status=201, errors=[TrunkNameTaken])
def create_trunk(call: Call, body: TrunkBody) -> TrunkView:
    """Add a carrier, or a project's Teams trunk.

    The port is 5060, with TLS 5061; the transport is UDP, to Teams TLS.
    """
    trunk = trunks.create(call.connection, call.actor, body.new())
    call.created(f"/trunks/{trunk.id}")
    _settle(call)
    return TrunkView.of(trunk)


@resource.get("", Permission.TRUNKS_READ)
def list_trunks(call: Call, query: TrunksQuery) -> Page[TrunkView]:
    """List trunks."""
    return paging.page(
        call, listings.TRUNKS, query, TrunkView, lambda row: TrunkView.of(Trunk.from_row(row))
    )


@resource.get(ONE, Permission.TRUNKS_READ)
def read_trunk(call: Call, trunk_id: int) -> TrunkView:
    """Show one trunk."""
    return TrunkView.of(trunks.read(call.connection, trunk_id))


@resource.patch(ONE, Permission.TRUNKS_MANAGE, guard=_current, errors=[TrunkNameTaken])
def change_trunk(call: Call, body: TrunkPatch, trunk_id: int) -> TrunkView:
    """Change what may change of a trunk; its kind and project may not."""
    trunk = trunks.change(call.connection, call.actor, trunk_id, body.given())
    _settle(call)
    return TrunkView.of(trunk)


@resource.delete(ONE, Permission.TRUNKS_MANAGE, guard=_current)
def delete_trunk(call: Call, trunk_id: int) -> None:
    """Remove a trunk. Calls in progress go on."""
    trunks.delete(call.connection, call.actor, trunk_id)
    _settle(call)
