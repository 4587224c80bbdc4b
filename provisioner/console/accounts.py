"""`/console/accounts`: the list of accounts."""

from typing import Any

from flask import get_template_attribute, render_template
from flask_babel import gettext
from markupsafe import Markup

from provisioner import listings, registrations
from provisioner.access import Permission
from provisioner.api.bodies import AccountsQuery
from provisioner.api.context import services
from provisioner.console import lists
from provisioner.console.visits import Pages, Visit
from provisioner.model import Account, AccountState

pages = Pages("accounts", "/accounts")

SHOWN = 25  # accounts of a page


@pages.get("", Permission.ACCOUNTS_READ)
def show_accounts(visit: Visit) -> str:
    """List the accounts, with what changes by itself as it is now."""
    query = lists.query(AccountsQuery, SHOWN)
    found = lists.page(visit, listings.ACCOUNTS, query, Account.from_row)
    rows, unavailable = _rows(visit, found.items)
    return render_template(
        "accounts/list.html",
        accounts=found.items,
        following=found.following,
        first=found.first,
        query=query,
        rows=rows,
        unavailable=unavailable,
        searched=bool(query.q or query.state),
        states=[*AccountState],
        sorts=_sorts(),
    )


@pages.live("/live", Permission.ACCOUNTS_READ)
def live_accounts(visit: Visit) -> dict[str, str]:
    """Show what changes of the accounts of one page."""
    query = lists.query(AccountsQuery, SHOWN)
    found = lists.page(visit, listings.ACCOUNTS, query, Account.from_row)
    rows, _ = _rows(visit, found.items)
    return {
        f"{name}-{account_id}": str(html)
        for account_id, cells in rows.items()
        for name, html in cells.items()
    }


def _rows(visit: Visit, accounts: list[Account]) -> tuple[dict[int, dict[str, Markup]], list[str]]:
    """Make the cells that change by themselves; name the nodes that do not answer."""
    rpc_token = services().settings.rpc_token
    bindings, unavailable = registrations.of_all(visit.connection, accounts, rpc_token)
    return {one.id: cells(one, bindings.get(one.id, [])) for one in accounts}, unavailable


def cells(account: Account, bindings: list[Any]) -> dict[str, Markup]:
    """Show an account's state, registrations and channels, each as it is now."""
    part = {
        name: get_template_attribute("accounts/cells.html", name)
        for name in ("state", "registered", "channels")
    }
    return {
        "state": part["state"](account),
        "registered": part["registered"](bindings),
        "channels": part["channels"](account),
    }


def _sorts() -> list[tuple[str, str]]:
    return [
        ("id", gettext("Oldest first")),
        ("-id", gettext("Newest first")),
        ("name", gettext("Name")),
        ("main_number", gettext("Main number")),
    ]
