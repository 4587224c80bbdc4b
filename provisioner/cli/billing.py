"""`provisioner rates …` and `provisioner call-records …`."""

import argparse
import sys
from pathlib import Path

from provisioner import call_records, listings, rates
from provisioner.api.bodies import CallRecordsQuery, RatesQuery, SummaryQuery
from provisioner.api.rating_views import RatesImportedView, RateView, SummaryView
from provisioner.call_records import Convention
from provisioner.cli.exits import Exit
from provisioner.cli.parsing import Commands, add_limit, given, positive
from provisioner.cli.session import Session
from provisioner.errors import ProvisionerError
from provisioner.listing import Order
from provisioner.pricing import Side
from provisioner.rates import RatesInvalid

RATE_COLUMNS = (
    "id",
    "side",
    "prefix",
    "connection_fee",
    "price_per_minute",
    "first_interval",
    "next_interval",
    "flat",
    "valid_from",
    "valid_until",
)
TOTAL_COLUMNS = (
    "customer_name",
    "project_name",
    "account_number",
    "calls",
    "seconds",
    "unrated",
    "cost_operator",
    "cost_customer",
)


def add_commands(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("rates", "What calls cost.")
    lists = group.add("list", _list_rates, "List rates.")
    lists.add_argument("--side", choices=[*Side])
    lists.add_argument("--prefix", help="like +39; '' for that of all other numbers")
    lists.add_argument("--number", help="those that fit this number")
    lists.add_argument("--at", metavar="TIME", help="in force then, like 2026-01-31T12:00:00Z")
    add_limit(lists)
    imports = group.add("import", _import_rates, "Import a file of rates, whole or not at all.")
    imports.add_argument("file", type=Path, metavar="FILE", help="CSV")
    delete = group.add("delete", _delete_rate, "Remove a rate that is not in force yet.")
    delete.add_argument("rate", type=positive, metavar="ID")
    records = commands.group("call-records", "The calls that have ended.")
    _add_export(records)
    summary = records.add("summary", _summarize, "Sum up the calls of a month.")
    summary.add_argument("month", metavar="MONTH", help="like 2026-01")
    _add_whose(summary)


def _add_export(records: Commands) -> None:
    export = records.add(
        "export", _export, "Write call records as CSV to standard output.", json=False
    )
    export.add_argument("--since", metavar="TIME", help="that began then or later")
    export.add_argument("--until", metavar="TIME", help="that began before")
    export.add_argument("--direction", choices=["in", "out"])
    export.add_argument("--convention", choices=[*Convention], help="of spreadsheets (italian)")
    _add_whose(export)


def _add_whose(parser: argparse.ArgumentParser) -> None:
    for name in ("customer", "project", "account"):
        parser.add_argument(f"--{name}", metavar="ID", help=f"of this {name}")


def _list_rates(session: Session) -> Exit:
    query = RatesQuery.model_validate(given(session.options, "side", "prefix", "number", "at"))
    session.list(listings.RATES, RateView.model_validate, RATE_COLUMNS, **query.filters())
    return Exit.DONE


def _import_rates(session: Session) -> Exit:
    path: Path = session.options.file
    try:
        file = path.open("rb")
    except OSError as error:
        raise ProvisionerError(f"{path}: {error.strerror}") from None
    try:
        with file, session.transaction() as connection:
            done = rates.import_file(connection, session.actor, file)
    except RatesInvalid as error:
        faults = [dict(vars(fault)) for fault in error.faults]
        if session.output.as_json:
            session.output.data({"errors": faults})
        else:
            session.output.rows(faults, ("line", "field", "detail"))
        raise
    session.output.one(RatesImportedView.model_validate(done))
    return Exit.DONE


def _delete_rate(session: Session) -> Exit:
    with session.transaction() as connection:
        rates.delete(connection, session.actor, session.options.rate)
    return Exit.DONE


def _export(session: Session) -> Exit:
    names = ("since", "until", "direction", "convention", "customer", "project", "account")
    query = CallRecordsQuery.model_validate(given(session.options, *names))
    with session.transaction() as connection:
        pieces = call_records.export(
            connection, session.actor, query.convention, Order("started_at"), query.filters()
        )
        for piece in pieces:
            sys.stdout.buffer.write(piece)
    sys.stdout.flush()
    return Exit.DONE


def _summarize(session: Session) -> Exit:
    names = ("month", "customer", "project", "account")
    query = SummaryQuery.model_validate(given(session.options, *names))
    with session.transaction() as connection:
        found = call_records.summary(
            connection,
            session.actor,
            query.month,
            customer=query.customer,
            project=query.project,
            account=query.account,
        )
    view = SummaryView.model_validate(found).shown()
    if session.output.as_json:
        session.output.data(view)
    else:
        session.output.rows([*view["accounts"], *view["projects"]], TOTAL_COLUMNS)
    return Exit.DONE
