"""The lines of a file, copied beside the tables as they are read; each is checked by itself."""

from collections.abc import Sequence
from dataclasses import asdict

from provisioner.bulk.lines import ByteLines
from provisioner.bulk.model import ERRORS_MAX, Fault, Import, Progress, Report, Status
from provisioner.bulk.readers import read_records
from provisioner.bulk.rows import check, columns
from provisioner.db import Connection, run
from provisioner.queries import BULK

REPORT_EVERY = 2000  # lines
SHARE = 0.4  # of an import's whole work
ANALYZE_FROM = 5000  # lines; fewer are found fast enough without the planner knowing of them


def stage(connection: Connection, job: Import, stream: ByteLines, size: int, report: Report) -> int:
    """Copy a file of `size` bytes; return how many of its lines could not even be copied."""
    counted = _Counted(stream, size)
    faults = _FirstFaults()
    copied = 0
    with connection.cursor() as cursor, cursor.copy(BULK["rows_copy"]) as copy:
        for found in read_records(counted, job.format, columns(job.kind)):
            if isinstance(found, Fault):
                faults.unread(found)
            else:
                row, wrong = check(job.kind, job.format, found, job.project_id)
                faults.extend(wrong)
                copy.write_row((job.id, *row))
                copied += 1
            if found.line % REPORT_EVERY == 0:
                report(Progress(Status.VALIDATING, SHARE * counted.share))
    for fault in faults.first:
        run(connection, BULK["error_insert"], import_id=job.id, **asdict(fault))
    if copied >= ANALYZE_FROM:
        run(connection, BULK["rows_analyze"])
        run(connection, BULK["plan_for_many"])
    return faults.unread_lines


class _FirstFaults:
    """The first faults of a file, for its report, and the number of lines that were no records."""

    def __init__(self) -> None:
        self.first: list[Fault] = []
        self.unread_lines = 0
        self._last_line = 0

    def extend(self, faults: Sequence[Fault]) -> None:
        self.first.extend(faults[: ERRORS_MAX - len(self.first)])

    def unread(self, fault: Fault) -> None:
        self.extend([fault])
        self.unread_lines += fault.line != self._last_line
        self._last_line = fault.line


class _Counted:
    """A stream that knows what share of it has been read."""

    def __init__(self, stream: ByteLines, size: int) -> None:
        self._stream = stream
        self._size = max(size, 1)
        self._read = 0

    @property
    def share(self) -> float:
        return min(1.0, self._read / self._size)

    def readline(self, size: int = -1, /) -> bytes:
        part = self._stream.readline(size)
        self._read += len(part)
        return part
