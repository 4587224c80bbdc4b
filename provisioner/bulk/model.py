"""An import as a plain value: what it brings, how far it is, and what is wrong with its lines."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from provisioner.access import Actor, Role, Via

ERRORS_MAX = 1000  # lines of an import's report; beyond it they are only counted


class Kind(StrEnum):
    """What the lines of a file are."""

    NUMBERS = "numbers"
    ACCOUNTS = "accounts"


class Format(StrEnum):
    """How a file is written."""

    CSV = "csv"
    NDJSON = "ndjson"


class Mode(StrEnum):
    """What becomes of a file with bad lines: nothing is applied, or the good lines are."""

    ALL_OR_NOTHING = "all_or_nothing"
    GOOD_ROWS = "good_rows"


class Status(StrEnum):
    """Where an import is; a worker takes up those that are validating or applying."""

    UPLOADING = "uploading"
    VALIDATING = "validating"
    APPLYING = "applying"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Fault:
    """What is wrong in a file: its line from 1, the field (None: the whole line), the rule."""

    line: int
    field: str | None
    detail: str


@dataclass(frozen=True)
class Progress:
    """How far an import is: its stage, and the share (0 to 1) of all work that is done."""

    status: Status
    share: float
    rows_done: int = 0


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Import:
    """An import as its row has it. `recipient` is None where the accounts get no credentials.

    `project_id` is the project of lines that name none; `scope_project_id` the one project that the
    import is limited to, as its maker is, and seen by those who see that project's.
    """

    id: int
    customer_id: int | None
    project_id: int
    scope_project_id: int | None
    kind: Kind
    format: Format
    mode: Mode
    recipient: str | None
    status: Status
    progress: float  # share (0 to 1) of the work
    rows_total: int | None
    rows_done: int
    rows_bad: int
    attempts: int
    started_at: datetime | None
    detail: str | None
    actor: Actor
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of `provisioner.imports`."""
        typed = {
            "kind": Kind(row["kind"]),
            "format": Format(row["format"]),
            "mode": Mode(row["mode"]),
            "status": Status(row["status"]),
            "actor": actor_from_json(row["actor"]),
        }
        return cls(**{**row, **typed})

    def facts(self) -> dict[str, Any]:
        """Return what the audit trail tells of it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "mode": self.mode,
            "recipient": self.recipient,
            "status": self.status,
            "rows_total": self.rows_total,
            "rows_done": self.rows_done,
            "rows_bad": self.rows_bad,
            "detail": self.detail,
        }


def actor_to_json(actor: Actor) -> dict[str, Any]:
    """Return an actor as an import keeps him until a worker acts for him."""
    return asdict(actor)


def actor_from_json(kept: Mapping[str, Any]) -> Actor:
    """Return the actor that an import has kept."""
    return Actor(**{**kept, "via": Via(kept["via"]), "role": Role(kept["role"])})
