"""`provisioner import …` and `provisioner export …`."""

import argparse
import sys
from pathlib import Path

from provisioner.bulk import import_store, imports
from provisioner.bulk.exporting import ExportKind, export
from provisioner.bulk.imports import NewImport
from provisioner.bulk.model import Fault, Format, Import, Kind, Mode, Status
from provisioner.bulk.sealing import Sink
from provisioner.bulk.sinks import FileSink, NoSink
from provisioner.cli.exits import Exit
from provisioner.cli.parsing import Commands, add_project
from provisioner.cli.session import Session
from provisioner.errors import InvalidInput, ProvisionerError


def add_commands(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("import", "Files of numbers or accounts.")
    numbers = group.add("numbers", _import, "Add the numbers of a file.")
    numbers.set_defaults(kind=Kind.NUMBERS, recipient=None, output=None, credentials=None)
    _add_file(numbers)
    accounts = group.add("accounts", _import, "Create the accounts of a file.")
    accounts.set_defaults(kind=Kind.ACCOUNTS)
    _add_file(accounts)
    accounts.add_argument(
        "--recipient", metavar="age1…", help="age public key that the passwords are encrypted to"
    )
    accounts.add_argument(
        "--output", type=Path, metavar="PATH", help="a new file for the encrypted passwords"
    )
    accounts.add_argument(
        "--credentials", choices=["none"], help="none: create them without, to be rotated later"
    )
    exports = commands.add("export", _export, "Write all of a kind to standard output.", json=False)
    exports.add_argument("kind", type=ExportKind, choices=[*ExportKind], metavar="KIND")
    exports.add_argument("--format", type=Format, choices=[*Format], default=Format.CSV)
    add_project(exports, "of this project, and without its id: to be imported elsewhere")


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV, or NDJSON by its name's end")
    parser.add_argument("--format", type=Format, choices=[*Format], help="whatever its name is")
    parser.add_argument("--good-rows", action="store_true", help="leave bad lines out")
    add_project(parser, "for lines that name none (the first one)")


def _import(session: Session) -> Exit:
    options = session.options
    if (options.recipient is None) != (options.output is None):
        raise InvalidInput("--output", "and --recipient must be given together")
    new = NewImport(
        options.kind,
        options.format or _format_of(options.file),
        Mode.GOOD_ROWS if options.good_rows else Mode.ALL_OR_NOTHING,
        options.project,
        options.recipient,
        credentials=options.credentials is None,
    )
    sink = FileSink(options.output) if options.output else None
    try:
        job, faults = _run(session, new, sink or NoSink())
    except BaseException:
        if sink:
            sink.discard()
        raise
    if sink and job.status is not Status.DONE:
        sink.discard()
    return _tell(session, job, faults)


def _format_of(path: Path) -> Format:
    ndjson = path.suffix.lower() in (".ndjson", ".jsonl", ".json")
    return Format.NDJSON if ndjson else Format.CSV


def _run(session: Session, new: NewImport, sink: Sink) -> tuple[Import, list[Fault]]:
    path: Path = session.options.file
    settings = session.settings
    try:
        file = path.open("rb")
    except OSError as error:
        raise ProvisionerError(f"{path}: {error.strerror}") from None
    with (
        file,
        session.output.progress(f"Importing {new.kind}") as show,
        session.transaction() as connection,
    ):
        job = imports.import_file(
            connection,
            session.actor,
            new,
            file,
            path.stat().st_size,
            address=(settings.sip_address, settings.sip_port),
            sink=sink,
            report=lambda progress: show(progress.share),
        )
        return job, import_store.faults(connection, job.id)


def _tell(session: Session, job: Import, faults: list[Fault]) -> Exit:
    output = session.output
    if output.as_json:
        errors = [vars(fault) for fault in faults]
        output.data({**job.facts(), "errors": errors})
    else:
        if faults:
            columns = ("line", "field", "detail")
            output.rows([dict(vars(fault)) for fault in faults], columns)
        output.say(job.detail or f"{job.rows_done} {job.kind} imported, {job.rows_bad} bad lines.")
    if job.status is not Status.DONE:
        return Exit.FAILED
    return Exit.IN_PART if job.rows_bad else Exit.DONE


def _export(session: Session) -> Exit:
    options = session.options
    with session.transaction() as connection:
        pieces = export(connection, session.actor, options.kind, options.format, options.project)
        for piece in pieces:
            sys.stdout.buffer.write(piece)
    sys.stdout.flush()
    return Exit.DONE
