"""Logs in which each event is one line, whatever it tells of: as text for people, or as JSON.

What an event is about beside its message is given as `extra=about(node="node1", …)`: pairs at the
end of a text, members of a JSON object. The id of the request that is worked for is added to each.
"""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from provisioner import origin
from provisioner.settings import LogFormat

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# What PostgreSQL tells of a row that it refuses: all of it, hashes of passwords included.
_ROW = re.compile(r"^DETAIL: .*$", re.MULTILINE)


def about(**facts: object) -> dict[str, Any]:
    """Return what an event is about, as `extra` of a call that logs it; None is left out."""
    return {"about": {name: value for name, value in facts.items() if value is not None}}


class OneLine(logging.Formatter):
    """Writes an event as one line, its traceback included; nobody can make it look like two."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return one_line(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the message with what it is about."""
        pairs = (f" {name}={value}" for name, value in _facts(record).items())
        return super().formatMessage(record) + "".join(pairs)


class JsonLine(logging.Formatter):
    """Writes an event as one JSON object in one line of ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": _ROW.sub("DETAIL: …", record.getMessage()),
            **_facts(record),
        }
        if record.exc_info:
            line["exception"] = _ROW.sub("DETAIL: …", self.formatException(record.exc_info))
        return json.dumps(line, default=str)


def formatter(kind: LogFormat, text: str = FORMAT, datefmt: str | None = None) -> logging.Formatter:
    """Return what writes lines of a kind; `text` is how those for people begin."""
    return JsonLine() if kind is LogFormat.JSON else OneLine(text, datefmt)


def one_line(text: str) -> str:
    """Write what cannot be printed as in Python's texts, and leave out rows of the database."""
    told = _ROW.sub("DETAIL: …", text)
    if told.isprintable():
        return told
    return "".join(one if one.isprintable() else _escaped(one) for one in told)


def _facts(record: logging.LogRecord) -> Mapping[str, Any]:
    facts: dict[str, Any] = getattr(record, "about", {})
    known = origin.request_id()
    return {"request_id": known} | facts if known else facts


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
