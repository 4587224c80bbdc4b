"""`/console/accounts/<id>/history`: who changed what of an account, and when."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import render_template
from flask_babel import gettext

from provisioner import accounts, listings
from provisioner.access import Permission, Via
from provisioner.api.bodies import AuditQuery
from provisioner.console import lists
from provisioner.console.account import ONE
from provisioner.console.language import marked
from provisioner.console.shown import NAMES, moment
from provisioner.console.visits import Pages, Visit

SHOWN = 25  # events of a page

pages = Pages("account_history", ONE)

TYPES = {
    "account.created": marked("Created"),
    "account.updated": marked("Settings changed"),
    "account.enabled": marked("Enabled"),
    "account.disabled": marked("Disabled"),
    "account.teams_linked": marked("Linked to Teams"),
    "credentials.rotated": marked("New password"),
    "credentials.expired": marked("Password expired"),
    "credentials.change_scheduled": marked("Change of password scheduled"),
    "credentials.change_cancelled": marked("Change of password cancelled"),
    "registrations.dropped": marked("Registrations dropped"),
    "caller_id_rule.created": marked("Caller ID rule added"),
    "caller_id_rule.deleted": marked("Caller ID rule removed"),
    "call_transfer.updated": marked("Call transfer changed"),
}
WAYS = {
    Via.API: marked("API"),
    Via.HOOK: marked("Hook"),
    Via.CONSOLE: marked("Console"),
    Via.CLI: marked("Command line"),
    Via.WORKER: marked("Automatically"),
}
FIELDS = {
    "name": marked("Name"),
    "main_number": marked("Main number"),
    "voice_channels": marked("Voice channels"),
    "tariff": marked("Tariff"),
    "cloudfire_only": marked("Reachable only from CloudFire networks"),
    "allowed_networks": marked("Own networks"),
    "external_id": marked("External ID"),
    "state": marked("State"),
    "destination_prefix": marked("Called number begins with"),
    "number": marked("Number"),
    "unconditional": marked("All calls"),
    "no_answer": marked("Calls that are not answered"),
    "unreachable": marked("Calls while it is unreachable"),
    "node": marked("Node"),
    "contact": marked("Contact"),
    "source": marked("From"),
    "user_agent": marked("Device"),
    "due_at": marked("Due"),
}
# What it means that these are empty.
EMPTY = {"destination_prefix": marked("All destinations"), "number": marked("Hidden")}


@dataclass(frozen=True)
class Step:
    """A field that an event changed, in the reader's language; empty where there was nothing."""

    label: str
    before: str
    after: str


@dataclass(frozen=True)
class Event:
    """What somebody did, in the reader's language."""

    at: datetime
    who: str
    way: str
    what: str
    steps: list[Step]


@pages.get("/history", Permission.AUDIT_READ)
def show_history(visit: Visit, account_id: int) -> str:
    """List what was done to an account, the latest first."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    query = lists.query(AuditQuery, SHOWN)
    about = {"subject": "account", "subject_id": str(account_id)}
    found = lists.page(visit, listings.AUDIT_EVENTS, query, _event, **about)
    return render_template(
        "accounts/history.html",
        account=account,
        events=found.items,
        following=found.following,
        first=found.first,
    )


def _event(row: Mapping[str, Any]) -> Event:
    way, what = WAYS[row["via"]], TYPES.get(row["type"], row["type"])
    return Event(
        at=row["at"],
        who=row["actor_name"],
        way=gettext(way),
        what=gettext(what),
        steps=[*_steps(row["before"], row["after"])],
    )


def _steps(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Iterator[Step]:
    """Tell of the fields that differ; of ids nobody wants to read."""
    whole = before is None or after is None
    for name, label in FIELDS.items():
        was, now = (_said(name, facts, whole=whole) for facts in (before, after))
        if was != now:
            yield Step(gettext(label), was, now)


def _said(name: str, facts: Mapping[str, Any] | None, *, whole: bool) -> str:
    """Say a field of the journal; of a whole thing, only what it has."""
    value = (facts or {}).get(name)
    if facts is None or name not in facts or (whole and not value and name not in EMPTY):
        return ""
    if name in EMPTY and not value:
        return str(gettext(EMPTY[name]))
    return _word(name, value)


def _word(name: str, value: Any) -> str:
    if name in ("state", "tariff"):
        return str(gettext(NAMES[value]))
    if name == "due_at":
        return moment(datetime.fromisoformat(value))
    match value:
        case None:
            return str(gettext("none"))
        case bool():
            return str(gettext("Yes") if value else gettext("No"))
        case list():
            return ", ".join(map(str, value))
        case {"enabled": True, "target": target}:
            return str(gettext("On, to %(number)s", number=target))
        case {"enabled": False}:
            return str(gettext("Off"))
        case _:
            return str(value)
