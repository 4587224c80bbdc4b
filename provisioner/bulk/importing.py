"""An import from its first byte to its end, in the caller's transaction."""

import logging

import psycopg
from psycopg import errors as pg

from provisioner import journal
from provisioner.access import Actor
from provisioner.bulk import application, import_store, staging
from provisioner.bulk.application import Server
from provisioner.bulk.errors import ImportCancelled, Overtaken
from provisioner.bulk.lines import ByteLines
from provisioner.bulk.model import Import, Mode, Report, Status
from provisioner.bulk.sealing import Sink
from provisioner.db import Connection, run
from provisioner.journal import Change
from provisioner.queries import BULK

log = logging.getLogger(__name__)

TRIES = 5  # how often an import that was overtaken is checked again
_OVERTAKEN = (Overtaken, psycopg.IntegrityError, pg.DeadlockDetected)


def run_import(
    connection: Connection,
    job: Import,
    stream: ByteLines,
    size: int,
    *,
    server: Server,
    sink: Sink,
    report: Report,
) -> Import:
    """Read a file of `size` bytes, check it whole, and apply what is to be applied of it.

    The transaction holds all of it: who rolls back, has imported nothing. What came of it is said
    by the import's status: done, or failed with its errors.

    Raises:
        ImportCancelled: somebody cancelled it meanwhile.
        Overtaken: other changes came in between, again and again.
    """
    unread = staging.stage(connection, job, stream, size, report)
    for left in reversed(range(TRIES)):
        try:
            with connection.transaction():
                return _check_and_apply(connection, job, unread, server, sink, report)
        except _OVERTAKEN as error:
            log.info("import %s was overtaken (%s)", job.id, type(error).__name__)
            sink.restart()
            if not left:
                raise Overtaken() from error
    raise AssertionError


def _check_and_apply(
    connection: Connection, job: Import, unread: int, server: Server, sink: Sink, report: Report
) -> Import:
    application.check(connection, job, server.realm)
    staged, bad = application.count(connection, job)
    total, good, bad = staged + unread, staged - bad, bad + unread
    applied = good > 0 and (job.mode is Mode.GOOD_ROWS or bad == 0)
    if applied:
        application.apply(connection, job, good, server, sink, report)
        run(connection, BULK["constraints_now"])
        sink.close()
    run(connection, BULK["rows_delete"], import_id=job.id)
    finished = import_store.finish(
        connection,
        job.id,
        Status.DONE if applied else Status.FAILED,
        rows_total=total,
        rows_done=good if applied else 0,
        rows_bad=bad,
        detail=None if applied else _why_not(total, bad),
    )
    if finished is None:
        raise ImportCancelled()
    record(connection, job.actor, "import.finished" if applied else "import.failed", finished)
    return finished


def _why_not(total: int, bad: int) -> str:
    if not total:
        return "The file has no lines beside its header."
    return f"{bad} of {total} lines are bad; nothing was applied."


def record(connection: Connection, actor: Actor, kind: str, job: Import) -> None:
    """Tell the journal what became of an import."""
    change = Change(
        type=kind,
        subject="import",
        subject_id=job.id,
        after=job.facts(),
        customer_id=job.customer_id,
        project_id=job.scope_project_id,
    )
    journal.record(connection, actor, change)
