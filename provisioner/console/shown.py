"""How values are shown in templates, and what these may ask."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from flask import Flask, g
from flask_babel import format_date, format_datetime, format_decimal, gettext
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup

from provisioner.access import Permission, Role
from provisioner.console import messages, submissions
from provisioner.console.language import LANGUAGES
from provisioner.console.navigation import ENTRIES
from provisioner.hooks.fold import Status
from provisioner.kamailio import shown
from provisioner.model import AccountState, NumberState, Tariff

NONE = "\N{EN DASH}"

NAMES: dict[str, str] = {
    AccountState.ENABLED: "Enabled",
    AccountState.DISABLED: "Disabled",
    AccountState.LINKED_TO_TEAMS: "Linked to Teams",
    Tariff.PAY_PER_USE: "Pay per use",
    Tariff.FLAT: "Flat",
    NumberState.ORDERED: "Ordered",
    NumberState.PORTING: "Porting",
    NumberState.ACTIVE: "Active",
    NumberState.CEASED: "Ceased",
    Status.APPLIED: "Applied",
    Status.SUPERSEDED: "Superseded",
    Status.WAITING: "Waiting",
    Status.CONFLICT: "Conflict",
    Status.REJECTED: "Rejected",
    Status.DISMISSED: "Dismissed",
    "pending": "Pending",
    "delivered": "Delivered",
    "dead": "Given up",
    Role.ADMIN: "Admin",
    Role.ACCOUNTING: "Accounting",
    Role.TECHNICIAN: "Technician",
    Role.SALES: "Sales",
    Role.READ_ONLY: "Read only",
    "in": "Incoming",
    "out": "Outgoing",
    "ringing": "Ringing",
    "answered": "Answered",
}


def register(app: Flask, asset: Callable[[str], str]) -> None:
    """Give templates what they use."""
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals |= {
        "asset": asset,
        "csrf": _csrf,
        "entries": ENTRIES,
        "languages": LANGUAGES,
        "may": may,
        "once": submissions.again,
        "visitor": _visitor,
    }
    app.jinja_env.filters |= {
        "named": named,
        "moment": moment,
        "day": day,
        "month": month,
        "euro": euro,
        "plain": shown,
        "told": messages.of_sentence,
    }


def may(permission: str) -> bool:
    """Say whether the visitor may do something."""
    visit = g.get("visit")
    return visit is not None and visit.actor.may(Permission(permission))


def named(value: str) -> str:
    """Return the word for a state, tariff or role."""
    return str(gettext(NAMES[value]))


def moment(value: datetime | None) -> str:
    """Return a time in the operator's time zone; a dash where there is none."""
    return format_datetime(value, "short") if value else NONE


def day(value: date) -> str:
    """Return a day."""
    return str(format_date(value, "short"))


def month(value: date) -> str:
    """Return a month."""
    return str(format_date(value, "MMMM y"))


def euro(value: Decimal | None, places: int = 2) -> str:
    """Return an amount in euro, as the reader's language writes it."""
    pattern = "#,##0." + "0" * places
    return NONE if value is None else f"{format_decimal(value, pattern)} €"


def _csrf() -> Markup:
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(generate_csrf())


def _visitor() -> Any:
    visit = g.get("visit")
    return visit.session if visit else None
