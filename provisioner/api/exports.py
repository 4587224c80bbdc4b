"""`/exports`: everything but secrets, as a file."""

from functools import partial
from typing import Literal

from flask import Response

from provisioner.access import Permission
from provisioner.api.bodies import IdText, NoQuery
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.streaming import streamed
from provisioner.bulk.exporting import ExportKind, export
from provisioner.bulk.model import Format

resource = Resource("Exports", "/exports")

MEDIA = {Format.CSV: "text/csv", Format.NDJSON: "application/x-ndjson"}


class ExportQuery(NoQuery):
    """How the file is written; that of one project can be imported into another one."""

    format: Literal["csv", "ndjson"] = "csv"
    project: IdText | None = None


EXPORT = partial(resource.get, permission=Permission.EXPORTS_READ, gives=[*MEDIA.values()])


@EXPORT("/accounts")
def export_accounts(call: Call, query: ExportQuery) -> Response:
    """Export the accounts that the token sees; an import takes the file elsewhere."""
    return _export(call, query, ExportKind.ACCOUNTS)


@EXPORT("/numbers")
def export_numbers(call: Call, query: ExportQuery) -> Response:
    """Export the numbers that the token sees; an import takes the file elsewhere."""
    return _export(call, query, ExportKind.NUMBERS)


@EXPORT("/customers")
def export_customers(call: Call, query: ExportQuery) -> Response:
    """Export the customers that the token sees."""
    return _export(call, query, ExportKind.CUSTOMERS)


@EXPORT("/projects")
def export_projects(call: Call, query: ExportQuery) -> Response:
    """Export the projects that the token sees."""
    return _export(call, query, ExportKind.PROJECTS)


def _export(call: Call, query: ExportQuery, kind: ExportKind) -> Response:
    file_format = Format(query.format)
    response = streamed(
        lambda connection: export(connection, call.actor, kind, file_format, query.project),
        MEDIA[file_format],
    )
    name = f"{kind}.{file_format}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
