"""The operations on imports: ask for one, look at it, cancel it, fetch its credentials."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from provisioner import projects, store
from provisioner.access import Actor, Permission
from provisioner.bulk import import_store, importing
from provisioner.bulk.application import Server
from provisioner.bulk.errors import (
    CredentialsGone,
    CredentialsNotReady,
    ImportFinished,
    TooManyImports,
)
from provisioner.bulk.lines import ByteLines
from provisioner.bulk.model import Format, Import, Kind, Mode, Report, Status
from provisioner.bulk.sealing import Sink, check_recipient
from provisioner.db import Connection
from provisioner.errors import Forbidden, InvalidInput, NotFound

WAITING_MAX = 5  # imports of a customer, or of the operator, that are not finished
CHUNK = 1024 * 1024  # bytes of an uploaded file in one row

_NEEDED = {Kind.NUMBERS: Permission.NUMBERS_MANAGE, Kind.ACCOUNTS: Permission.ACCOUNTS_MANAGE}


class Upload(Protocol):
    """A file that arrives in pieces, like a request's body."""

    def read(self, size: int = ..., /) -> bytes:
        """Return at the most `size` bytes; b"" after the last."""


@dataclass(frozen=True)
class NewImport:
    """What is chosen for an import. `project_id` is for lines that name none.

    `recipient` is the age public key for the accounts' passwords; without `credentials` they get
    none, until they are rotated.
    """

    kind: Kind
    format: Format
    mode: Mode = Mode.ALL_OR_NOTHING
    project_id: int | None = None
    recipient: str | None = None
    credentials: bool = True


def create(connection: Connection, actor: Actor, new: NewImport) -> Import:
    """Add an import whose file is still to come.

    Raises:
        Forbidden: the actor may not create such things one by one either.
        InvalidInput: there is no such project, or the recipient is missing or none.
    """
    if not actor.may(_NEEDED[new.kind]):
        raise Forbidden()
    recipient = _recipient(new)
    project = projects.for_new(connection, actor, new.project_id)
    job = import_store.insert(
        connection, actor, project.id, new.kind, new.format, new.mode, recipient
    )
    importing.record(connection, actor, "import.created", job)
    return job


def _recipient(new: NewImport) -> str | None:
    wanted = new.kind is Kind.ACCOUNTS and new.credentials
    if wanted and new.recipient is None:
        rule = "must be the age public key that the passwords are encrypted to"
        raise InvalidInput("recipient", f"{rule}; or ask for accounts without credentials")
    if not wanted and new.recipient is not None:
        raise InvalidInput("recipient", "must not be given where no passwords are made")
    return check_recipient(new.recipient) if new.recipient is not None else None


def upload(connection: Connection, actor: Actor, new: NewImport, file: Upload) -> Import:
    """Keep a file until a worker imports it.

    Raises:
        Forbidden, InvalidInput: as `create` does.
        TooManyImports: WAITING_MAX of the customer's are not finished.
    """
    _check_quota(connection, actor)
    job = create(connection, actor, new)
    no = 0
    while content := file.read(CHUNK):
        import_store.add_chunk(connection, job.id, no, content)
        no += 1
    import_store.lock_quota(connection, actor.customer_id)
    _check_quota(connection, actor)  # again: others may have been sent meanwhile
    return import_store.uploaded(connection, job.id)


def _check_quota(connection: Connection, actor: Actor) -> None:
    if import_store.waiting(connection, actor.customer_id) >= WAITING_MAX:
        raise TooManyImports()


def import_file(
    connection: Connection,
    actor: Actor,
    new: NewImport,
    file: ByteLines,
    size: int,
    *,
    address: tuple[str, int],
    sink: Sink,
    report: Report,
) -> Import:
    """Import a file of `size` bytes now, in the caller's transaction.

    `address` is the registrar's host and port, for the credentials file, which goes to `sink`.

    Raises:
        Forbidden, InvalidInput: as `create` does.
        Overtaken: other changes came in between, again and again.
    """
    job = create(connection, actor, new)
    server = Server(store.realm(connection), *address)
    return importing.run_import(
        connection, job, file, size, server=server, sink=sink, report=report
    )


def read(connection: Connection, actor: Actor, import_id: int) -> Import:
    """Return an import that the actor sees.

    Raises:
        NotFound: there is no such import.
    """
    return _found(import_store.find(connection, actor, import_id))


def cancel(connection: Connection, actor: Actor, import_id: int) -> Import:
    """End an import before it is applied; repeating it changes nothing.

    Raises:
        NotFound: there is no such import.
        ImportFinished: it is done, or has failed.
    """
    job = _found(import_store.lock(connection, actor, import_id))
    if job.status is Status.CANCELLED:
        return job
    cancelled = import_store.finish(connection, job.id, Status.CANCELLED)
    if cancelled is None:
        raise ImportFinished()
    import_store.delete_chunks(connection, job.id)
    importing.record(connection, actor, "import.cancelled", cancelled)
    return cancelled


def credentials(connection: Connection, actor: Actor, import_id: int) -> Iterator[bytes]:
    """Give the encrypted credentials file piece by piece, and forget it after the last.

    Raises:
        NotFound: there is no such import, or it makes no credentials.
        CredentialsNotReady: it is not done.
        CredentialsGone: they were fetched, or nobody came for them in a day.
    """
    job = read(connection, actor, import_id)
    if job.recipient is None:
        raise NotFound("The import makes no credentials.")
    if job.status is not Status.DONE:
        raise CredentialsNotReady()
    pieces = import_store.credentials(connection, job.id)
    first = next(pieces, None)
    if first is None:
        raise CredentialsGone()
    return _forgotten_after(connection, job, first, pieces)


def tell_fetched(connection: Connection, actor: Actor, import_id: int) -> None:
    """Tell the audit trail that somebody fetches the credentials file, whole or in part.

    To be committed before the first piece leaves: even a part of the file has passwords.

    Raises:
        NotFound: there is no such import.
    """
    job = read(connection, actor, import_id)
    importing.record(connection, actor, "import.credentials_fetched", job)


def _forgotten_after(
    connection: Connection, job: Import, first: bytes, rest: Iterator[bytes]
) -> Iterator[bytes]:
    yield first
    yield from rest
    import_store.delete_credentials(connection, job.id)


def _found(job: Import | None) -> Import:
    if job is None:
        raise NotFound("There is no such import.")
    return job
