"""Files of records: CSV (RFC 4180) and newline-delimited JSON, a line at a time.

A record is one line: no field can contain the end of one, so that a quote left open spoils its own
line only. Whatever a file contains, a reader yields records and faults, and raises nothing.
"""

import csv
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from provisioner import strict_json
from provisioner.bulk.lines import LINE_MAX, ByteLines, numbered_lines
from provisioner.bulk.model import Fault, Format

SHOWN_MAX = 64  # characters that a fault repeats of a file's own words

TOO_LONG = f"must not be longer than {LINE_MAX // 1024} KiB"
NOT_UTF8 = "must be UTF-8"
NOT_AN_OBJECT = "must be one JSON object"


@dataclass(frozen=True)
class Columns:
    """The columns of a kind of file: those it must have, and all that it may have."""

    required: Collection[str]
    known: Collection[str]


@dataclass(frozen=True)
class Record:
    """The fields of one line, as strings (CSV) or JSON values."""

    line: int
    fields: dict[str, Any]


def read_records(
    stream: ByteLines, file_format: Format, columns: Columns
) -> Iterator[Record | Fault]:
    """Read a file; a header that does not fit ends it."""
    if file_format is Format.CSV:
        return _read_csv(stream, columns)
    return _read_ndjson(stream)


def shown(text: str, longest: int = SHOWN_MAX) -> str:
    """Return a file's own words as they may be stored and printed: short, without controls."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:longest])


def _text_lines(stream: ByteLines) -> Iterator[tuple[int, str] | Fault]:
    for number, line in numbered_lines(stream):
        if line is None:
            yield Fault(number, None, TOO_LONG)
        elif line.strip():
            try:
                yield number, line.decode("utf-8")
            except UnicodeDecodeError:
                yield Fault(number, None, NOT_UTF8)


def _read_ndjson(stream: ByteLines) -> Iterator[Record | Fault]:
    for found in _text_lines(stream):
        if isinstance(found, Fault):
            yield found
            continue
        line, text = found
        try:
            value = strict_json.parse(text)
        except ValueError as error:
            yield Fault(line, None, f"{NOT_AN_OBJECT}: {shown(str(error))}")
            continue
        yield Record(line, value) if isinstance(value, dict) else Fault(line, None, NOT_AN_OBJECT)


def _read_csv(stream: ByteLines, columns: Columns) -> Iterator[Record | Fault]:
    lines = _text_lines(stream)
    first = next(lines, Fault(1, None, "must be a header with the names of the columns"))
    if isinstance(first, Fault):
        yield first
        return
    delimiter = ";" if first[1].count(";") > first[1].count(",") else ","
    header = _cells(first, delimiter)
    if isinstance(header, Fault):
        yield header
        return
    header = [name.strip() for name in header]
    faults = list(_header_faults(first[0], header, columns))
    yield from faults
    if not faults:
        yield from _csv_records(lines, header, delimiter)


def _csv_records(
    lines: Iterator[tuple[int, str] | Fault], header: list[str], delimiter: str
) -> Iterator[Record | Fault]:
    for found in lines:
        if isinstance(found, Fault):
            yield found
            continue
        cells = _cells(found, delimiter)
        if isinstance(cells, Fault):
            yield cells
        else:
            yield _csv_record(found[0], header, cells)


def _csv_record(line: int, header: list[str], cells: list[str]) -> Record | Fault:
    """Name the cells; an empty one is as if its column were not there."""
    if len(cells) != len(header):
        rule = f"must have {len(header)} cells as the header has, not {len(cells)}"
        return Fault(line, None, rule)
    return Record(line, {name: cell for name, cell in zip(header, cells, strict=True) if cell})


def _cells(found: tuple[int, str], delimiter: str) -> list[str] | Fault:
    line, text = found
    try:
        (cells,) = csv.reader([text], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError):
        return Fault(line, None, "must have its quotes doubled, and closed on the same line")
    return cells


def _header_faults(line: int, header: list[str], columns: Columns) -> Iterator[Fault]:
    for name in dict.fromkeys(header):
        if name not in columns.known:
            yield Fault(line, shown(name), "is not a column of this kind of file")
        elif header.count(name) > 1:
            yield Fault(line, name, "must be one column only")
    for name in columns.required:
        if name not in header:
            yield Fault(line, name, "must be a column")
