"""Files of any content are read line by line, and what is wrong is said line by line."""

import csv
import io
import json
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.bulk.lines import LINE_MAX, numbered_lines
from provisioner.bulk.model import Fault, Format, Kind
from provisioner.bulk.readers import Record, read_records
from provisioner.bulk.rows import Row, check, columns
from provisioner.bulk.spreadsheet import harmless, original

NUMBERS = columns(Kind.NUMBERS)
ACCOUNTS = columns(Kind.ACCOUNTS)


def read(content: bytes | str, kind: Kind = Kind.NUMBERS) -> list[Record | Fault]:
    data = content.encode() if isinstance(content, str) else content
    file_format = Format.NDJSON if data.lstrip().startswith(b"{") else Format.CSV
    return list(read_records(io.BytesIO(data), file_format, columns(kind)))


def checked(kind: Kind, **fields: object) -> list[tuple[str | None, str]]:
    _, faults = check(kind, Format.NDJSON, Record(7, dict(fields)), 1)
    assert all(fault.line == 7 for fault in faults)
    return [(fault.field, fault.detail) for fault in faults]


def test_csv_is_read_with_its_line_numbers() -> None:
    assert read("number,state\n+390612345678,active\n\n+390612345679,\n") == [
        Record(2, {"number": "+390612345678", "state": "active"}),
        Record(4, {"number": "+390612345679"}),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_csv_of_any_spreadsheet_is_read(end: str, bom: str, delimiter: str) -> None:
    lines = [["number", "external_id"], ["+390612345678", '"a;b,c"']]
    quoted = [delimiter.join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in line)
              for line in lines]  # fmt: skip
    assert read(bom + end.join(quoted)) == [
        Record(2, {"number": "+390612345678", "external_id": '"a;b,c"'})
    ]


def test_ndjson_is_read_with_its_line_numbers() -> None:
    assert read('{"number": "+390612345678"}\n\n{"number": 1}\n') == [
        Record(1, {"number": "+390612345678"}),
        Record(3, {"number": 1}),
    ]


def test_an_unknown_column_is_refused_by_its_name() -> None:
    assert read("number,colour\n+390612345678,red\n") == [
        Fault(1, "colour", "is not a column of this kind of file")
    ]


def test_a_missing_column_is_named() -> None:
    assert read("name,main_number\n", Kind.ACCOUNTS) == [
        Fault(1, "voice_channels", "must be a column")
    ]


def test_a_column_given_twice_is_refused() -> None:
    assert read("number,number\n") == [Fault(1, "number", "must be one column only")]


def test_an_empty_file_has_no_header() -> None:
    assert read("") == [Fault(1, None, "must be a header with the names of the columns")]


@pytest.mark.parametrize("line", ['"+390612345678', '"a"b', 'a"b,"'])
def test_an_open_quote_spoils_its_own_line_only(line: str) -> None:
    fault, good = read(f"number\n{line}\n+390612345678\n")
    assert isinstance(fault, Fault)
    assert fault.line == 2
    assert good == Record(3, {"number": "+390612345678"})


def test_a_line_with_another_number_of_cells_is_refused() -> None:
    assert read("number,state\n+390612345678\n") == [
        Fault(2, None, "must have 2 cells as the header has, not 1")
    ]


def test_a_line_that_is_not_utf8_is_refused() -> None:
    assert read(b"number\n\xff\n") == [Fault(2, None, "must be UTF-8")]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('{"number": "1", "number": "2"}', "an object has the same key twice"),
        ('{"number": NaN}', "NaN is not JSON"),
        ("{", "Expecting property name"),
        ('{"a": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
    ],
)
def test_a_line_that_is_not_one_json_object_is_refused(line: str, rule: str) -> None:
    (fault,) = read(line)
    assert isinstance(fault, Fault)
    assert rule in fault.detail


def test_a_long_line_is_refused_and_the_next_one_read() -> None:
    fault, good = read("number\n" + "9" * (LINE_MAX + 1) + "\n+390612345678\n")
    assert fault == Fault(2, None, "must not be longer than 64 KiB")
    assert good == Record(3, {"number": "+390612345678"})


def test_a_line_of_the_longest_length_is_read() -> None:
    stream = io.BytesIO(b"a" * LINE_MAX + b"\r\n" + b"b" * LINE_MAX)
    assert [len(line or b"") for _, line in numbered_lines(stream)] == [LINE_MAX, LINE_MAX]


def test_an_endless_line_takes_no_memory() -> None:
    class Endless:
        def __init__(self) -> None:
            self.left = 1000

        def readline(self, size: int = -1, /) -> bytes:
            assert size <= LINE_MAX + 2
            self.left -= 1
            return b"x" * size if self.left > 0 else b""

    assert list(numbered_lines(Endless())) == [(1, None)]


# A line by itself.


def test_a_cell_means_what_its_json_value_means() -> None:
    cells = {
        "name": "Front desk",
        "main_number": "+390612345678",
        "voice_channels": "2",
        "cloudfire_only": "TRUE",
        "allowed_networks": "192.0.2.0/24  2001:db8::/32",
        "project_id": "5",
    }
    values = cells | {
        "voice_channels": 2,
        "cloudfire_only": True,
        "allowed_networks": ["192.0.2.0/24", "2001:db8::/32"],
        "project_id": 5,
    }
    from_csv = check(Kind.ACCOUNTS, Format.CSV, Record(2, dict(cells)), 1)
    from_json = check(Kind.ACCOUNTS, Format.NDJSON, Record(2, dict(values)), 1)
    assert from_csv == from_json
    row, faults = from_csv
    assert faults == []
    assert (row.voice_channels, row.cloudfire_only, row.project_id) == (2, True, 5)
    assert row.allowed_networks == ["192.0.2.0/24", "2001:db8::/32"]


def test_a_line_that_names_no_project_belongs_to_the_imports() -> None:
    row, _ = check(Kind.NUMBERS, Format.CSV, Record(2, {"number": "+390612345678"}), 9)
    assert row == Row(2, False, "+390612345678", None, 9, None, "active")


def test_each_wrong_field_of_a_line_is_named_in_the_apis_words() -> None:
    assert checked(Kind.ACCOUNTS, name="x", main_number="123", voice_channels=0, colour="red") == [
        ("main_number", "must be in E.164 format: + and 7 to 15 digits, like +390612345678"),
        ("voice_channels", "Input should be greater than or equal to 1"),
        ("colour", "Extra inputs are not permitted"),
    ]


def test_a_wrong_network_is_named_by_its_place() -> None:
    fields = {"name": "x", "main_number": "+390612345678", "voice_channels": 1}
    ((field, rule),) = checked(Kind.ACCOUNTS, **fields, allowed_networks=["::/0"])
    assert field == "allowed_networks/0"
    assert rule == "must not be all addresses; leave the restriction off instead"


def test_an_empty_list_of_networks_is_refused() -> None:
    fields = {"name": "x", "main_number": "+390612345678", "voice_channels": 1}
    ((field, _),) = checked(Kind.ACCOUNTS, **fields, allowed_networks=[])
    assert field == "allowed_networks"


def test_a_bad_line_keeps_what_identifies_it() -> None:
    fields = {"name": "x", "main_number": "+390612345678", "voice_channels": 0}
    row, _ = check(Kind.ACCOUNTS, Format.NDJSON, Record(2, dict(fields)), 1)
    assert row == Row(2, True, "+390612345678", "x", 1, None)


# Whatever a file contains.


def outcome(content: bytes, file_format: Format, kind: Kind) -> None:
    lines = content.count(b"\n") + 1
    for found in read_records(io.BytesIO(content), file_format, columns(kind)):
        assert 1 <= found.line <= lines
        faults = [found]
        if isinstance(found, Record):
            row, faults = check(kind, file_format, found, 1)  # type: ignore[assignment] # either kind of row
            assert row.bad == bool(faults)
            storable(row)
        for fault in faults:
            storable(fault)


def storable(thing: object) -> None:
    """PostgreSQL takes it as text: UTF-8 without NUL."""
    text = repr(thing)
    assert "\\x00" not in text
    text.encode()


CELLS = st.text(st.characters(exclude_categories=[]), max_size=30)
HEADERS = st.lists(st.sampled_from(sorted(ACCOUNTS.known)), unique=True, max_size=15)
KINDS = st.sampled_from(Kind)


@given(st.binary(max_size=400), st.sampled_from(Format), KINDS)
def test_any_bytes_are_read(content: bytes, file_format: Format, kind: Kind) -> None:
    outcome(content, file_format, kind)


@given(st.binary(max_size=400), KINDS)
def test_any_bytes_below_a_header_are_read(content: bytes, kind: Kind) -> None:
    header = b"number" if kind is Kind.NUMBERS else b"name;main_number;voice_channels"
    outcome(header + b"\n" + content, Format.CSV, kind)


@given(st.dictionaries(st.one_of(st.sampled_from(sorted(ACCOUNTS.known)), CELLS),
                       st.recursive(st.one_of(st.none(), st.booleans(), st.integers(),
                                              st.floats(), CELLS),
                                    lambda inner: st.lists(inner, max_size=3))), KINDS)  # fmt: skip
def test_any_json_objects_are_read(fields: dict[str, object], kind: Kind) -> None:
    outcome(json.dumps(fields).encode(), Format.NDJSON, kind)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=1))
def test_what_a_csv_writer_writes_is_read_back(names: list[str]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["number", "external_id"], *zip(count(), names, strict=False)])
    found = read(text.getvalue())
    assert [record.fields["external_id"] for record in found if isinstance(record, Record)] == names


@given(st.text())
def test_a_cell_made_harmless_is_made_whole_again(cell: str) -> None:
    assert original(harmless(cell)) == cell


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1"])
def test_no_cell_begins_like_a_formula(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
