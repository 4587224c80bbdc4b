"""`/call-records`: the calls that have ended, what they cost, as a page, as CSV, by the month."""

from flask import Response

from provisioner import call_records, listings
from provisioner.access import Permission
from provisioner.api import paging
from provisioner.api.bodies import CallRecordsQuery, SummaryQuery
from provisioner.api.rating_views import CallRecordView, SummaryView
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.streaming import streamed
from provisioner.api.view import Page
from provisioner.listing import Order

resource = Resource("Call records", "/call-records")

SAMPLE = (
    ";".join(call_records.COLUMNS) + "\r\n"
    "Bianchi S.r.l.;1;Milan office;1;+390612345678;2026-01-31 13:00:01;2026-01-31 13:01:02;61;"
    "+390612345678;+393331234567;out;0,0203;0,0915\r\n"
)


@resource.get("", Permission.CALLS_READ, gives=["text/csv"], sample=SAMPLE)
def list_call_records(call: Call, query: CallRecordsQuery) -> Page[CallRecordView] | Response:
    """List the calls that have ended, one record a leg, the latest first.

    With `format=csv` all of them come as a file for spreadsheets, Italian or international.
    """
    if query.format == "csv":
        return _file(call, query)
    return paging.page(
        call, listings.CALL_RECORDS, query, CallRecordView, CallRecordView.model_validate
    )


def _file(call: Call, query: CallRecordsQuery) -> Response:
    order = Order("started_at", descending=query.sort.startswith("-"))
    response = streamed(
        lambda connection: call_records.export(
            connection, call.actor, query.convention, order, query.filters()
        ),
        "text/csv",
    )
    response.headers["Content-Disposition"] = 'attachment; filename="call-records.csv"'
    return response


@resource.get("/summary", Permission.CALLS_READ)
def summarize_call_records(call: Call, query: SummaryQuery) -> SummaryView:
    """Sum up the calls that began within a month, by account and by project, as they are billed."""
    return SummaryView.model_validate(
        call_records.summary(
            call.connection,
            call.actor,
            query.month,
            customer=query.customer,
            project=query.project,
            account=query.account,
        )
    )
