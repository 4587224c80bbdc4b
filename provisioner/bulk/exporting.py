"""Everything but secrets, as a file: read by a cursor, written line by line."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from provisioner.access import Actor
from provisioner.bulk.model import Format
from provisioner.bulk.spreadsheet import harmless
from provisioner.db import Connection
from provisioner.queries import EXPORTS
from provisioner.times import rfc_3339

BATCH = 1000  # rows that are in memory at a time

_TEXTS = ("name", "external_id")  # what people have written


class ExportKind(StrEnum):
    """What can be exported."""

    ACCOUNTS = "accounts"
    NUMBERS = "numbers"
    CUSTOMERS = "customers"
    PROJECTS = "projects"


_QUERIES = {
    ExportKind.ACCOUNTS: EXPORTS["accounts"],
    ExportKind.NUMBERS: EXPORTS["numbers"],
    ExportKind.CUSTOMERS: EXPORTS["customers"],
    ExportKind.PROJECTS: EXPORTS["projects"],
}


def export(
    connection: Connection,
    actor: Actor,
    kind: ExportKind,
    file_format: Format,
    project_id: int | None = None,
) -> Iterator[bytes]:
    """Give all that the actor sees of a kind, as a file in pieces.

    That of one project leaves out the project, so that it can be imported into another one.
    """
    one_project = project_id or actor.project_id
    with connection.cursor(name="export") as cursor:
        cursor.execute(_QUERIES[kind], {**actor.scope, "project_id": project_id})
        columns = [column.name for column in cursor.description or ()]
        if one_project and kind in (ExportKind.ACCOUNTS, ExportKind.NUMBERS):
            columns.remove("project_id")
        if file_format is Format.CSV:
            yield _csv([columns])
        while rows := cursor.fetchmany(BATCH):
            yield _piece(rows, columns, file_format)


def _piece(rows: Sequence[Mapping[str, Any]], columns: list[str], file_format: Format) -> bytes:
    if file_format is Format.CSV:
        return _csv([[_cell(name, row[name]) for name in columns] for row in rows])
    return "".join(
        json.dumps({name: _plain(row[name]) for name in columns}, ensure_ascii=False) + "\n"
        for row in rows
    ).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc_3339(value)
    return value or None if isinstance(value, list) else value


def _cell(name: str, value: Any) -> str:
    """Write a value as an import reads it: lists by blanks, truths as JSON has them."""
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, list):
        return " ".join(plain)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return harmless(plain) if name in _TEXTS else str(plain)


def _csv(lines: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()
