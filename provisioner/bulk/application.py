"""What staged lines become: first all are checked together, then the good ones are inserted.

Nothing here works line by line but the making of passwords.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner import errors
from provisioner.bulk.errors import Overtaken
from provisioner.bulk.model import ERRORS_MAX, Import, Kind, Progress, Report, Status
from provisioner.bulk.sealing import Sink, seal
from provisioner.credentials import Secret, new_secret
from provisioner.db import Connection, one, run
from provisioner.model import username_of
from provisioner.queries import BULK

BATCH = 2000  # passwords that are in memory at a time
CREDENTIAL_COLUMNS = ("main_number", "username", "password", "realm", "server", "port")

# An import's whole work: reading is the first 0.4 (staging.py).
CHECKED = 0.5
INSERTED = 0.65
HASHED = 0.9


@dataclass(frozen=True)
class Server:
    """Where the new accounts register, as their credentials file says it."""

    realm: str
    address: str
    port: int


def check(connection: Connection, job: Import, realm: str) -> None:
    """Check the staged lines against each other and against all that exists."""
    run(
        connection,
        BULK["projects_check"],
        import_id=job.id,
        errors_max=ERRORS_MAX,
        project_unknown="must be one of your projects",
        **job.actor.scope,
    )
    words = {
        "repeated": "is in line %s already",
        "external_id_taken": errors.ExternalIdTaken().detail,
        "errors_max": ERRORS_MAX,
    }
    if job.kind is Kind.NUMBERS:
        exists = errors.NumberExists().detail
        run(connection, BULK["numbers_check"], import_id=job.id, number_exists=exists, **words)
    else:
        words |= {
            "number_unknown": errors.NumberUnknown("main_number").rule,
            "number_taken": errors.NumberTaken().detail,
            "number_not_active": errors.NumberNotActive().detail,
            "username_taken": errors.UsernameTaken().detail,
            "name_taken": errors.NameTaken().detail,
        }
        run(connection, BULK["accounts_check"], import_id=job.id, realm=realm, **words)
    run(connection, BULK["errors_cut"], import_id=job.id, errors_max=ERRORS_MAX)


def count(connection: Connection, job: Import) -> tuple[int, int]:
    """Count the staged lines, and the bad ones among them."""
    row = one(connection, BULK["rows_count"], import_id=job.id)
    assert row is not None  # noqa: S101 - an aggregate has a row
    return int(row["total"]), int(row["bad"])


def apply(
    connection: Connection, job: Import, good: int, server: Server, sink: Sink, report: Report
) -> None:
    """Insert what the good lines stand for.

    Raises:
        Overtaken, psycopg.IntegrityError: another change came after the check; check again.
    """
    report(Progress(Status.APPLYING, CHECKED))
    if job.kind is Kind.NUMBERS:
        run(connection, BULK["numbers_insert"], import_id=job.id)
        run(connection, BULK["numbers_audit"], import_id=job.id, **_author(job))
        return
    run(connection, BULK["accounts_insert"], import_id=job.id)
    if run(connection, BULK["numbers_take"], import_id=job.id) != good:
        raise Overtaken()
    author = _author(job)
    run(connection, BULK["accounts_audit"], import_id=job.id, **author)
    run(connection, BULK["tariffs_insert"], import_id=job.id, **author)
    report(Progress(Status.APPLYING, INSERTED))
    if job.recipient is not None:
        _make_credentials(connection, job, good, server, sink, report)


def _author(job: Import) -> dict[str, Any]:
    return {
        "via": job.actor.via,
        "actor_id": job.actor.id,
        "actor_name": job.actor.name,
        "source": job.actor.source,
        "request_id": job.actor.request_id,
    }


def _make_credentials(
    connection: Connection, job: Import, good: int, server: Server, sink: Sink, report: Report
) -> None:
    def told(done: int) -> None:
        share = INSERTED + (HASHED - INSERTED) * done / good
        report(Progress(Status.APPLYING, share, done))

    assert job.recipient is not None  # noqa: S101 - the caller looked
    seal(job.recipient, _credentials(connection, job, server, told), sink.write)
    if run(connection, BULK["subscribers_insert"], import_id=job.id) != good:
        raise Overtaken()


def _credentials(
    connection: Connection, job: Import, server: Server, told: Callable[[int], None]
) -> Iterator[bytes]:
    """Make a password for each new account, store its hashes, and give the file piece by piece."""
    yield _csv([CREDENTIAL_COLUMNS])
    done = 0
    with connection.cursor(name="accounts_made") as accounts:
        accounts.execute(BULK["accounts_made"], {"import_id": job.id})
        while made := accounts.fetchmany(BATCH):
            secrets = [new_secret(username_of(row["main_number"]), server.realm) for row in made]
            ids = [row["id"] for row in made]
            _store_hashes(connection, ids, secrets)
            yield _csv([_line(secret, server) for secret in secrets])
            done += len(made)
            told(done)


def _store_hashes(connection: Connection, ids: Sequence[int], secrets: Sequence[Secret]) -> None:
    with connection.cursor() as cursor, cursor.copy(BULK["credentials_copy"]) as copy:
        copy.set_types(("int8", "text", "text", "text", "text"))
        for account_id, secret in zip(ids, secrets, strict=True):
            copy.write_row(
                (account_id, secret.username, secret.realm, secret.ha1, secret.ha1_sha256)
            )


def _line(secret: Secret, server: Server) -> tuple[Any, ...]:
    number = f"+{secret.username}"
    return number, secret.username, secret.password, secret.realm, server.address, server.port


def _csv(lines: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()
