"""`/console/calls`: the call details of an interval: totals, by day, one by one, as a file."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Self

from flask import Response, flash, render_template, request
from flask_babel import gettext
from pydantic import ValidationError

from provisioner import call_records, listings, rating_store
from provisioner.access import Permission
from provisioner.api.bodies import CallRecordsQuery
from provisioner.api.streaming import streamed
from provisioner.console import chart, lists
from provisioner.console.choices import projects
from provisioner.console.forms import Form
from provisioner.console.visits import Pages, Visit
from provisioner.errors import NotFound
from provisioner.fields import YEARS
from provisioner.listing import Order
from provisioner.rating_store import Day

pages = Pages("calls", "/calls")

SHOWN = 25  # calls of a page
DAYS_MAX = 366  # of an interval
BY_DAY_MAX = 62  # days of an interval that are shown one by one; longer ones by month
FILTERS = ("account", "project", "direction")


@dataclass(frozen=True)
class Totals:
    """What the calls of an interval come to: their number, seconds and costs (euro)."""

    incoming: int
    outgoing: int
    seconds: int
    cost_operator: Decimal
    cost_customer: Decimal

    @classmethod
    def of(cls, days: list[Day]) -> Self:
        """Add up days."""
        return cls(
            sum(one.incoming for one in days),
            sum(one.outgoing for one in days),
            sum(one.seconds for one in days),
            sum((one.cost_operator for one in days), Decimal(0)),
            sum((one.cost_customer for one in days), Decimal(0)),
        )


@dataclass(frozen=True)
class Interval:
    """The first and last day that are shown, and the moments between which they lie."""

    first: date
    last: date
    since: datetime
    until: datetime

    @property
    def days(self) -> int:
        """Count them."""
        return (self.last - self.first).days + 1


@pages.get("", Permission.CALLS_READ)
def show_calls(visit: Visit) -> str:
    """Show the calls of an interval; of the present month where none is given."""
    form = Form({name: request.args.get(name, "") for name in ("first", "last", *FILTERS)})
    interval = _interval(visit, form)
    query = _query(interval)
    found = lists.page(visit, listings.CALL_RECORDS, query, dict)
    unit = "day" if interval.days <= BY_DAY_MAX else "month"
    days = rating_store.days(
        visit.connection, visit.actor, unit, interval.first, interval.last, query.filters()
    )
    return render_template(
        "calls/list.html",
        form=form,
        interval=interval,
        calls=found.items,
        following=found.following,
        first=found.first,
        totals=Totals.of(days),
        days=days,
        by_day=unit == "day",
        charts=_charts(_every_day(interval, days) if unit == "day" else days),
        projects=projects(visit),
        file=f"/console/calls/file?{request.query_string.decode()}",
    )


@pages.get("/file", Permission.CALLS_READ)
def download_calls(visit: Visit) -> Response:
    """Give the calls of an interval as the file that the API gives (CSV)."""
    form = Form({name: request.args.get(name, "") for name in ("first", "last", *FILTERS)})
    interval = _interval(visit, form)
    if form.errors:
        raise NotFound()
    query, actor = _query(interval), visit.actor
    order = Order("started_at", descending=True)
    response = streamed(
        lambda connection: call_records.export(
            connection, actor, query.convention, order, query.filters()
        ),
        "text/csv",
    )
    name = f"calls-{interval.first}-{interval.last}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _interval(visit: Visit, form: Form) -> Interval:
    """Read the interval; what is wrong with it becomes errors of the form, and it is this month."""
    today = rating_store.today(visit.connection)
    first = _day(form, "first") or today.replace(day=1)
    last = _day(form, "last") or max(today, first)
    if first > last:
        form.errors["last"] = gettext("Must not be before the first day.")
    elif (last - first).days >= DAYS_MAX:
        form.errors["last"] = gettext("Must be within a year of the first day.")
    if form.errors:
        flash(gettext("The calls of this month are shown instead."))
        first, last = today.replace(day=1), today
    else:
        form.values["first"], form.values["last"] = first.isoformat(), last.isoformat()
    since, until = rating_store.bounds(visit.connection, first, last)
    return Interval(first, last, since, until)


def _day(form: Form, name: str) -> date | None:
    try:
        day = date.fromisoformat(form[name]) if form[name] else None
    except ValueError:
        day = date.min
    if day is not None and day.year not in YEARS:
        form.errors[name] = gettext("Must be a date.")
        return None
    return day


def _query(interval: Interval) -> CallRecordsQuery:
    """Read the filters.

    Raises:
        NotFound: one cannot be, so that nobody takes all calls for those of an account.
    """
    given = {name: request.args[name] for name in (*FILTERS, "cursor") if request.args.get(name)}
    bounds = {"since": interval.since, "until": interval.until}
    try:
        return CallRecordsQuery.model_validate({**given, **bounds, "limit": SHOWN})
    except ValidationError:
        raise NotFound() from None


def _every_day(interval: Interval, days: list[Day]) -> list[Day]:
    """Put days without calls between the others, so that a chart shows when there were none."""
    present = {one.day: one for one in days}
    wanted = (interval.first + timedelta(days=i) for i in range(interval.days))
    return [present.get(day) or Day(day, 0, 0, 0, Decimal(0), Decimal(0)) for day in wanted]


def _charts(days: list[Day]) -> dict[str, chart.Chart]:
    return {
        "calls": chart.bars([one.incoming + one.outgoing for one in days]),
        "cost": chart.bars([one.cost_customer for one in days]),
    }
