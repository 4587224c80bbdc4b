"""`/console/accounts/<id>/calls`: an account's calls, those in progress live."""

from typing import Any

from flask import get_template_attribute, render_template

from provisioner import accounts, listings
from provisioner.access import Permission
from provisioner.console.account import ONE
from provisioner.console.visits import Pages, Visit
from provisioner.listing import Order

SHOWN = 20  # of the calls that have ended; an account has at most 1,000 in progress
SHOWN_NOW = 50

pages = Pages("account_calls", ONE)


@pages.get("/calls", Permission.CALLS_READ)
def show_calls(visit: Visit, account_id: int) -> str:
    """Show the calls in progress, and the last ones that have ended."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    latest = Order("started_at", descending=True)
    past = listings.CALL_RECORDS.page(
        visit.connection, visit.actor, {"account": account_id}, latest, None, SHOWN
    )
    now = _now(visit, account_id) if visit.actor.may(Permission.LIVE_CALLS_READ) else None
    return render_template("accounts/calls.html", account=account, now=now, past=past)


@pages.live("/calls/live", Permission.LIVE_CALLS_READ)
def live_calls(visit: Visit, account_id: int) -> dict[str, str]:
    """Show the calls in progress as they change."""
    accounts.read(visit.connection, visit.actor, account_id)
    return {"calls-now": str(_now(visit, account_id))}


def _now(visit: Visit, account_id: int) -> Any:
    calls = listings.LIVE_CALLS.page(
        visit.connection, visit.actor, {"account": account_id}, Order("id"), None, SHOWN_NOW
    )
    table = get_template_attribute("accounts/calls_now.html", "calls_now")
    return table(calls)
