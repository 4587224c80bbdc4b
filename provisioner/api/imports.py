"""`/imports`: numbers or accounts by the file, applied by a worker."""

from typing import Annotated, Any, Literal, Self

from flask import Response, request
from pydantic import Field

from provisioner import listings
from provisioner.access import Permission
from provisioner.api import paging
from provisioner.api.bodies import IdText, NoQuery, PageQuery, Word
from provisioner.api.idempotency import Content
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.streaming import streamed
from provisioner.api.view import EXAMPLE_TIME, Page, Time, View, example
from provisioner.bulk import import_store, imports
from provisioner.bulk.errors import CredentialsNotReady, ImportFinished, TooManyImports
from provisioner.bulk.imports import NewImport
from provisioner.bulk.model import Fault, Format, Import, Kind, Mode, Status

resource = Resource("Imports", "/imports")

ONE = "/<id:import_id>"
_RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

FORMATS = {"text/csv": Format.CSV, "application/x-ndjson": Format.NDJSON}
SEALED = "application/octet-stream"


class NewImportQuery(NoQuery):
    """What is chosen for an import; its body is the file."""

    kind: Kind
    mode: Mode = Mode.ALL_OR_NOTHING
    project: IdText | None = None
    recipient: Annotated[Word, Field(description="age public key for the passwords")] | None = None
    credentials: Literal["none"] | None = None


class ImportsQuery(PageQuery):
    """Imports of a kind; the latest first."""

    sort: Literal["-id", "id"] = "-id"
    kind: Kind | None = None
    status: Status | None = None


class ImportView(View):
    """An import, and how far it is."""

    model_config = example(
        id=1,
        kind="accounts",
        format="csv",
        mode="all_or_nothing",
        status="done",
        percent=100,
        project_id=1,
        recipient=_RECIPIENT,
        rows_total=1000,
        rows_done=1000,
        rows_bad=0,
        detail=None,
        created_by="Portal",
        created_at=EXAMPLE_TIME,
        finished_at=EXAMPLE_TIME,
    )

    id: int
    kind: Kind
    format: Format
    mode: Mode
    status: Status
    percent: int
    project_id: int
    recipient: str | None
    rows_total: int | None
    rows_done: int
    rows_bad: int
    detail: str | None
    created_by: str
    created_at: Time
    finished_at: Time | None

    @classmethod
    def of(cls, job: Import) -> Self:
        """Show one."""
        made: dict[str, Any] = {
            "percent": int(job.progress * 100),
            "created_by": job.actor.name,
        }
        rest = {name: getattr(job, name) for name in cls.model_fields if name not in made}
        return cls(**made, **rest)


class ImportErrorView(View):
    """What is wrong with a line of the file; `field` is null where it is the line as a whole."""

    model_config = example(line=17, field="main_number", detail="is in line 12 already")

    line: int
    field: str | None
    detail: str

    @classmethod
    def of(cls, fault: Fault) -> Self:
        """Show one."""
        return cls.model_validate(fault)


@resource.post("", Permission.IMPORTS_MANAGE, status=202, errors=[TooManyImports], takes=[*FORMATS])
def create_import(call: Call, query: NewImportQuery, stream: Content) -> ImportView:
    """Import numbers or accounts: the body is a CSV or NDJSON file of up to 512 MiB.

    The answer comes when the file is stored; a worker checks it as a whole and applies it. Accounts
    need a `recipient`, an age public key that their passwords are encrypted to, or
    `credentials=none`.
    """
    new = NewImport(
        query.kind,
        FORMATS[request.mimetype],
        query.mode,
        query.project,
        query.recipient,
        credentials=query.credentials is None,
    )
    job = imports.upload(call.connection, call.actor, new, stream)
    call.created(f"/imports/{job.id}")
    return ImportView.of(job)


@resource.get("", Permission.IMPORTS_MANAGE)
def list_imports(call: Call, query: ImportsQuery) -> Page[ImportView]:
    """List imports, the latest first."""
    return paging.page(
        call, listings.IMPORTS, query, ImportView, lambda row: ImportView.of(Import.from_row(row))
    )


@resource.get(ONE, Permission.IMPORTS_MANAGE)
def read_import(call: Call, import_id: int) -> ImportView:
    """Show one import, and how far it is."""
    return ImportView.of(imports.read(call.connection, call.actor, import_id))


@resource.get(ONE + "/errors", Permission.IMPORTS_MANAGE)
def list_import_errors(call: Call, import_id: int) -> Page[ImportErrorView]:
    """List what is wrong with the file, line by line: the first 1,000; `rows_bad` counts all."""
    job = imports.read(call.connection, call.actor, import_id)
    faults = import_store.faults(call.connection, job.id)
    return Page[ImportErrorView](items=[ImportErrorView.of(fault) for fault in faults], next=None)


@resource.get(
    ONE + "/credentials",
    Permission.IMPORTS_MANAGE,
    errors=[CredentialsNotReady],
    gives=[SEALED],
)
def fetch_import_credentials(call: Call, import_id: int) -> Response:
    """Fetch the new accounts' passwords: a CSV file, encrypted with age to the recipient.

    It is kept until it has been fetched once, or for 24 hours.
    """
    response = streamed(
        lambda connection: imports.credentials(connection, call.actor, import_id), SEALED
    )
    imports.tell_fetched(call.connection, call.actor, import_id)
    name = f"import-{import_id}.csv.age"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@resource.post(ONE + "/cancel", Permission.IMPORTS_MANAGE, errors=[ImportFinished])
def cancel_import(call: Call, import_id: int) -> ImportView:
    """Cancel an import before it is applied; repeating it changes nothing."""
    return ImportView.of(imports.cancel(call.connection, call.actor, import_id))
