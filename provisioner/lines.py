"""Logs in which each event is one line, whatever it tells of."""

import logging
import re

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# What PostgreSQL tells of a row that it refuses: all of it, hashes of passwords included.
_ROW = re.compile(r"^DETAIL: .*$", re.MULTILINE)


class OneLine(logging.Formatter):
    """Writes an event as one line, its traceback included; nobody can make it look like two."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return one_line(super().format(record))


def one_line(text: str) -> str:
    """Write what cannot be printed as in Python's texts, and leave out rows of the database."""
    told = _ROW.sub("DETAIL: …", text)
    return "".join(one if one.isprintable() else _escaped(one) for one in told)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
