"""`…/calls`: an account's calls in progress."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from provisioner import accounts, listings
from provisioner.access import Permission
from provisioner.api import paging
from provisioner.api.bodies import PageQuery
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.sip_accounts import ONE
from provisioner.api.view import EXAMPLE_TIME, Page, Time, View, example

resource = Resource("Calls", "/sip-accounts" + ONE)


class LiveCallView(View):
    """An account's part in a call that is in progress.

    One that is `transferred` is on its way to where the account's calls are transferred, and
    occupies no channel of its own.
    """

    model_config = example(
        id=4711,
        direction="out",
        caller="+390612345678",
        called="+390687654321",
        state="answered",
        started_at=EXAMPLE_TIME,
        answered_at=EXAMPLE_TIME,
        node="node1",
        transferred=False,
        emergency=False,
    )

    id: int
    direction: Literal["in", "out"]
    caller: str
    called: str
    state: Literal["ringing", "answered"]
    started_at: Time
    answered_at: Time | None
    node: str
    transferred: bool
    emergency: bool

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Show a row of the view `live_calls`."""
        return cls.model_validate({**row, "transferred": not row["counted"]})


@resource.get("/calls", Permission.LIVE_CALLS_READ)
def list_calls(call: Call, query: PageQuery, account_id: int) -> Page[LiveCallView]:
    """List the account's calls in progress, on all nodes that are alive."""
    accounts.read(call.connection, call.actor, account_id)
    return paging.page(
        call, listings.LIVE_CALLS, query, LiveCallView, LiveCallView.of, account=account_id
    )
