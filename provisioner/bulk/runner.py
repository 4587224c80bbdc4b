"""Runs the imports that wait, in the worker: each once, whatever happens to the worker.

A session-level lock holds an import for as long as its worker lives. All that it does is one
transaction, which also ends the import; so a worker that dies has done nothing, and the next one
starts again. Its progress shows meanwhile, for that is told by another session.
"""

import io
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from provisioner import db, origin, store, tallies, tracing
from provisioner.bulk import import_store
from provisioner.bulk.application import Server
from provisioner.bulk.errors import ImportCancelled, Overtaken
from provisioner.bulk.importing import record, run_import
from provisioner.bulk.model import Import, Progress, Status
from provisioner.bulk.sinks import DatabaseSink, NoSink
from provisioner.db import Connection
from provisioner.errors import DatabaseUnavailable
from provisioner.lines import about
from provisioner.settings import Settings

log = logging.getLogger(__name__)

ATTEMPTS_MAX = 20  # after so many workers have died over an import, it is given up


class _Stopped(Exception):
    """The worker stops; another one takes the import up."""


class ImportRunner:
    """Runs imports one after another, in the thread that calls `step`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._work: Connection | None = None

    def stop(self) -> None:
        """Interrupt the import that is running; it will be started again."""
        self._stopping.set()
        work = self._work
        if work is not None:
            work.cancel_safe(timeout=1.0)

    def step(self, connection: Connection) -> None:
        """Run what waits; `connection` commits each statement by itself."""
        import_store.expire_credentials(connection)
        tried: list[int] = []  # another worker may have some of them
        while not self._stopping.is_set():
            import_id = import_store.next_import(connection, tried)
            if import_id is None:
                return
            tried.append(import_id)
            self._claim_and_try(connection, import_id)

    def _claim_and_try(self, connection: Connection, import_id: int) -> None:
        if import_store.claim(connection, import_id):
            try:
                self._try(connection, import_id)
            finally:
                import_store.unclaim(connection, import_id)

    def _try(self, connection: Connection, import_id: int) -> None:
        job = import_store.attempt(connection, import_id)
        if job is not None:
            with origin.of_request(job.actor.request_id):
                self._attempt(connection, job)

    def _attempt(self, connection: Connection, job: Import) -> None:
        try:
            if job.attempts > ATTEMPTS_MAX:
                self._fail(connection, job, "It was given up after too many attempts.")
            else:
                self._run_traced(connection, job)
                log.info("import ended", extra=about(import_id=job.id, kind=job.kind))
        except (ImportCancelled, _Stopped) as end:
            log.info("import %s: %s", job.id, end.__doc__)
        except Overtaken as error:
            self._fail(connection, job, error.detail)
        except DatabaseUnavailable:
            if not self._stopping.is_set():
                raise
        except Exception:
            log.exception("import %s: unexpected error", job.id)
            self._fail(connection, job, "Something went wrong on our side; it has been logged.")

    def _run_traced(self, connection: Connection, job: Import) -> None:
        with tracing.of_work("import") as span:
            span.say(
                provisioner__request_id=job.actor.request_id,
                provisioner__import_id=job.id,
                provisioner__kind=job.kind,
            )
            ended = self._run(connection, job)
            span.say(
                provisioner__status=ended.status,
                provisioner__rows_done=ended.rows_done,
                provisioner__rows_bad=ended.rows_bad,
            )

    def _run(self, connection: Connection, job: Import) -> Import:
        def report(progress: Progress) -> None:
            if self._stopping.is_set():
                raise _Stopped
            if not import_store.save_progress(connection, job.id, progress):
                raise ImportCancelled()

        size = import_store.upload_size(connection, job.id)
        stream = io.BufferedReader(_UploadedFile(connection, job.id))
        with self._transaction() as work:
            ended = run_import(
                work,
                job,
                stream,
                size,
                server=Server(
                    store.realm(work), self._settings.sip_address, self._settings.sip_port
                ),
                sink=DatabaseSink(work, job.id) if job.recipient else NoSink(),
                report=report,
            )
            import_store.delete_chunks(work, job.id)
        tallies.IMPORTS.labels(ended.status).inc()
        tallies.IMPORTED_ROWS.labels("applied").inc(ended.rows_done)
        tallies.IMPORTED_ROWS.labels("bad").inc(ended.rows_bad)
        return ended

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Give a session of its own, whose one transaction `stop` can interrupt."""
        url = self._settings.database_url
        with db.translated_errors(), db.connect(url, name="provisioner import") as work:
            self._work = work
            try:
                yield work
            finally:
                self._work = None

    def _fail(self, connection: Connection, job: Import, detail: str) -> None:
        with connection.transaction():
            failed = import_store.finish(connection, job.id, Status.FAILED, detail=detail)
            import_store.delete_chunks(connection, job.id)
            if failed is not None:
                record(connection, job.actor, "import.failed", failed)
        tallies.IMPORTS.labels(Status.FAILED).inc()


class _UploadedFile(io.RawIOBase):
    """An uploaded file, read piece by piece from the database."""

    def __init__(self, connection: Connection, import_id: int) -> None:
        super().__init__()
        self._connection = connection
        self._import_id = import_id
        self._no = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            piece = import_store.chunk(self._connection, self._import_id, self._no)
            self._rest = memoryview(piece)
            self._no += 1
        taken = min(len(buffer), len(self._rest))
        buffer[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken
