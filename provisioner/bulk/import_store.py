"""One function a query on imports as jobs: a connection and plain values in, imports out."""

from collections.abc import Iterator, Sequence

from psycopg.types.json import Jsonb

from provisioner.access import Actor
from provisioner.bulk.model import (
    Fault,
    Format,
    Import,
    Kind,
    Mode,
    Progress,
    Status,
    actor_to_json,
)
from provisioner.db import Connection, one, rows, run
from provisioner.queries import IMPORTS


def insert(
    connection: Connection,
    actor: Actor,
    project_id: int,
    kind: Kind,
    file_format: Format,
    mode: Mode,
    recipient: str | None,
) -> Import:
    """Add an import whose file is still to come."""
    row = one(
        connection,
        IMPORTS["import_insert"],
        customer_id=actor.customer_id,
        scope_project_id=actor.project_id,
        project_id=project_id,
        kind=kind,
        format=file_format,
        mode=mode,
        recipient=recipient,
        actor=Jsonb(actor_to_json(actor)),
    )
    assert row is not None  # noqa: S101 - RETURNING
    return Import.from_row(row)


def find(connection: Connection, actor: Actor, import_id: int) -> Import | None:
    """Find one import that the actor sees."""
    row = one(connection, IMPORTS["import"], import_id=import_id, **actor.scope)
    return Import.from_row(row) if row else None


def lock(connection: Connection, actor: Actor, import_id: int) -> Import | None:
    """Find one import that the actor sees, and wait for all other changes of its state."""
    row = one(connection, IMPORTS["import_lock"], import_id=import_id, **actor.scope)
    return Import.from_row(row) if row else None


def faults(connection: Connection, import_id: int) -> list[Fault]:
    """List what is wrong with an import's lines; the first 1,000."""
    return [Fault(**row) for row in rows(connection, IMPORTS["errors"], import_id=import_id)]


def add_chunk(connection: Connection, import_id: int, no: int, content: bytes) -> None:
    """Keep a piece of an import's file."""
    run(connection, IMPORTS["chunk_insert"], import_id=import_id, no=no, content=content)


def chunk(connection: Connection, import_id: int, no: int) -> bytes:
    """Return a piece of an import's file; b"" after the last."""
    row = one(connection, IMPORTS["chunk"], import_id=import_id, no=no)
    return bytes(row["content"]) if row else b""


def delete_chunks(connection: Connection, import_id: int) -> None:
    """Forget an import's file."""
    run(connection, IMPORTS["chunks_delete"], import_id=import_id)


def upload_size(connection: Connection, import_id: int) -> int:
    """Return the size of an import's file in bytes."""
    row = one(connection, IMPORTS["upload_size"], import_id=import_id)
    return int(row["bytes"] or 0) if row else 0


def uploaded(connection: Connection, import_id: int) -> Import:
    """Give an import whose file is there to the workers."""
    row = one(connection, IMPORTS["uploaded"], import_id=import_id)
    assert row is not None  # noqa: S101 - the caller has made it
    return Import.from_row(row)


def waiting(connection: Connection, customer_id: int | None) -> int:
    """Count a customer's imports (None: the operator's) that wait for a worker, or have one."""
    row = one(connection, IMPORTS["waiting_count"], customer_id=customer_id)
    return int(row["waiting"]) if row else 0


def lock_quota(connection: Connection, customer_id: int | None) -> None:
    """Have no other import of a customer's begin to wait until the transaction ends."""
    one(connection, IMPORTS["quota_lock"], customer_id=customer_id)


def next_import(connection: Connection, tried: Sequence[int]) -> int | None:
    """Return the import whose turn it is, of those that wait and were not tried; None: none."""
    row = one(connection, IMPORTS["next"], tried=[*tried])
    return int(row["id"]) if row else None


def claim(connection: Connection, import_id: int) -> bool:
    """Take an import for this session; False where another has it."""
    row = one(connection, IMPORTS["claim"], import_id=import_id)
    return bool(row and row["claimed"])


def unclaim(connection: Connection, import_id: int) -> None:
    """Give an import back that this session has taken."""
    run(connection, IMPORTS["unclaim"], import_id=import_id)


def attempt(connection: Connection, import_id: int) -> Import | None:
    """Count a try at an import; None where there is nothing to do any more."""
    row = one(connection, IMPORTS["attempt"], import_id=import_id)
    return Import.from_row(row) if row else None


def save_progress(connection: Connection, import_id: int, progress: Progress) -> bool:
    """Show how far an import is; False where it was cancelled."""
    shown = run(
        connection,
        IMPORTS["progress"],
        import_id=import_id,
        status=progress.status,
        progress=progress.share,
        rows_done=progress.rows_done,
    )
    return shown == 1


def finish(
    connection: Connection,
    import_id: int,
    status: Status,
    *,
    rows_total: int | None = None,
    rows_done: int = 0,
    rows_bad: int = 0,
    detail: str | None = None,
) -> Import | None:
    """End an import; None where it has ended already."""
    row = one(
        connection,
        IMPORTS["finish"],
        import_id=import_id,
        status=status,
        rows_total=rows_total,
        rows_done=rows_done,
        rows_bad=rows_bad,
        detail=detail,
    )
    return Import.from_row(row) if row else None


def add_credentials(connection: Connection, import_id: int, no: int, content: bytes) -> None:
    """Keep a piece of an encrypted credentials file."""
    run(connection, IMPORTS["credentials_insert"], import_id=import_id, no=no, content=content)


def credentials(connection: Connection, import_id: int) -> Iterator[bytes]:
    """Give an encrypted credentials file piece by piece; nothing where there is none any more."""
    no = 0
    while row := one(connection, IMPORTS["credentials"], import_id=import_id, no=no):
        yield bytes(row["content"])
        no += 1


def delete_credentials(connection: Connection, import_id: int) -> None:
    """Forget an encrypted credentials file."""
    run(connection, IMPORTS["credentials_delete"], import_id=import_id)


def expire_credentials(connection: Connection) -> int:
    """Forget the credentials files that nobody fetched in 24 hours; return their pieces."""
    return run(connection, IMPORTS["credentials_expire"])
