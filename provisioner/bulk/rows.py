"""What a line may contain: the API's own rules, field by field, for the columns of each kind."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from provisioner.bulk.model import Fault, Format, Kind
from provisioner.bulk.readers import Columns, Record, shown
from provisioner.bulk.spreadsheet import original
from provisioner.fields import Channels, E164Number, ExternalId, Id, Name, OwnNetworks
from provisioner.model import AccountState, NumberState, Tariff


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NumberRow(_Line):
    """A line of a file of numbers."""

    number: E164Number
    state: NumberState = NumberState.ACTIVE
    project_id: Id | None = None
    external_id: ExternalId | None = None


class AccountRow(_Line):
    """A line of a file of accounts."""

    name: Name
    main_number: E164Number
    voice_channels: Channels
    tariff: Tariff = Tariff.PAY_PER_USE
    cloudfire_only: StrictBool = False
    state: AccountState = AccountState.DISABLED
    allowed_networks: OwnNetworks = Field(default=None, validate_default=True)
    project_id: Id | None = None
    external_id: ExternalId | None = None


# What an export shows beside, and an import does not take: it is made anew.
_READ_ONLY = {
    Kind.NUMBERS: {"account_id", "created_at"},
    Kind.ACCOUNTS: {"id", "username", "realm", "additional_numbers", "created_at", "changed_at"},
}
_SCHEMAS: dict[Kind, type[NumberRow | AccountRow]] = {
    Kind.NUMBERS: NumberRow,
    Kind.ACCOUNTS: AccountRow,
}
_REQUIRED = {Kind.NUMBERS: ("number",), Kind.ACCOUNTS: ("name", "main_number", "voice_channels")}
_CSV_INTEGERS = {"voice_channels", "project_id"}
_CSV_TRUTHS = {"true": True, "false": False}
_CSV_TEXTS = {"name", "external_id"}
RULE_MAX = 200  # characters of a rule, which may repeat what broke it


class Row(NamedTuple):
    """A line as it is staged, in the order of the query `rows_copy`.

    A bad one keeps what identifies it, so that it is found when another line repeats it.
    """

    line: int
    bad: bool
    number: str | None
    name: str | None
    project_id: int
    external_id: str | None
    state: str | None = None
    voice_channels: int | None = None
    tariff: str | None = None
    cloudfire_only: bool | None = None
    allowed_networks: list[str] | None = None


def columns(kind: Kind) -> Columns:
    """Return the columns that a file of a kind has."""
    return Columns(_REQUIRED[kind], {*_SCHEMAS[kind].model_fields, *_READ_ONLY[kind]})


def check(
    kind: Kind, file_format: Format, record: Record, project_id: int
) -> tuple[Row, list[Fault]]:
    """Check a line by itself; the row is good where there is no fault.

    `project_id` is that of lines that name none.
    """
    fields = {name: value for name, value in record.fields.items() if name not in _READ_ONLY[kind]}
    if file_format is Format.CSV:
        fields = {name: _from_cell(name, cell) for name, cell in fields.items()}
    try:
        return _good_row(record.line, _SCHEMAS[kind].model_validate(fields), project_id), []
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)
    faults = [Fault(record.line, _path(fault["loc"]), _rule(fault["msg"])) for fault in wrong]
    # Without a place, it is the object as a whole: nothing of it can be relied on.
    sound = fields if all(fault["loc"] for fault in wrong) else {}
    faulty = {fault["loc"][0] for fault in wrong if fault["loc"]}
    return _bad_row(record.line, sound, faulty, project_id), faults


def _path(location: tuple[int | str, ...]) -> str | None:
    return shown("/".join(map(str, location))) if location else None


def _rule(message: str) -> str:
    return shown(message.removeprefix("Value error, "), RULE_MAX)


def _from_cell(name: str, cell: str) -> Any:
    """Read a CSV cell as the JSON value that it stands for; one that stands for none stays."""
    if name in _CSV_INTEGERS and cell.isascii() and cell.isdigit() and len(cell) < 20:
        return int(cell)
    if name == "cloudfire_only":
        return _CSV_TRUTHS.get(cell.lower(), cell)
    if name == "allowed_networks":
        return cell.split()
    return original(cell) if name in _CSV_TEXTS else cell


def _good_row(line: int, row: NumberRow | AccountRow, default: int) -> Row:
    project_id = default if row.project_id is None else row.project_id
    if isinstance(row, NumberRow):
        return Row(line, False, row.number, None, project_id, row.external_id, row.state)
    return Row(
        line,
        False,
        row.main_number,
        row.name,
        project_id,
        row.external_id,
        row.state,
        row.voice_channels,
        row.tariff,
        row.cloudfire_only,
        [*row.allowed_networks] if row.allowed_networks else None,
    )


def _bad_row(
    line: int, fields: Mapping[str, Any], faulty: Collection[int | str], default: int
) -> Row:
    def sound(name: str) -> Any:
        return None if name in faulty else fields.get(name)

    number = sound("number") or sound("main_number")
    project_id = sound("project_id")
    return Row(
        line,
        True,
        number,
        sound("name"),
        default if project_id is None else project_id,
        sound("external_id"),
    )
