"""`/bans`: addresses that have guessed passwords, and that Kamailio refuses for a while."""

from typing import Self

from provisioner import bans
from provisioner.access import Permission
from provisioner.api.context import services
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.view import EXAMPLE_TIME, Page, Time, View, example
from provisioner.ban import Ban
from provisioner.bans import Bans
from provisioner.errors import NodeUnavailable

resource = Resource("Bans", "/bans")


class BanView(View):
    """An IPv4 address or IPv6 network (/64) that a node refuses after so many wrong `guesses`.

    With a `username` it is refused for that account only.
    """

    model_config = example(
        address="203.0.113.7",
        username=None,
        since=EXAMPLE_TIME,
        until=EXAMPLE_TIME,
        guesses=25,
        node="node1",
    )

    address: str
    username: str | None
    since: Time
    until: Time
    guesses: int
    node: str

    @classmethod
    def of(cls, node: str, ban: Ban) -> Self:
        """Show one."""
        return cls(
            address=ban.source,
            username=ban.username,
            since=ban.since,
            until=ban.until,
            guesses=ban.guesses,
            node=node,
        )


class BansView(Page[BanView]):
    """Bans on the nodes that answered, and the nodes that did not."""

    unavailable_nodes: list[str]

    @classmethod
    def of(cls, found: Bans) -> Self:
        """Show them."""
        items = [BanView.of(node, ban) for node, ban in found.bans]
        return cls(items=items, next=None, unavailable_nodes=found.unavailable_nodes)


@resource.get("", Permission.BANS_READ)
def list_bans(call: Call) -> BansView:
    """List what is banned now, on every node, the latest first."""
    return BansView.of(bans.read(call.connection, services().settings.rpc_token))


@resource.delete("/<path:address>", Permission.BANS_LIFT, status=200, errors=[NodeUnavailable])
def lift_bans(call: Call, address: str) -> BansView:
    """Lift all bans of an address, on every node, and list what was lifted.

    Of an IPv6 address it is its network's.
    """
    rpc_token = services().settings.rpc_token
    return BansView.of(bans.lift(call.connection, call.actor, address, rpc_token))
